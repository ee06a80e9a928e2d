// Keep a part of the page up to date while work is going on: by events, else by asking every two seconds.
// The part comes from the server as the page itself would show it, so there is one way to draw it.
import { announce, fetchPage } from "./page.js";

const EVERY = 2000;
const HIDDEN = 10000;
const MOST = 30000;
const AT_MOST_EVERY = 500;

const followed = new Set();

export function startLive(start, root = document) {
  const parts = [...root.querySelectorAll("[data-live]")].filter((part) => !followed.has(part.id));
  for (const part of parts) follow(part.id, start);
}

function follow(id, start) {
  followed.add(id);
  let faults = 0;
  let timer = null;
  let events = null;
  let last = 0;

  const part = () => document.getElementById(id);
  const later = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(refresh, wait);
  };

  async function refresh() {
    last = Date.now();
    try {
      const { ok, page } = await fetchPage(location.href);
      const fresh = page.getElementById(id);
      if (!ok || !fresh) throw new Error("no such part");
      faults = 0;
      if (part()) swap(part(), fresh, start);
    } catch {
      faults += 1; // the app may be restarting: ask again, less often
    }
    if (!part()?.hasAttribute("data-live")) {
      events?.close();
      followed.delete(id);
      document.dispatchEvent(new CustomEvent("kalla-ended", { detail: id }));
      return;
    }
    if (events && !faults) return;
    const wait = Math.min((document.hidden ? HIDDEN : EVERY) * 2 ** faults, MOST);
    later(wait);
  }

  const address = part().dataset.live;
  if (address && window.EventSource) {
    events = new EventSource(address);
    const soon = () => later(Math.max(AT_MOST_EVERY - (Date.now() - last), 0));
    events.onmessage = soon;
    for (const name of ["progress", "status", "run", "final", "end"]) events.addEventListener(name, soon);
    events.onerror = () => {
      events.close();
      events = null;
      later(EVERY);
    };
  } else {
    later(EVERY);
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && part()?.hasAttribute("data-live")) later(0);
  });
}

function swap(old, fresh, start) {
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const node = document.importNode(fresh, true);
  old.replaceWith(node);
  start(node);
  if (focused) document.getElementById(focused)?.focus();
  const words = node.querySelector("[data-say]")?.textContent.trim();
  if (words) announce(words);
  if (!node.hasAttribute("data-live") && node.dataset.title) document.title = node.dataset.title;
}
