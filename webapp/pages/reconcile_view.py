"""A conversation as its page shows it: the session document of contract 4.4 in, values for the templates out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webapp.pages.prose import Block, blocks, plain
from webapp.pages.view import count, plural

SIDES = ("left", "right")
# phase, what the step is called, what happens in it
PHASES = (
    ("greeting", "Files", "Bring the records"),
    ("intent", "Sides", "Say which is left and which is right"),
    ("scoping", "Records", "Choose the records that count"),
    ("demonstration", "Pairs", "Confirm a few pairs"),
    ("inference", "Rule", "Agree on the rule"),
    ("validation", "Sample", "Try the rule on a sample"),
    ("execution", "Result", "Run it on everything"),
)
STATUSES = {
    "active": "In progress",
    "recipe_ready": "Rule saved",
    "running": "Running",
    "completed": "Completed",
}
# Only the newest of these can still be answered with sense.
_ONE_OPEN = ("upload_request", "select", "confirm", "rule_summary", "result_summary")
_SILENT = ("sample_table", "progress")


@dataclass(frozen=True)
class Step:
    """One step of the bar; ``state`` is done, current or later."""

    number: int
    name: str
    words: str
    state: str


@dataclass(frozen=True)
class CardPart:
    """A card in the conversation. ``answer`` is None until it is answered; ``is_open``: it waits for one now."""

    id: str
    type: str
    data: Mapping[str, Any]
    answer: Mapping[str, Any] | None
    is_open: bool
    is_final: bool = False  # a result that nobody has to approve


@dataclass(frozen=True)
class TextPart:
    """A text in blocks."""

    blocks: list[Block]


@dataclass(frozen=True)
class Message:
    """One bubble: who says it and when, texts and cards in order, files that came with it."""

    number: int
    role: str
    at: str
    parts: list[TextPart | CardPart]
    files: list[str]
    say: str  # for screen readers: texts in one line, cards by what they ask
    is_reply: bool = False  # nothing but the answer to the card before it


@dataclass(frozen=True)
class Side:
    """What stands on one side: words about the source, and which columns look personal."""

    side: str
    name: str
    kind: str
    records: str
    total: int | None = None
    personal: list[tuple[str, bool]] = field(default_factory=list)  # column, whether the model sees it masked


@dataclass(frozen=True)
class Conversation:
    """Everything that the page of a session shows."""

    id: str
    title: str
    phase: str
    status: str
    turn: str
    driver: str
    steps: list[Step]
    messages: list[Message]
    sides: dict[str, Side | None]
    names: dict[str, str]
    pairs: str
    recipe: Mapping[str, Any] | None
    recipe_stored: bool
    run_id: str
    fault: Any = None  # what went wrong with the form that was sent: ``error``, ``card_id``, ``message``

    @property
    def step(self) -> Step:
        """The step that the conversation is at."""
        return next((step for step in self.steps if step.state == "current"), self.steps[-1])

    @property
    def is_guided(self) -> bool:
        """Whether the conversation is led on this machine, without a model."""
        return self.driver != "claude"


def conversation(document: Mapping[str, Any]) -> Conversation:
    """The page's values of a session document."""
    sides = {side: _side(document, side) for side in SIDES}
    turn = str(document.get("turn") or "idle")
    draft = document.get("recipe_draft") or None
    return Conversation(
        id=str(document["session_id"]),
        title=title_of(document),
        phase=str(document["phase"]),
        status=STATUSES.get(str(document["status"]), str(document["status"])),
        turn=turn,
        driver=str(document.get("driver") or "guided"),
        steps=steps(str(document["phase"]), str(document["status"])),
        messages=messages(document.get("messages") or (), waiting=turn == "idle"),
        sides=sides,
        names={side: found.name if found else side for side, found in sides.items()},
        pairs=_pairs(document),
        recipe=draft,
        recipe_stored=draft is not None and document["status"] != "active",
        run_id=str(document.get("run_id") or ""),
    )


def title_of(document: Mapping[str, Any]) -> str:
    """What a conversation is called in lists."""
    return str(document.get("title") or "") or "New conversation"


def list_words(item: Mapping[str, Any]) -> str:
    """Where a conversation stands, for lists: ``Step 4 of 7: Pairs``, or how it ended."""
    if item["status"] in ("running", "completed"):
        return STATUSES[str(item["status"])]
    step = next(step for step in steps(str(item["phase"])) if step.state == "current")
    return f"Step {step.number} of {len(PHASES)}: {step.name}"


def steps(phase: str, status: str = "active") -> list[Step]:
    """The seven steps; all before the current one are done, and the last one too when its run is."""
    names = [name for name, _, _ in PHASES]
    at = len(names) if status == "completed" else names.index(phase) if phase in names else 0
    return [
        Step(number + 1, words, more, "done" if number < at else "current" if number == at else "later")
        for number, (_, words, more) in enumerate(PHASES)
    ]


# --- messages ------------------------------------------------------------------------------------------


def messages(found: Sequence[Mapping[str, Any]], *, waiting: bool) -> list[Message]:
    """The bubbles of a conversation; ``waiting``: no turn is in progress, so cards can be answered."""
    open_ids = _open_cards(found) if waiting else set()
    made: list[Message] = []
    for number, message in enumerate(found, 1):
        made.append(_message(number, message, open_ids, _answers(made[-1]) if made else set()))
    return made


def _answers(message: Message) -> set[str]:
    """What the cards of a message were answered with, in words."""
    return {str(part.answer["words"]) for part in message.parts if isinstance(part, CardPart) and part.answer}


