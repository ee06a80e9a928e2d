// Parts that need a source to be read: the page comes first, the part when it is there.
import { announce, fetchPage } from "./page.js";

async function load(place, start) {
  const address = place.dataset.load;
  const before = [...place.childNodes];
  const working = document.createElement("p");
  working.className = "working soft";
  working.textContent = `${place.dataset.words} …`;
  place.replaceChildren(working);
  place.setAttribute("aria-busy", "true");
  try {
    const part = (await fetchPage(address)).page.querySelector("[data-part]");
    if (!part) throw new Error("no such part");
    place.replaceChildren(part);
    part.querySelector("[data-again]")?.addEventListener("click", (event) => {
      event.preventDefault();
      load(place, start);
    });
    start(part);
  } catch {
    place.replaceChildren(...before); // its link opens the part as a page of its own
    announce("It could not be loaded.");
  }
  place.removeAttribute("aria-busy");
}

export function startLoading(root, start) {
  for (const place of root.querySelectorAll("[data-load]")) {
    if (place.dataset.when !== "asked") {
      load(place, start);
      continue;
    }
    place.addEventListener("click", (event) => {
      if (!event.target.closest("[data-ask]")) return;
      event.preventDefault();
      load(place, start);
    });
  }
}
