// A pressed button says what is being done, and cannot be pressed twice.
const restore = new Map();

export function startBusy() {
  document.addEventListener("submit", (event) => {
    const button = event.submitter ?? event.target.querySelector("button");
    if (event.target.dataset.sent === "yes") {
      event.preventDefault();
      return;
    }
    event.target.dataset.sent = "yes";
    if (button?.dataset.busy) {
      const words = [...button.childNodes];
      restore.set(button, () => button.replaceChildren(...words));
      // The form is read before this runs, so that the button's own value still goes along.
      setTimeout(() => {
        button.textContent = `${button.dataset.busy} …`;
        button.setAttribute("aria-disabled", "true");
      });
    }
  });
  // Coming back with the browser's button shows the page as it was left.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    for (const [button, back] of restore) {
      back();
      button.removeAttribute("aria-disabled");
    }
    restore.clear();
  });
}
