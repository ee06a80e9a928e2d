// The conversation without reloading: a turn is streamed while it happens, then the server's own page takes its place.
import { startCopy } from "./copy.js";
import { startLive } from "./live.js";
import { announce, fetchPage } from "./page.js";
import { Attachments } from "./reconcile-files.js";
import { startTolerance } from "./reconcile-tolerance.js";
import { runTurn, TurnError } from "./reconcile-turn.js";
import { localTimes } from "./times.js";

const POLL = 1000;
const talk = document.querySelector("[data-talk]");
const composer = document.querySelector("[data-composer]");
const field = composer.elements.message;
const sendButton = composer.querySelector("button.primary");
const pending = document.querySelector("[data-pending]");
const files = new Attachments(composer.querySelector("[data-attachments]"), session);
const stopButton = composer.querySelector("[data-stop]");
let busy = false;

// --- the session and its page ---

async function session() {
  if (!talk.dataset.session) {
    talk.making ??= fetch("/api/chat/sessions", { method: "POST" }).then(async (response) => {
      const answer = await response.json();
      if (!response.ok) throw new TurnError(answer);
      talk.dataset.session = answer.session_id;
      history.replaceState(null, "", `/reconcile/${answer.session_id}`);
    });
    try {
      await talk.making;
    } finally {
      talk.making = null;
    }
  }
  return talk.dataset.session;
}

const transcript = () => document.getElementById("transcript");
const lastMessage = () => [...transcript().querySelectorAll("[data-message]")].at(-1);
const told = () => Number(lastMessage()?.dataset.message ?? 0);

// Put the server's page in place of what stands here; says what is new in it, once.
async function refresh() {
  const before = told();
  const { ok, page } = await fetchPage(`/reconcile/${talk.dataset.session}`);
  if (!ok || !page.getElementById("transcript")) throw new Error("The conversation could not be loaded.");
  const unfolded = [...document.querySelectorAll("[data-swap] details[open][id]")].map((part) => part.id);
  for (const fresh of page.querySelectorAll("[data-swap]")) {
    const node = document.importNode(fresh, true);
    document.getElementById(fresh.id).replaceWith(node);
    decorate(node);
  }
  for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
  document.title = page.title;
  composer.action = page.querySelector("[data-composer]").action;
  pending.replaceChildren();
  field.placeholder = page.getElementById("message").placeholder;
  const news = [...transcript().querySelectorAll(".agent[data-message]")].filter((item) => Number(item.dataset.message) > before);
  const words = news.map((item) => item.dataset.say).join(" ");
  if (words) announce(words);
  return news;
}

function decorate(root) {
  localTimes(root);
  startCopy(root);
  startTolerance(root);
  for (const hint of root.querySelectorAll("[data-keys-hint]")) hint.hidden = false;
  startLive(decorate, root.parentElement ?? document);
}

// --- a turn ---

// Sends `body`; `shown` are the words of the person's own bubble until the server's page is there.
// Returns an error that belongs beside what caused it, or null.
async function turn(body, shown, names = []) {
  busy = true;
  sendButton.disabled = true;
  composer.querySelector("[data-composer-fault]").replaceChildren();
  files.hide(true);
  const before = told();
  const place = working(shown, names);
  try {
    await runTurn({ session_id: await session(), ...body }, place.hear);
    const news = await refresh();
    (news[0] ?? lastMessage())?.scrollIntoView({ block: "start" });
    return null;
  } catch (error) {
    if (error instanceof TurnError) {
      pending.replaceChildren();
      if (talk.dataset.session) await refresh().catch(() => {});
      return error;
    }
    // The turn goes on at the app whatever becomes of this connection: look until it is done.
    // Nothing new there means that the message never arrived.
    const arrived = (await caughtUp()) && (told() > before || body.resume);
    pending.replaceChildren();
    return arrived ? null : error;
  } finally {
    busy = false;
    works(false);
    files.hide(false);
  }
}

// While a turn is under way there is nothing to send, but something to stop.
function works(yes) {
  const focused = document.activeElement;
  sendButton.hidden = yes;
  sendButton.disabled = false;
  stopButton.hidden = !yes;
  stopButton.disabled = false;
  if (focused === sendButton || focused === stopButton) field.focus();
}

