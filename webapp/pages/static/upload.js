// Files are sent ahead, with a bar that shows how far; the form then only names them. Dropping works as choosing does.
import { announce } from "./page.js";

const ownSession = `page-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;

export function words(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  let amount = bytes;
  let at = 0;
  while (amount >= 1000 && at < units.length - 1) {
    amount /= 1000;
    at += 1;
  }
  return `${at ? amount.toFixed(1) : amount} ${units[at]}`;
}

export function checkKind(file) {
  if (!/\.(csv|parquet|xlsx)$/i.test(file.name)) throw new Error("Choose a CSV, Parquet or XLSX file.");
}

export async function presign(file, session = ownSession) {
  const response = await fetch("/api/uploads/presign", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ filename: file.name, session_id: session }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

export function send(file, address, progress, started, method = "PUT") {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => {
      if (request.status < 300) done(request.responseText);
      else fail(new Error(errorOf(request.responseText)));
    };
    request.onerror = () => fail(new Error("The connection broke off. Choose the file again."));
    request.onabort = () => fail(new Error("Taken away."));
    started?.(request);
    request.send(file);
  });
}

export const isWorkbook = (file) => /\.xlsx$/i.test(file.name);

// The upload that a sheet of a workbook becomes. Of several sheets one is asked for in `box`, if the file is still
// wanted by then, and the file sent again.
export async function sendWorkbook(file, box, progress, started, session = ownSession, isWanted = () => true) {
  const post = async (sheet) => {
    const asked = new URLSearchParams({ filename: file.name, session_id: session, ...(sheet && { sheet }) });
    return JSON.parse(await send(file, `/api/uploads/workbook?${asked}`, progress, started, "POST"));
  };
  const listed = await post("");
  if (!isWanted()) throw new Error("Taken away.");
  if (listed.upload) return listed.upload;
  return (await post(await chosen(listed.sheets, file.name, box))).upload;
}

function chosen(sheets, name, box) {
  return new Promise((done, fail) => {
    const row = document.createElement("div");
    row.className = "row choice";
    const gone = () => {
      row.remove();
      fail(new Error("Taken away."));
    };
    box.addEventListener("gone", gone, { once: true });
    const label = document.createElement("label");
    label.textContent = `Sheet of ${name} `;
    const select = document.createElement("select");
    for (const sheet of sheets) {
      const words = sheet.state === "visible" ? sheet.name : `${sheet.name} (hidden)`;
      select.append(new Option(words, sheet.name));
    }
    const take = document.createElement("button");
    take.type = "button";
    take.className = "tight";
    take.textContent = "Take this sheet";
    take.addEventListener("click", () => {
      box.removeEventListener("gone", gone);
      row.remove();
      done(select.value);
    });
    label.append(select);
    row.append(label, take);
    box.append(row);
    const said = box.querySelector("[data-upload-words]");
    if (said) said.textContent = `${name} has several sheets. Choose one.`;
    announce(`${name} has several sheets. Choose one.`);
    select.focus();
  });
}

function errorOf(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return "The file was not accepted. Choose it again.";
  }
}

const turns = new WeakMap(); // of each field, the file that was chosen last: what became of others shows no more

async function upload(input) {
  const turn = {};
  turns.set(input, turn);
  const isLast = () => turns.get(input) === turn;
  const file = input.files[0];
  const box = input.closest("[data-drop]");
  const state = box.querySelector("[data-upload-state]");
  const bar = state.querySelector("progress");
  const told = state.querySelector("[data-upload-words]");
  const target = box.querySelector("[data-uploaded]");
  const buttons = input.form.querySelectorAll("button:not([type=button])");
  target.value = "";
  state.dispatchEvent(new Event("gone"));
  state.hidden = !file;
  for (const button of buttons) button.disabled = Boolean(file);
  if (!file) return;
  told.className = "small";
  bar.value = 0;
  const say = (sent) => {
    if (!isLast()) return;
    bar.value = file.size ? sent / file.size : 1;
    told.textContent = `Sending ${file.name}: ${words(sent)} of ${words(file.size)}`;
  };
  say(0);
  try {
    checkKind(file);
    if (isWorkbook(file)) {
      const sheet = await sendWorkbook(file, state, say, undefined, ownSession, isLast);
      if (!isLast()) return;
      target.value = sheet.s3_uri;
      told.textContent = `${sheet.filename}: ${sheet.row_count.toLocaleString("en")} records, ${sheet.columns.length} columns.`;
    } else {
      const { presigned_url: address, s3_uri: uri } = await presign(file);
      await send(file, address, say);
      if (!isLast()) return;
      target.value = uri;
      told.textContent = `${file.name}, ${words(file.size)}, is uploaded.`;
    }
    bar.value = 1;
    input.required = false;
    input.value = "";
  } catch (error) {
    if (!isLast()) return;
    told.className = "small bad";
    told.textContent = error.message;
  }
  announce(told.textContent);
  for (const button of buttons) button.disabled = false;
}

export function startUploads() {
  for (const input of document.querySelectorAll("input[data-upload]")) {
    input.addEventListener("change", () => upload(input));
    const box = input.closest("[data-drop]");
    for (const name of ["dragenter", "dragover"]) {
      box.addEventListener(name, (event) => {
        event.preventDefault();
        box.classList.add("over");
      });
    }
    for (const name of ["dragleave", "drop"]) box.addEventListener(name, () => box.classList.remove("over"));
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      if (!event.dataTransfer.files.length) return;
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change"));
    });
  }
}
