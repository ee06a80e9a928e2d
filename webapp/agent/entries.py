"""The history of a conversation as drivers read it: what was said, shown, called and answered, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class ToolCall:
    """A tool that a driver wants called. ``input`` is what it gave, unchecked; numbers are int or Decimal. ``problem``
    says why the input could not even be read; the driver gets it as the call's error."""

    id: str
    name: str
    input: dict[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class UserText:
    """What the person wrote."""

    text: str


@dataclass(frozen=True)
class CardReply:
    """An answered card. ``data`` is the stored card's, ``value`` what came with the click, ``words`` both as text."""

    card_id: str
    card_type: str
    action: str
    value: Any
    words: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Attached:
    """Files that the person sent: ``alias`` (a name for ``get_source_preview``), ``filename``, ``side`` (where an
    ``upload_request`` asked for one, else null)."""

    files: list[dict[str, Any]]


@dataclass(frozen=True)
class AgentText:
    """What the agent wrote."""

    text: str


@dataclass(frozen=True)
class Called:
    """A tool that the agent called."""

    id: str
    name: str
    input: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What a tool gave: ``output``, or ``error``, a sentence."""

    call_id: str
    name: str
    output: Any = None
    error: str | None = None


@dataclass(frozen=True)
class Moved:
    """The conversation went to another phase, and why."""

    phase_from: str
    phase_to: str
    why: str


@dataclass(frozen=True)
class RunEnded:
    """The run of this conversation reached its final status: the run object, and rows of its sets."""

    run: dict[str, Any]


@dataclass(frozen=True)
class Noted:
    """Something that the engine did and told the person: a tool withdrawn, a limit reached, a source replaced."""

    words: str


Entry = UserText | CardReply | Attached | AgentText | Called | Result | Moved | RunEnded | Noted
EVENTS = (UserText, CardReply, Attached, RunEnded)  # what begins a turn
_KINDS: Mapping[str, type[Any]] = {
    kind.__name__: kind for kind in (UserText, CardReply, Attached, AgentText, Called, Result, Moved, RunEnded, Noted)
}


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """The entry as stored."""
    return {"kind": type(entry).__name__, **asdict(entry)}


def entry_from_json(value: Mapping[str, Any]) -> Entry:
    """The entry that was stored; members of later versions are left out."""
    kind = _KINDS[value["kind"]]
    known = {field.name for field in fields(kind)}
    found: Entry = kind(**{name: member for name, member in value.items() if name in known})
    return found


def since_event(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The entries of the present turn: the last events of the person, which came together, and what followed them.

    >>> since_event((UserText("a"), AgentText("b"), UserText("c"), AgentText("d")))
    (UserText(text='c'), AgentText(text='d'))
    """
    last = max((place for place, entry in enumerate(entries) if isinstance(entry, EVENTS)), default=0)
    while last > 0 and isinstance(entries[last - 1], (*EVENTS, Moved, Noted)):
        last -= 1
    return entries[last:]
