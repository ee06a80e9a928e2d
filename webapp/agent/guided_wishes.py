"""What the guided mode does about a message: swap the sides, take other files, rows or pairs, or go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from webapp.agent import guided_words as words
from webapp.agent.driver import TOOLS, Step
from webapp.agent.entries import AgentText, Attached, CardReply, UserText
from webapp.agent.guided_look import SAMPLE_ROWS, Look, call
from webapp.agent.guided_requests import Request, tolerance_in, understood
from webapp.agent.session import SIDES

_AFTER_SCOPING = ("demonstration", "inference", "validation", "execution")


class Wishes(Look):
    """A message, as far as plain patterns understand it."""

    def _written(self) -> Step | None:
        """What the person wrote, as far as it is understood."""
        texts = self._of(UserText)
        if not texts or self._of(AgentText) or self._of(Attached):
            return None
        request = understood(texts[-1].text, self._analysis())
        return _REQUESTS[request.kind](self, request)

    def _go_on(self, request: Request) -> Step | None:
        return None

    def _unknown(self, request: Request) -> Step | None:
        if self.session.phase in ("greeting", "intent") and not all(map(self.session.place, SIDES)):
            return None  # the first message: whatever it says, the sources come first
        if self._of(CardReply):
            return None  # a remark beside a click
        if self.session.phase in ("inference", "validation") and (limit := tolerance_in(self._of(UserText)[-1].text)):
            return None if self.session.phase == "inference" else self._back("inference", f"a tolerance of {limit}")
        return Step(f"I did not understand that. {words.CAN_SAY}")

    def _side_named(self, request: Request) -> Step | None:
        """The answer to which side a file replaces, or which side gets another file."""
        used = {place.alias for side in SIDES if (place := self.session.place(side)) is not None}
        free = [alias for alias in self.session.working.uploads if alias not in used]
        if self._called("get_source_preview") or self._called("request_file_upload"):
            return None
        if not self._may("get_source_preview"):
            return self._back("intent", "another file")
        if free and self._waits_for_side():
            return Step("", (call("get_source_preview", alias=free[-1], side=request.side, limit=10),), TOOLS)
        return self._ask_for_file(request)

    def _waits_for_side(self) -> bool:
        last = next((e for e in reversed(self.view.entries) if isinstance(e, AgentText)), None)
        return last is not None and words.WHICH in last.text

    def _another_file(self, request: Request) -> Step | None:
        if self._called("request_file_upload"):
            return None
        if not self._may("request_file_upload"):
            return self._back("intent", "another file")
        return self._ask_for_file(request)

    def _ask_for_file(self, request: Request) -> Step:
        which = f"the {request.side} side" if request.side else "the side that it is to replace"
        message = f"Send the file for {which}."
        side = {"side": request.side} if request.side else {}
        return Step("", (call("request_file_upload", message=message, **side),), TOOLS)

    def _swap(self, request: Request) -> Step | None:
        places = [self.session.place(side) for side in SIDES]
        if None in places or len(self._called("get_source_preview")) >= 2:
            return None
        if not self._may("get_source_preview") or self.session.phase in _AFTER_SCOPING:
            if not self._called("go_back"):
                return self._back("intent", "the sides the other way round")
        left, right = (place.alias for place in places if place is not None)
        both = ((right, "left"), (left, "right"))
        return Step("", tuple(call("get_source_preview", alias=a, side=s, limit=10) for a, s in both), TOOLS)

    def _other_pairs(self, request: Request) -> Step | None:
        if self.session.phase in ("inference", "validation", "execution") and not self._called("go_back"):
            return self._back("demonstration", "other pairs")
        return None

    def _filter(self, request: Request) -> Step | None:
        if request.problem:
            return Step(request.problem)
        wanted = {side: request.conditions.get(side) for side in SIDES}
        if request.kind == "all_rows":
            wanted = {side: [] for side in SIDES}
        if self._called("load_scoped"):
            return None
        if self.session.phase in _AFTER_SCOPING and not self._called("go_back"):
            return self._back("scoping", "other rows")
        if not self._may("load_scoped"):
            return Step("Both sources have to be known before rows can be left out.")
        calls = [
            call("load_scoped", alias=self.session.alias(side), conditions=conditions or [], limit=SAMPLE_ROWS)
            for side, conditions in wanted.items()
        ]
        said = [f"{side}: {_condition_words(found)}" for side, found in wanted.items() if found]
        return Step(f"I take only these rows. {'; '.join(said)}." if said else "I take all rows.", tuple(calls), TOOLS)


_OPS = {"gt": "above", "gte": "from", "lt": "before or below", "lte": "up to", "eq": "is", "like": "like"}


def _condition_words(conditions: Sequence[dict[str, Any]]) -> str:
    return " and ".join(f"{c['column']} {_OPS.get(c['op'], c['op'])} {c['value']}" for c in conditions)


_REQUESTS: dict[str, Callable[[Wishes, Request], Step | None]] = {
    "swap": Wishes._swap,
    "other_file": Wishes._another_file,
    "other_pairs": Wishes._other_pairs,
    "side": Wishes._side_named,
    "filter": Wishes._filter,
    "all_rows": Wishes._filter,
    "go_on": Wishes._go_on,
    "unknown": Wishes._unknown,
}
