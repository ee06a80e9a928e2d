// One turn of the conversation: what is said goes out, what is done and written comes back while it happens.

export class TurnError extends Error {
  constructor(body) {
    super(body.error || "The answer could not be read.");
    this.code = body.code || "";
  }
}

// The whole answer of the turn; `on(event, data)` hears of begun, then of text,
// tool, segment and phase as they come.
// Fails with TurnError for what the app says, with another Error where the connection broke.
export async function runTurn(body, on) {
  const response = await fetch("/api/chat", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify(body),
    credentials: "same-origin",
  });
  if (!response.ok) throw new TurnError(await response.json().catch(() => ({ error: `The app answered with ${response.status}.` })));
  if (!(response.headers.get("Content-Type") || "").startsWith("text/event-stream")) return response.json();
  on("begun", {});
  let answer = null;
  for await (const { event, data } of events(response.body)) {
    if (event === "error") throw new TurnError(data);
    if (event === "done") answer = data;
    else on(event, data);
  }
  if (!answer) throw new Error("The connection broke off before the end.");
  return answer;
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest = (rest + value).replaceAll("\r\n", "\n");
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const found = parse(rest.slice(0, end));
      rest = rest.slice(end + 2);
      if (found) yield found;
    }
  }
}

function parse(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return data.length ? { event, data: JSON.parse(data.join("\n")) } : null;
}