stopButton.addEventListener("click", async () => {
  stopButton.disabled = true;
  await fetch(`/api/chat/sessions/${talk.dataset.session}/stop`, { method: "POST" }).catch(() => {
    stopButton.disabled = false;
  });
});

async function caughtUp() {
  for (let tries = 0; tries < 10; tries += 1) {
    try {
      await refresh();
      await settle();
      return true;
    } catch {
      await new Promise((done) => setTimeout(done, POLL * 2));
    }
  }
  return false;
}

// What is shown while a turn is under way.
function working(shown, names) {
  const own = document.createElement("li");
  own.className = "message user";
  const bubble = document.createElement("div");
  bubble.className = "bubble wrap";
  bubble.textContent = [shown, ...names].filter(Boolean).join("\n");
  bubble.classList.add("streamed");
  own.append(bubble);
  const reply = document.createElement("li");
  reply.className = "message agent";
  const doing = document.createElement("ul");
  doing.className = "doing";
  const waiting = document.createElement("p");
  waiting.className = "working soft";
  waiting.textContent = "Kalla is working …";
  reply.append(doing, waiting);
  pending.replaceChildren(...(bubble.textContent ? [own] : []), reply);
  reply.scrollIntoView({ block: "nearest" });
  announce("Kalla is working.");
  const lines = new Map();
  let text = null;
  const hear = (event, data) => {
    if (event === "begun") {
      works(true);
    } else if (event === "text") {
      text ??= reply.insertBefore(document.createElement("p"), waiting);
      text.className = "streamed";
      text.append(data.delta);
    } else if (event === "tool") {
      const known = data.state !== "started" && lines.get(data.name);
      const line = known || doing.appendChild(document.createElement("li"));
      line.textContent = data.words;
      line.className = data.state;
      lines.set(data.name, line);
    } else if (event === "segment") {
      text = null;
    }
  };
  return { hear };
}

// A turn that another window, or this one before a reload, has begun: wait for it, or go on with it.
async function settle() {
  let state = transcript().dataset.turn;
  if (state === "working") works(true);
  while (state === "working") {
    await new Promise((done) => setTimeout(done, POLL));
    await refresh();
    state = transcript().dataset.turn;
  }
  works(false);
  if (state === "interrupted") {
    const fault = await turn({ resume: true }, "");
    if (fault) beside(composer.querySelector("[data-composer-fault]"), fault, () => settle());
  }
}

function beside(place, error, again) {
  const note = document.createElement("div");
  note.className = "note bad";
  const words = document.createElement("p");
  words.textContent = error.message;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "tight";
  button.textContent = "Try again";
  button.addEventListener("click", () => {
    place.replaceChildren();
    again();
  });
  const row = document.createElement("div");
  row.append(button);
  note.append(words, row);
  place.replaceChildren(note);
}

// --- what the person does ---

async function say() {
  if (busy) return;
  const text = field.value.trim();
  const place = composer.querySelector("[data-composer-fault]");
  place.replaceChildren();
  if (!text && !files.size) {
    field.focus();
    return;
  }
  let attached;
  busy = true;
  sendButton.disabled = true;
  try {
    attached = await files.all();
  } catch (error) {
    beside(place, error, say);
    return;
  } finally {
    busy = false;
    sendButton.disabled = false;
  }
  const names = files.names();
  field.value = "";
  grow();
  const fault = await turn({ ...(text && { message: text }), ...(attached.length && { files: attached }) }, text, names);
  if (fault) {
    field.value ||= text;
    grow();
    beside(place, fault, say);
  } else {
    files.clear();
  }
  if (document.activeElement === document.body || document.activeElement === sendButton) focusNext();
}

