// j and k move through the rows of a table, Enter opens the row, / goes to the search field, Escape leaves it.
function isTyping(element) {
  return element.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(element.tagName);
}

function move(step) {
  const links = [...document.querySelectorAll("[data-rows] tbody a[data-open]")];
  if (!links.length) return false;
  const row = document.activeElement.closest?.("tr");
  const at = links.findIndex((link) => link.closest("tr") === row);
  const next = links[Math.min(Math.max(at + step, 0), links.length - 1)];
  next.focus();
  next.closest("tr").scrollIntoView({ block: "nearest" });
  return true;
}

export function startKeys() {
  const hint = document.querySelector("[data-keys]");
  if (hint && document.querySelector("[data-rows], [data-search]")) hint.hidden = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const search = document.querySelector("[data-search]");
    if (event.key === "Escape" && document.activeElement === search) search.blur();
    if (isTyping(event.target)) return;
    const used =
      (event.key === "j" && move(1)) || (event.key === "k" && move(-1)) || (event.key === "/" && search && (search.focus(), search.select(), true));
    if (used) event.preventDefault();
  });
}
