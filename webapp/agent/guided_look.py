"""One look of the guided mode at a conversation: what has happened since the person's last event, and what is known."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webapp.agent.context import ToolError
from webapp.agent.driver import TOOLS, Step, View
from webapp.agent.entries import Called, Entry, Result, ToolCall, since_event
from webapp.agent.places import insight_of
from webapp.agent.session import SIDES, Session
from webapp.context import Kalla
from webapp.inference import Analysis

SAMPLE_ROWS = 200


@dataclass
class Look:
    """What a step is decided from."""

    app: Kalla
    view: View

    def __post_init__(self) -> None:
        self.session: Session = self.view.session
        self.entries: Sequence[Entry] = since_event(self.view.entries)

    def _of(self, kind: type[Any]) -> list[Any]:
        return [entry for entry in self.entries if isinstance(entry, kind)]

    def _done(self, tool: str) -> list[Result]:
        return [entry for entry in self._of(Result) if entry.name == tool and entry.error is None]

    def _called(self, tool: str) -> list[Called]:
        return [entry for entry in self._of(Called) if entry.name == tool]

    def _filename(self, alias: str) -> str:
        upload = self.session.working.uploads.get(alias)
        return upload.filename or alias if upload is not None else alias

    def _may(self, tool: str) -> bool:
        return any(spec.name == tool for spec in self.view.tools)

    def _back(self, phase: str, reason: str) -> Step | None:
        if not self._may("go_back"):
            return None
        return Step("", (call("go_back", phase=phase, reason=f"The person wants {reason}."),), TOOLS)

    def _total(self, side: str) -> int | None:
        """The exact number of a side's rows, where no filter makes it another."""
        place = self.session.place(side)
        return place.total_rows if place is not None and not self.session.scope(side) else None

    def _analysis(self) -> Analysis | None:
        if not all(map(self.session.place, SIDES)):
            return None
        return insight_of(self.app, self.session).analysis

    def _need_analysis(self) -> Analysis:
        analysis = self._analysis()
        if analysis is None:
            raise ToolError("Both sources have to be known first.")
        return analysis


def call(tool: str, /, **given: Any) -> ToolCall:
    return ToolCall(f"guided-{uuid.uuid4()}", tool, given)