def _open_cards(found: Sequence[Mapping[str, Any]]) -> set[str]:
    """Ids of cards that wait for an answer: of most types the newest one alone."""
    cards = [s for m in found for s in m.get("segments") or () if s.get("type") == "card"]
    newest = {str(card["card_type"]): str(card["card_id"]) for card in cards}
    waiting = set()
    for card in cards:
        kind, card_id = str(card["card_type"]), str(card["card_id"])
        if card.get("answer") or kind in _SILENT or (kind in _ONE_OPEN and newest[kind] != card_id):
            continue
        if kind == "upload_request" and _came_later(found, card_id):
            continue
        waiting.add(card_id)
    return waiting


def _came_later(found: Sequence[Mapping[str, Any]], card_id: str) -> bool:
    """Whether files came with a message after a card."""
    seen = False
    for message in found:
        if seen and message.get("files"):
            return True
        seen = seen or any(segment.get("card_id") == card_id for segment in message.get("segments") or ())
    return False


def _message(number: int, message: Mapping[str, Any], open_ids: set[str], answers: set[str]) -> Message:
    parts: list[TextPart | CardPart] = []
    spoken = []
    files = [str(item.get("filename") or "") for item in message.get("files") or ()]
    for segment in message.get("segments") or ():
        if segment.get("type") == "card":
            card = _card(segment, open_ids)
            parts.append(card)
            spoken.append(_ask(card))
        else:
            text = str(segment.get("content") or "")
            if text.strip() and text != f"Sent {', '.join(files)}":  # the files are shown themselves
                parts.append(TextPart(blocks(text)))
                spoken.append(plain(text))
    parts, spoken = _words_first(parts, spoken)
    role = "agent" if message.get("role") == "agent" else "user"
    say = " ".join(filter(None, spoken))
    is_reply = role == "user" and not files and say in answers
    return Message(number, role, str(message.get("timestamp") or ""), parts, files, say, is_reply)


def _words_first(parts: list[TextPart | CardPart], spoken: list[str]) -> tuple[list[TextPart | CardPart], list[str]]:
    """What is said of tables and results stands above them, though it was said after they were there."""
    order: list[int] = []
    for at, part in enumerate(parts):
        place = len(order)
        while isinstance(part, TextPart) and place and _is_shown(parts[order[place - 1]]):
            place -= 1
        order.insert(place, at)
    return [parts[at] for at in order], [spoken[at] for at in order]


def _is_shown(part: TextPart | CardPart) -> bool:
    return isinstance(part, CardPart) and part.type in ("sample_table", "rule_summary", "result_summary")


def _card(segment: Mapping[str, Any], open_ids: set[str]) -> CardPart:
    card_id, kind = str(segment["card_id"]), str(segment["card_type"])
    data = segment.get("data") or {}
    final = kind == "result_summary" and not data.get("sample")
    return CardPart(card_id, kind, data, segment.get("answer") or None, card_id in open_ids and not final, final)


def _ask(card: CardPart) -> str:
    """What a card is, in a few words to be heard."""
    data = card.data
    if card.type == "match_proposal":
        return f"Pair {data.get('number') or ''}: do these two records belong together?".replace("  ", " ")
    if card.type == "sample_table":
        return f"Table: {data.get('title') or 'records'}, {data.get('shown')} of {count(data.get('total'))} shown."
    words = {
        "rule_summary": "The rule, to approve or adjust.",
        "progress": "The run has started.",
        "result_summary": "The result of the run." if card.is_final else "The result of the sample.",
    }
    return words.get(card.type, str(data.get("title") or data.get("message") or ""))


# --- beside the conversation -----------------------------------------------------------------------------


def _side(document: Mapping[str, Any], side: str) -> Side | None:
    found = (document.get("sides") or {}).get(side)
    if not found:
        return None
    personal = [str(name) for name in found.get("personal") or ()]
    masked = {str(name) for name in found.get("masked", personal)}
    total = found.get("total_rows")
    return Side(
        side=side,
        name=str(found.get("filename") or found.get("alias") or side),
        kind=str(found.get("source_type") or ""),
        records="" if total is None else plural(int(total), "record"),
        total=None if total is None else int(total),
        personal=[(name, name in masked) for name in personal],
    )


def _pairs(document: Mapping[str, Any]) -> str:
    """``3 pairs confirmed, 1 rejected``; "" before the first."""
    numbers = [(len(document.get(f"{kind}_pairs") or ()), kind) for kind in ("confirmed", "rejected", "unsure")]
    told = [f"{number} {'not sure' if kind == 'unsure' else kind}" for number, kind in numbers if number]
    return ", ".join(told)


@dataclass(frozen=True)
class Sent:
    """One request to the model as it went out."""

    at: str
    model: str
    system: str
    messages: list[tuple[str, str]]  # role, text
    tools: str


def sent(requests: Iterable[Mapping[str, Any]]) -> list[Sent]:
    """What went to the model, newest first, as texts."""
    return [
        Sent(
            str(item.get("at") or ""),
            str(item.get("model") or ""),
            _flat(item.get("system")),
            [(str(m.get("role") or ""), _flat(m.get("content"))) for m in item.get("messages") or ()],
            ", ".join(str(t.get("name") if isinstance(t, Mapping) else t) for t in item.get("tools") or ()),
        )
        for item in requests
    ]


def _flat(content: object) -> str:
    """Blocks of the model's interface as text: texts as they are, calls and results with what they carry."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, Mapping):
        if content.get("type") == "text":
            return str(content.get("text") or "")
        if content.get("type") == "tool_use":
            return f"calls {content.get('name')}: {content.get('input')}"
        if content.get("type") == "tool_result":
            return f"result: {_flat(content.get('content'))}"
        return str(dict(content))
    if isinstance(content, Iterable):
        return "\n\n".join(_flat(item) for item in content)
    return str(content)
