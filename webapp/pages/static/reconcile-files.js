// Files of a message: sent ahead one by one with a bar each, looked at once, and named by the message.
import { announce } from "./page.js";
import { checkKind, isWorkbook, presign, send, sendWorkbook, words } from "./upload.js";

export class Attachments {
  #list;
  #session;
  #items = [];

  // `session()` gives the conversation's id, made when it is first needed.
  constructor(list, session) {
    this.#list = list;
    this.#session = session;
  }

  get size() {
    return this.#items.length;
  }

  // Whether files are here that no message has taken along yet.
  get unsent() {
    return !this.#list.hidden;
  }

  add(files) {
    for (const file of files) {
      const item = new Item(file, () => this.#remove(item));
      this.#items.push(item);
      this.#list.append(item.row);
      item.ready = item.upload(this.#session);
    }
    this.#list.hidden = !this.size;
  }

  // FileAttachments of all files, once they are there; fails when one of them is refused.
  async all() {
    await Promise.all(this.#items.map((item) => item.ready));
    const refused = this.#items.filter((item) => item.error);
    if (refused.length) throw new Error(`${refused.map((item) => item.file.name).join(", ")} cannot be sent. Take it away or try again.`);
    return this.#items.map((item) => item.attachment);
  }

  names() {
    return this.#items.map((item) => item.file.name);
  }

  // While a message is on its way its files stand in its bubble.
  hide(yes) {
    this.#list.hidden = yes || !this.size;
  }

  clear() {
    for (const item of this.#items) item.row.remove();
    this.#items = [];
    this.#list.hidden = true;
  }

  #remove(item) {
    item.request?.abort();
    item.row.dispatchEvent(new Event("gone"));
    item.row.remove();
    this.#items = this.#items.filter((other) => other !== item);
    this.#list.hidden = !this.size;
  }
}

class Item {
  attachment = null;
  error = null;
  request = null;

  constructor(file, remove) {
    this.file = file;
    this.row = document.createElement("li");
    this.told = document.createElement("span");
    this.told.className = "wrap";
    this.bar = document.createElement("progress");
    this.bar.max = 1;
    this.bar.value = 0;
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    this.buttons = document.createElement("span");
    const away = button("Take away", file.name, remove);
    this.again = button("Try again", file.name, () => {
      this.ready = this.upload(this.session);
    });
    this.again.hidden = true;
    this.buttons.append(this.again, away);
    this.row.append(this.told, this.bar, this.buttons);
  }

  async upload(session) {
    this.session = session;
    this.error = null;
    this.again.hidden = true;
    this.bar.hidden = false;
    this.told.className = "wrap";
    try {
      checkKind(this.file);
      const hear = [(sent) => this.#say(sent), (request) => (this.request = request)];
      if (isWorkbook(this.file)) {
        const at = await sendWorkbook(this.file, this.row, ...hear, await session());
        this.attachment = await confirm(at, at.filename);
      } else {
        const at = await presign(this.file, await session());
        await send(this.file, at.presigned_url, ...hear);
        this.told.textContent = `${this.file.name}: reading it …`;
        this.attachment = await confirm(at, this.file.name);
      }
      const { row_count: rows, columns } = this.attachment;
      this.told.textContent = `${this.file.name}: ${rows.toLocaleString("en")} records, ${columns.length} columns`;
    } catch (error) {
      this.error = error;
      this.told.className = "wrap bad";
      this.told.textContent = `${this.file.name}: ${error.message}`;
      this.again.hidden = false;
    }
    this.bar.hidden = true;
    if (this.row.isConnected) announce(this.told.textContent);
  }

  #say(sent) {
    this.bar.value = this.file.size ? sent / this.file.size : 1;
    this.told.textContent = `${this.file.name}: ${words(sent)} of ${words(this.file.size)}`;
  }
}

function button(label, name, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet tight";
  made.textContent = label;
  made.setAttribute("aria-label", `${label} ${name}`);
  made.addEventListener("click", action);
  return made;
}

async function confirm(at, filename) {
  const response = await fetch(`/api/uploads/${at.upload_id}/confirm`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ s3_uri: at.s3_uri, filename }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}
