"""The history as messages for the model: tool calls with their results, each said once, rows masked and few."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from webapp.agent.driver import View
from webapp.agent.entries import (
    EVENTS,
    AgentText,
    Attached,
    Called,
    CardReply,
    Entry,
    Moved,
    Noted,
    Result,
    RunEnded,
    UserText,
)
from webapp.agent.privacy import RowBudget, masker_of, without_addresses
from webapp.agent.prompts import as_data
from webapp.agent.session import SIDES, Session

Block = dict[str, Any]
Message = dict[str, Any]
MOST_CHARACTERS = 160_000
LOST = "The app was restarted before this ended."
_SETS = ("matched", "unmatched_left", "unmatched_right")
_LEAST_SCRUBBED = 3


def messages_of(view: View) -> list[Message]:
    """Alternating messages, ending with the person's; the state of the phase stands in the last one."""
    outgoing = Outgoing(view.session, view.rows)
    entries = _kept(view.entries)
    rendered = {id(entry): outgoing.result(entry) for entry in reversed(entries) if isinstance(entry, Result)}
    messages = _joined(entries, outgoing, rendered)
    if messages and messages[-1]["content"]:
        messages[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}  # all up to here is said again next time
    _add(messages, "user", {"type": "text", "text": view.context})
    return messages


def _kept(entries: Sequence[Entry]) -> list[Entry]:
    """The latest turns that fit; turns are kept whole."""
    begins = [place for place, entry in enumerate(entries) if isinstance(entry, EVENTS)]
    size, start = 0, len(entries)
    for place in reversed(begins or [0]):
        size += sum(len(repr(entry)) for entry in entries[place:start])
        if size > MOST_CHARACTERS and start < len(entries):
            break
        start = place
    return [*entries[start:]]


def _joined(entries: Sequence[Entry], outgoing: Outgoing, rendered: Mapping[int, str]) -> list[Message]:
    messages: list[Message] = []
    waiting: dict[str, Called] = {}
    for entry in entries:
        if isinstance(entry, Called):
            waiting[entry.id] = entry
            block = {
                "type": "tool_use",
                "id": entry.id,
                "name": entry.name,
                "input": plain_json(without_addresses(entry.input)),
            }
            _add(messages, "assistant", block)
            continue
        if isinstance(entry, Result):
            if waiting.pop(entry.call_id, None) is not None:
                _add_result(messages, entry.call_id, rendered[id(entry)], entry.error is not None)
            continue
        if isinstance(entry, AgentText | UserText | CardReply | Attached | RunEnded):
            _answer_lost(messages, waiting)
        role = "assistant" if isinstance(entry, AgentText) else "user"
        _add(messages, role, {"type": "text", "text": outgoing.text(entry)})
    _answer_lost(messages, waiting)
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": [{"type": "text", "text": "(The conversation goes on.)"}]})
    return messages


def _answer_lost(messages: list[Message], waiting: dict[str, Called]) -> None:
    """A call without result would be refused by the model's provider."""
    for call_id in waiting:
        _add_result(messages, call_id, LOST, True)
    waiting.clear()


def _add(messages: list[Message], role: str, block: Block) -> None:
    if not messages or messages[-1]["role"] != role:
        messages.append({"role": role, "content": []})
    messages[-1]["content"].append(block)


def _add_result(messages: list[Message], call_id: str, text: str, is_error: bool) -> None:
    """Results stand first in their message, as the provider demands, even when something was noted in between."""
    block: Block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
    if is_error:
        block["is_error"] = True
    if not messages or messages[-1]["role"] != "user":
        messages.append({"role": "user", "content": []})
    content = messages[-1]["content"]
    place = sum(1 for known in content if known["type"] == "tool_result")
    content.insert(place, block)


