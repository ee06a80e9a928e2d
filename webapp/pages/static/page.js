// Shared by the modules: say something to screen readers, and fetch a page as a document.

export function announce(words) {
  const place = document.querySelector("[data-announce]");
  if (place && place.textContent !== words) place.textContent = words;
}

export async function fetchPage(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  const html = await response.text();
  return { ok: response.ok, redirected: response.redirected, page: new DOMParser().parseFromString(html, "text/html") };
}
