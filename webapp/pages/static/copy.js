// Copy buttons: of a text on the page, or of what an address gives.
import { announce } from "./page.js";

async function textOf(button) {
  if (button.dataset.copy) return document.querySelector(button.dataset.copy).textContent;
  const response = await fetch(button.dataset.copyFrom, { credentials: "same-origin" });
  if (!response.ok) throw new Error((await response.json()).error);
  return JSON.stringify(await response.json(), null, 2);
}

async function copy(button) {
  const words = [...button.childNodes];
  let told = "Copied";
  try {
    await navigator.clipboard.writeText(await textOf(button));
  } catch {
    told = "Could not be copied";
  }
  button.textContent = told;
  announce(told);
  setTimeout(() => button.replaceChildren(...words), 2000);
}

export function startCopy(root) {
  if (!navigator.clipboard) return; // only offered where the browser allows it
  for (const button of root.querySelectorAll("[data-copy], [data-copy-from]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}