def plain_json(value: Any) -> Any:
    """JSON values that the SDK can write: a Decimal becomes the number it stands for."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {str(name): plain_json(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return value


class Outgoing:
    """Turns entries into texts for the model. Rows are masked and counted; what the person chose to mask is taken out
    of every other text as well."""

    def __init__(self, session: Session, rows: RowBudget) -> None:
        self._session, self._rows = session, rows
        self._masker = masker_of(session)
        self._hidden = _values(session)

    def text(self, entry: Entry) -> str:
        if isinstance(entry, UserText | AgentText):
            return str(without_addresses(entry.text)) or "…"
        if isinstance(entry, CardReply):
            return self._reply(entry)
        if isinstance(entry, Attached):
            files = [{name: file[name] for name in ("alias", "filename", "side")} for file in entry.files]
            return f"The person attached files: {as_data(files)}"
        if isinstance(entry, RunEnded):
            return f"The run has ended. Sum it up for the person: {as_data(self._data(entry.run))}"
        if isinstance(entry, Moved):
            return f"(Now at step {entry.phase_to}: {entry.why}.)"
        assert isinstance(entry, Noted), "calls and results have blocks of their own"
        return f"(Said to the person: {self._scrubbed(str(without_addresses(entry.words)))})"

    def result(self, entry: Result) -> str:
        if entry.error is not None:
            return as_data({"error": self._scrubbed(entry.error)})
        return as_data(self._data(entry.output))

    def _reply(self, entry: CardReply) -> str:
        told: dict[str, Any] = {"card": entry.card_type, "answer": entry.action, "value": entry.value}
        if entry.card_type == "match_proposal":
            told |= self._pair(entry.data)
        if entry.card_type in ("select", "confirm", "upload_request"):
            told |= {name: entry.data[name] for name in ("title", "purpose", "side") if name in entry.data}
        if entry.card_type == "upload_request":
            told["value"] = None  # the file follows as an attachment
        return f"The person answered a card: {as_data(told)}"

    # --- data ------------------------------------------------------------------------------------------

    def _data(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._scrubbed(value)
        if isinstance(value, list):
            return [self._data(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if isinstance(value.get("rows"), list) and isinstance(value.get("columns"), list):
            return self._table(value, value.get("side"))
        if isinstance(value.get("rows"), Mapping) and set(value["rows"]) >= set(_SETS):
            kept = {name: member for name, member in value.items() if name != "rows"}
            return {**self._members(kept), "rows": {name: self._set(name, value["rows"][name]) for name in _SETS}}
        if isinstance(value.get("left"), Mapping) and isinstance(value.get("right"), Mapping) and "card_id" in value:
            return {**self._members({k: v for k, v in value.items() if k not in SIDES}), **self._pair(value)}
        return self._members(value)

    def _members(self, value: Mapping[str, Any]) -> dict[str, Any]:
        dropped = ("uri", "s3_uri", "output_matched", "output_unmatched_left", "output_unmatched_right")
        return {name: self._data(member) for name, member in value.items() if name not in dropped}

    def _pair(self, data: Mapping[str, Any]) -> dict[str, Any]:
        pair = self._masker.pair({side: data[side] for side in SIDES})
        return pair if all([self._rows.allows(side, pair[side]) for side in SIDES]) else {"rows_left_out": 1}

    def _table(self, table: Mapping[str, Any], side: Any) -> dict[str, Any]:
        """A rows object of a side; the rows of a source that is no side any more stay here."""
        about = self._members({n: v for n, v in table.items() if n not in ("rows", "columns", "preview_rows")})
        names = [str(column["name"]) for column in table["columns"]]
        about["columns"] = [{"name": c["name"], "data_type": c["data_type"]} for c in table["columns"]]
        is_current = side in SIDES and self._session.alias(side) == table.get("alias")
        rows = [dict(zip(names, row, strict=True)) for row in table["rows"]] if is_current else []
        masked = [self._masker.row(str(side), row) for row in rows]
        about["rows"] = [row for row in masked if self._rows.allows(str(side), row)]
        return about

    def _set(self, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
        """Rows of a set of evidence. Columns of the matched set may be made of any others, so that they are masked
        altogether where anything is."""
        names = [str(column["name"]) for column in table["columns"]]
        side = name.removeprefix("unmatched_")
        hidden = bool(self._masker.columns["left"] or self._masker.columns["right"])
        shown = []
        for row in table["rows"]:
            cells = dict(zip(names, row, strict=True))
            if name == "matched":
                masked = {n: self._masker.value(c) if hidden and n[:1] != "_" else c for n, c in cells.items()}
                allowed = all([self._rows.allows(one, masked) for one in SIDES])
            else:
                masked = {n: self._scrubbed(c) if c else c for n, c in self._masker.row(side, cells).items()}
                allowed = self._rows.allows(side, masked)
            shown += [masked] if allowed else []
        return {"total_rows": table["total_rows"], "rows": shown}

    def _scrubbed(self, text: str) -> str:
        """A text without the values of masked columns."""
        if self._hidden is None:
            return text
        return self._hidden.sub(lambda found: self._masker.value(found[0]) or "", text)


def _values(session: Session) -> re.Pattern[str] | None:
    """All values of masked columns in samples and judged pairs, as one pattern; longest first."""
    found: set[str] = set()
    for side in SIDES:
        rows = [*(session.sample(side) or []), *(pair[side] for pair in session.judged_pairs)]
        for name in session.masked_columns(side):
            found |= {cell.strip() for row in rows if (cell := row.get(name)) and len(cell.strip()) >= _LEAST_SCRUBBED}
    if not found:
        return None
    return re.compile("|".join(re.escape(value) for value in sorted(found, key=len, reverse=True)))
