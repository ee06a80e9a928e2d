// Questions before something is lost: the page that asks, shown as a dialog. Escape closes it.
import { fetchPage } from "./page.js";

async function ask(link, dialog) {
  const { ok, page } = await fetchPage(link.href);
  const question = page.querySelector("[data-question]");
  if (!ok || !question) throw new Error("no question on that page");
  const heading = question.querySelector("h1");
  const title = document.createElement("h2");
  title.textContent = heading.textContent;
  heading.replaceWith(title);
  dialog.replaceChildren(question);
  dialog.setAttribute("aria-label", title.textContent);
  dialog.showModal();
  dialog.querySelector("[data-close]")?.focus();
}

export function startDialogs() {
  const dialog = document.querySelector("[data-dialog-box]");
  if (!dialog?.showModal) return;
  document.addEventListener("click", (event) => {
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
    const link = event.target.closest("a[data-dialog]");
    if (link && plain) {
      event.preventDefault();
      ask(link, dialog).catch(() => location.assign(link.href));
    } else if (plain && dialog.open && (event.target === dialog || event.target.closest("[data-close]"))) {
      event.preventDefault();
      dialog.close();
    }
  });
}