async function answer(form, button) {
  if (busy) return;
  const card = document.getElementById(form.dataset.card);
  const values = new FormData(form, button);
  const file = form.querySelector("[data-card-file]")?.files[0];
  if (file) {
    files.add([file]);
    await say();
    return;
  }
  const buttons = [...card.querySelectorAll("button")].filter((one) => !one.disabled);
  for (const one of buttons) one.disabled = true;
  const reply = { card_id: form.dataset.card, action: values.get("action"), ...valueOf(values) };
  const words = form.querySelector("[data-tolerance]") ? button.textContent : (reply.value ?? button.textContent);
  const shown = reply.action === "adjust" ? String(words) : button.firstElementChild?.textContent || button.textContent;
  const fault = await turn({ card_response: reply }, shown);
  if (fault) {
    for (const one of buttons) one.disabled = false;
    const now = document.getElementById(form.dataset.card);
    const place = now?.querySelector("[data-card-fault]") ?? composer.querySelector("[data-composer-fault]");
    beside(place, fault, () => answer(form, button));
    place.querySelector("button").focus();
    return;
  }
  focusNext();
}

function valueOf(values) {
  if (values.get("tolerance")) return { value: { tolerance: values.get("tolerance") } };
  const chosen = values.getAll("choice");
  if (chosen.length) return { value: chosen.length > 1 ? chosen : chosen[0] };
  const text = (values.get("value") || "").trim();
  return text ? { value: text } : {};
}

// The next thing that waits for the person; the message field where nothing does.
function focusNext() {
  const open = [...transcript().querySelectorAll("[data-open-card]")].at(-1);
  (open ?? field).focus({ preventScroll: true });
}

function grow() {
  field.rows = Math.min(Math.max(field.value.split("\n").length, 2), 8);
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  event.stopPropagation(); // the button keeps its words: the page stays
  say();
});
field.addEventListener("input", grow);
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
});
composer.elements.files.addEventListener("change", (event) => {
  files.add(event.target.files);
  event.target.value = "";
  field.focus();
});

document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    if (form.matches("[data-card-form]")) {
      event.preventDefault();
      event.stopPropagation();
      answer(form, event.submitter);
    } else if (form.matches("[data-privacy]")) {
      event.preventDefault();
      event.stopPropagation();
      privacy(form, event.submitter);
    }
  },
  true,
);

async function privacy(form, button) {
  const { side, column } = Object.fromEntries(new FormData(form));
  const response = await fetch(`/api/chat/sessions/${talk.dataset.session}/privacy`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ side, column, show: button.value === "yes" }),
  });
  if (!response.ok) {
    const note = document.createElement("span");
    note.className = "small bad";
    note.setAttribute("role", "alert");
    note.textContent = (await response.json()).error;
    form.querySelector("[role=alert]")?.remove();
    form.append(note);
    return;
  }
  await refresh();
  const again = [...document.querySelectorAll("[data-privacy]")].find((one) => one.elements.side.value === side && one.elements.column.value === column);
  again?.querySelector("button").focus();
  announce(again?.textContent.trim().replace(/\s+/g, " ") ?? "");
}

// y, n and u answer the pair that has the focus.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  const button = event.target.closest?.("[data-open-card]")?.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!button || button.disabled) return;
  event.preventDefault();
  button.click();
});

// Files dropped anywhere on the conversation belong to the next message.
for (const name of ["dragenter", "dragover"]) {
  talk.addEventListener(name, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    talk.classList.add("over");
  });
}
talk.addEventListener("dragleave", (event) => {
  if (!talk.contains(event.relatedTarget)) talk.classList.remove("over");
});
talk.addEventListener("drop", (event) => {
  talk.classList.remove("over");
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  files.add(event.dataTransfer.files);
  field.focus();
});

// Files that were not sent are lost with the page: the browser asks first.
addEventListener("beforeunload", (event) => {
  if (files.unsent) event.preventDefault();
});

// The run of a progress card has ended: the conversation has its result.
document.addEventListener("kalla-ended", async () => {
  if (!talk.dataset.session || busy) return;
  // The agent sums up by itself, a moment after the run has ended.
  const results = () => transcript().querySelectorAll("article[id^=result-]");
  const before = results().length;
  for (let tries = 0; tries < 30 && results().length === before; tries += 1) {
    if (tries) await new Promise((done) => setTimeout(done, POLL));
    await refresh().catch(() => {});
    await settle();
  }
  results()[0]?.scrollIntoView({ block: "start" });
});

composer.classList.add("enhanced");
for (const hint of document.querySelectorAll("[data-composer-keys], [data-keys-hint]")) hint.hidden = false;
startTolerance(document);
if (location.hash === "#latest" || !location.hash) lastMessage()?.scrollIntoView({ block: "start" });
settle();
