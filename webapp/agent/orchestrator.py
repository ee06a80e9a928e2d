"""The loop of one turn: ask the driver, call what it asks for, keep everything, until it waits for the person.

The session is stored after every step, so that a restarted app finds the turn where it was left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from recipe import mask_text
from webapp.agent import phases
from webapp.agent.cards import Card, withdraw
from webapp.agent.compact import compact
from webapp.agent.context import ToolContext, ToolError
from webapp.agent.driver import LENGTH, REFUSED, Driver, DriverError, Step, ToolCall, TurnStopped, View
from webapp.agent.entries import AgentText, Called, Moved, Noted, Result
from webapp.agent.offers import offer
from webapp.agent.privacy import RowBudget
from webapp.agent.prompts import context_of
from webapp.agent.session import Session, TurnState
from webapp.agent.specs import ToolSpec
from webapp.agent.tool_table import execute
from webapp.agent.tools import GO_BACK, SPECS
from webapp.agent.tools_runs import adopt_run
from webapp.context import Kalla
from webapp.services import utc_text
from webapp.stores.masking import mask_all

log = logging.getLogger(__name__)

MOST_FAILURES = 2
_DROPPED = {
    "scoping": "We choose the rows anew; the pairs and the rule found so far are gone.",
    "demonstration": "We look at pairs anew; your answers to the earlier ones and the rule are gone.",
    "inference": "We change the rule; the approval of the earlier one is withdrawn.",
}
Emit = Callable[[str, dict[str, Any]], None]


@dataclass
class Turn:
    """One turn of a session. ``save`` stores the session and raises when somebody else has it; ``emit`` tells who
    listens; ``stopped`` says whether the person wants the turn to end."""

    app: Kalla
    session: Session
    driver: Driver
    save: Callable[[], None]
    emit: Emit
    stopped: Callable[[], bool] = lambda: False
    message: dict[str, Any] = field(default_factory=dict)
    _ends: float = 0.0
    _began: float = 0.0

    # --- the loop --------------------------------------------------------------------------------------

    def open(self, cards: Sequence[Card] = ()) -> None:
        """Begin, or go on with the turn that was left, and store that; ``cards`` stand at the top of the answer."""
        self._begin()
        self._show(list(cards))
        self.save()

    def run(self) -> dict[str, Any]:
        """Work until the agent waits for the person; the agent's message. ``open`` comes first."""
        state = self.session.working.turn
        assert state is not None, "open comes first"
        self.emit("phase", {"phase": self.session.phase, "status": self.session.status})
        for segment in self.message["segments"]:
            self.emit("segment", segment)
        self._finish_interrupted()
        while True:
            limit = self._limit(state)
            if limit:
                self._note(limit)
                break
            try:
                step = self.driver.step(self._view(state), self._write)
            except DriverError as error:
                self._note(error.message)
                break
            except TurnStopped:
                self._note("Stopped, as you asked." if self.stopped() else self._out_of_time())
                break
            state.steps += 1
            if not self._take(step):
                break
        self._end()
        return self.message

    def _begin(self) -> None:
        session = self.session
        state = session.working.turn
        if state is None:
            state = session.working.turn = TurnState(str(time.time_ns()), utc_text(datetime.now(UTC)))
        self._began = time.monotonic()
        self._ends = self._began + max(1.0, self.app.settings.agent_turn_seconds - state.seconds)
        last = session.messages[-1] if session.messages else None
        if last is not None and last["role"] == "agent" and last.get("turn") == state.id:
            self.message = last
        else:
            self.message = {
                "role": "agent",
                "segments": [],
                "timestamp": utc_text(datetime.now(UTC)),
                "turn": state.id,
            }
            session.messages.append(self.message)

    def _limit(self, state: TurnState) -> str:
        """Why the turn has to end here; "" when it goes on."""
        if self.stopped():
            return "Stopped, as you asked."
        if state.steps >= self.app.settings.agent_max_steps:
            return f"I stop here for now: one answer may take {state.steps} steps. {self._standing()}"
        return self._out_of_time() if time.monotonic() >= self._ends else ""

    def _out_of_time(self) -> str:
        seconds = self.app.settings.agent_turn_seconds
        return f"I stop here for now: one answer may take {seconds} seconds. {self._standing()}"

    def _standing(self) -> str:
        """Where the conversation stands."""
        phase = phases.phase_of(self.session)
        return f"We are at the step “{phase.title}”: {phase.goal}. Write “go on” to continue."

    def _view(self, state: TurnState) -> View:
        session = self.session
        rows = RowBudget(self.app.settings.llm_sample_rows)
        return View(
            session=session,
            phase=phases.phase_of(session),
            tools=tuple(spec for spec in self._allowed() if spec.name not in state.withdrawn),
            entries=tuple(session.working.entries),
            context=context_of(session, rows),
            now=datetime.now(UTC),
            steps_left=self.app.settings.agent_max_steps - state.steps,
            seconds_left=max(0.0, self._ends - time.monotonic()),
            rows=rows,
        )

    def _allowed(self) -> list[ToolSpec]:
        """The tools of the phase, and the way back from where sources cannot be chosen any more."""
        phase = phases.phase_of(self.session)
        found = [SPECS[name] for name in phase.tools]
        return [*found, GO_BACK] if phases.is_before("intent", phase.name) else found

    def _take(self, step: Step) -> bool:
        """Keep a step and do what it asks; whether the turn goes on."""
        session = self.session
        if step.text.strip():
            text = mask_text(step.text)
            session.log(AgentText(text))
            self._segment({"type": "text", "content": text})
        if step.ending == REFUSED:
            self._note("The model declined to answer this. Say it in other words, or go on with another step.")
            return False
        if step.ending == LENGTH and not step.calls:
            self._note("The answer was longer than it may be and was cut off. Write “go on” to continue.")
            return False
        if not step.calls:
            self.save()
            return False
        session.log(*(Called(call.id, call.name, mask_all(call.input)) for call in step.calls))
        self.save()
        for call in step.calls:
            self._call(call)
        return True

    def _end(self) -> None:
        session, state = self.session, self.session.working.turn
        assert state is not None, "a turn is under way"
        session.working.choosing = False
        self._moved(phases.settle(session))
        card = offer(session)
        if card is not None:
            self._segment(card)
        self.message.pop("turn", None)
        if not self.message["segments"]:
            session.messages.remove(self.message)
        session.working.turn = None
        self.save()
        self.emit("phase", {"phase": session.phase, "status": session.status})

    # --- tools -----------------------------------------------------------------------------------------

    def _call(self, call: ToolCall) -> None:
        """Call one tool; its result or error goes into the history, and the phase may change."""
        state = self.session.working.turn
        assert state is not None, "a turn is under way"
        spec = SPECS.get(call.name)
        words = _words(spec, call)
        self.emit("tool", {"name": call.name, "words": words, "state": "started"})
        refused = self._refusal(call.name)
        context = ToolContext(self.app, self.session, self._note, self._ends)
        refused = refused or call.problem
        try:
            output = _raise(refused) if refused else self._do(context, call)
        except ToolError as error:
            self.session.log(Result(call.id, call.name, error=error.sentence))
            self.emit("tool", {"name": call.name, "words": words, "state": "failed"})
            self._failed(state, call.name, error.sentence, was_called=not refused or bool(call.problem))
        else:
            self.session.log(Result(call.id, call.name, output=compact(output)))
            self._show(context.added)
            self.emit("tool", {"name": call.name, "words": words, "state": "done"})
        state.seconds = self.app.settings.agent_turn_seconds - max(0.0, self._ends - time.monotonic())
        self._moved(phases.settle(self.session))
        self.save()

    def _do(self, context: ToolContext, call: ToolCall) -> Any:
        if call.name == GO_BACK.name:
            return self._go_back(call)
        return execute(context, call.name, call.input)

    def _go_back(self, call: ToolCall) -> dict[str, Any]:
        to = call.input.get("phase")
        if to not in ("intent", "scoping", "demonstration", "inference"):
            raise ToolError("phase must be intent, scoping, demonstration or inference.")
        moves = phases.go_back(self.session, to)
        if not moves:
            raise ToolError(f"The conversation is at {self.session.phase}, which is not after {to}.")
        if to != "intent":
            withdraw(self.session, "match_proposal", "rule_summary", "result_summary", "confirm")
            self._note(_DROPPED[to])
        self._moved(moves)
        return {"phase": self.session.phase, "tools": list(phases.phase_of(self.session).tools)}

    def _refusal(self, name: str) -> str:
        """Why a tool may not be called now; "" when it may."""
        state = self.session.working.turn
        assert state is not None, "a turn is under way"
        if name in state.withdrawn:
            return f"{name} has failed {MOST_FAILURES} times and is not available for the rest of this turn."
        if name not in [spec.name for spec in self._allowed()]:
            allowed = ", ".join(spec.name for spec in self._allowed())
            return f"{name} is not available in the phase {self.session.phase}. Tools here: {allowed}."
        missing = phases.missing(phases.phase_of(self.session), self.session)
        return f"{' and '.join(missing)} is missing." if missing else ""

    def _failed(self, state: TurnState, name: str, sentence: str, *, was_called: bool) -> None:
        if not was_called or name not in SPECS:
            return
        state.failures[name] = state.failures.get(name, 0) + 1
        if state.failures[name] >= MOST_FAILURES and name not in state.withdrawn:
            state.withdrawn.append(name)
            self._note(f"{_words(SPECS[name], None)} failed twice, so I leave it for now. {sentence}")

    def _finish_interrupted(self) -> None:
        """Call again what was called before the app went away and has no result yet. A run that was started is found
        again rather than started twice."""
        answered = {entry.call_id for entry in self.session.working.entries if isinstance(entry, Result)}
        waiting = [e for e in self.session.working.entries if isinstance(e, Called) and e.id not in answered]
        for entry in waiting:
            if entry.name == "run_full" and (run_id := self._run_started()):
                context = ToolContext(self.app, self.session, self._note, self._ends)
                adopt_run(context, run_id)
                self.session.log(Result(entry.id, entry.name, output={"run_id": run_id, "status": "submitted"}))
                self._show(context.added)
                self.save()
            else:
                self._call(ToolCall(entry.id, entry.name, entry.input))

    def _run_started(self) -> str | None:
        """The run of the draft that this very turn has started already."""
        draft, state = self.session.recipe_draft, self.session.working.turn
        if draft is None or state is None:
            return None
        newest = self.app.runs.list(draft["recipe_id"], None, 1)
        is_ours = newest and newest[0].created_at >= datetime.fromisoformat(state.began)
        return newest[0].run_id if is_ours else None

    # --- what the person sees --------------------------------------------------------------------------

    def _write(self, piece: str) -> None:
        if self.stopped() or time.monotonic() >= self._ends:
            raise TurnStopped
        if piece:
            self.emit("text", {"delta": mask_text(piece)})

    def _segment(self, segment: dict[str, Any]) -> None:
        self.message["segments"].append(segment)
        self.emit("segment", segment)

    def _note(self, words: str) -> None:
        """Something that the engine says."""
        masked = mask_text(words)
        self.session.log(Noted(masked))
        self._segment({"type": "text", "content": masked})

    def _show(self, cards: list[Card]) -> None:
        for card in cards:
            self._segment(card)

    def _moved(self, moves: list[Moved]) -> None:
        if moves:
            self.session.log(*moves)
            self.emit("phase", {"phase": self.session.phase, "status": self.session.status})


def _raise(sentence: str) -> Any:
    raise ToolError(sentence)


def _words(spec: ToolSpec | None, call: ToolCall | None) -> str:
    """What a tool does, for people."""
    if spec is None:
        return "Something that there is no tool for"
    alias = "the source" if call is None else call.input.get("alias")
    return spec.words.replace("{alias}", alias if isinstance(alias, str) else "the source")
