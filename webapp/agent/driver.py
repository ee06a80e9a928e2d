"""The seam between the conversation and who leads it: the model, or the deterministic guided mode.

A driver sees a read-only view and answers with one step: text, and tools to call. It changes nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from webapp.agent.entries import Entry, ToolCall
from webapp.agent.phases import Phase
from webapp.agent.privacy import RowBudget
from webapp.agent.session import Session
from webapp.agent.specs import ToolSpec

__all__ = [
    "END",
    "LENGTH",
    "REFUSED",
    "TOOLS",
    "Driver",
    "DriverError",
    "Emit",
    "Step",
    "ToolCall",
    "TurnStopped",
    "View",
]

END, TOOLS, LENGTH, REFUSED = "end", "tools", "length", "refused"
Emit = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One answer of a driver. ``ending``: ``end`` (waits for the person), ``tools`` (``calls`` follow), ``length`` (cut
    off by the limit of output), ``refused`` (declined to answer)."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    ending: str = END


@dataclass(frozen=True)
class View:
    """All that a driver sees, read-only.

    ``tools`` are those allowed now, withdrawn ones left out. ``entries`` is the whole history, which survives restarts.
    ``context`` is what the phase says of the data, masked, for the model; ``rows`` is what is left of the rows that may
    go along. ``seconds_left`` is the rest of the turn.
    """

    session: Session
    phase: Phase
    tools: tuple[ToolSpec, ...]
    entries: tuple[Entry, ...]
    context: str
    now: datetime
    steps_left: int
    seconds_left: float
    rows: RowBudget = field(default_factory=lambda: RowBudget(0))


class DriverError(Exception):
    """A driver could not answer. ``message`` is a sentence for people, without secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TurnStopped(Exception):
    """The turn was stopped by the person or the turn's own time while the driver was at work."""


class Driver(Protocol):
    """Who leads a conversation."""

    name: str

    def step(self, view: View, emit: Emit) -> Step:
        """The next step; ``emit`` takes pieces of text while they are written. Raises DriverError, TurnStopped."""
        ...
