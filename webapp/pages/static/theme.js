// Before anything is drawn: the colours that this browser was last told to use.
(() => {
  let stored = null;
  try {
    stored = localStorage.getItem("kalla-theme");
  } catch {
    return; // storage is switched off: the system's colours it is
  }
  if (stored === "dark" || stored === "light") document.documentElement.dataset.theme = stored;
})();
