"""The guided mode: a driver that leads through the seven phases by rules alone, with no model and no network.

It decides from the session and from the entries since the person's last event, so that a restart goes on where it was.
It acts through the same tools and cards as the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recipe import KallaError
from webapp.agent import guided_words as words
from webapp.agent.context import ToolError
from webapp.agent.driver import END, TOOLS, Emit, Step, View
from webapp.agent.entries import (
    AgentText,
    Attached,
    CardReply,
    Moved,
    Result,
    RunEnded,
    ToolCall,
    UserText,
)
from webapp.agent.guided_look import SAMPLE_ROWS, call
from webapp.agent.guided_requests import tolerance_in, understood
from webapp.agent.guided_wishes import Wishes
from webapp.agent.places import insight_of
from webapp.agent.session import SIDES
from webapp.context import Kalla
from webapp.inference import Analysis, Draft, NoRule, Verdicts, draft, next_pair

_ALIKE_COLUMNS = 0.6


class GuidedDriver:
    """Leads a conversation by rules. What it knows of the data it asks of ``app``'s insight."""

    name = "guided"

    def __init__(self, app: Kalla) -> None:
        self._app = app

    def step(self, view: View, emit: Emit) -> Step:
        """The next step. Never raises for what sources or people do wrong: it says so."""
        try:
            step = _Turn(self._app, view).step()
        except (KallaError, ToolError) as error:
            said = error.sentence if isinstance(error, ToolError) else f"{error.message} {error.hint}".strip()
            step = Step(f"{said} Write “go on” to try again, or “use another file”.")
        if step.text:
            emit(step.text)
        return step


class _Turn(Wishes):
    """The next step: about what happened, what was written, or else what the phase wants."""

    def step(self) -> Step:
        failed = self._failure()
        if failed is not None:
            return failed
        if self._ended_by_card():
            return Step("", ending=END)
        for handle in (self._run_ended, self._files, self._chosen, self._written):
            step = handle()
            if step is not None:
                return step
        return _PHASES[self.session.phase](self)

    # --- what has happened in this turn ----------------------------------------------------------------

    def _ended_by_card(self) -> bool:
        """The last thing done was to ask the person."""
        last = next((e for e in reversed(self.entries) if isinstance(e, Result | AgentText)), None)
        asking = ("propose_match", "request_file_upload", "run_full")
        return isinstance(last, Result) and last.error is None and last.name in asking

    def _failure(self) -> Step | None:
        """What to say about the last tool, or a file, that failed. Nothing is tried twice in a turn."""
        unusable = [entry for entry in self._of(Result) if entry.name == "get_source_preview" and entry.error]
        if unusable and not self._of(AgentText):
            aliases = {call.id: str(call.input.get("alias")) for call in self._called("get_source_preview")}
            said = [words.cannot_use(self._filename(aliases[e.call_id]), e.error or "") for e in unusable]
            return Step(" ".join(said))
        last = next((e for e in reversed(self.entries) if isinstance(e, Result | AgentText)), None)
        if not isinstance(last, Result) or last.error is None:
            return None
        if last.name in ("run_sample", "run_full"):
            return Step(f"{last.error} Change the rule with its card, or write “go on” to try again.")
        return Step(f"{last.error} Write “go on” to try again, or say what you want to change.")

    # --- events ----------------------------------------------------------------------------------------

    def _run_ended(self) -> Step | None:
        ended = self._of(RunEnded)
        if not ended or self._of(AgentText):
            return None
        return Step(words.run_result(ended[-1].run))

    def _files(self) -> Step | None:
        """Look at what was sent, file by file."""
        sent = [file for entry in self._of(Attached) for file in entry.files]
        tried = {call.input.get("alias") for call in self._called("get_source_preview")}
        waiting = [file for file in sent if file["alias"] not in tried]
        if not waiting:
            return None
        if not self._may("get_source_preview"):
            return None
        if len(sent) > 2:
            names = ", ".join(file["filename"] for file in sent)
            return (
                None
                if self._of(AgentText)
                else Step(f"I compare two files, and these are {len(sent)}: {names}. Send two.")
            )
        calls = [self._preview(file, at, len(sent)) for at, file in enumerate(sent) if file in waiting]
        if any(call is None for call in calls):
            left, right = (self.session.alias(side) for side in SIDES)
            return Step(words.which_side(waiting[0]["filename"], str(left), str(right)))
        return Step("", tuple(call for call in calls if call is not None), TOOLS)

    def _preview(self, file: dict[str, Any], at: int, sent: int) -> ToolCall | None:
        """Which side a file is for; None where only the person can say."""
        side = file.get("side")
        if side is None and sent == 2:
            side = SIDES[at]
        if side is None:
            side = next((name for name in SIDES if self.session.place(name) is None), None)
        if side is None:
            side = self._replaced_side() or self._alike_side(file["alias"])
        return call("get_source_preview", alias=file["alias"], side=side, limit=10) if side else None

    def _replaced_side(self) -> str | None:
        """The side that the person named when asking for another file."""
        for entry in reversed(self.view.entries):
            if isinstance(entry, UserText):
                return understood(entry.text, None).side
            if isinstance(entry, Result) and entry.name == "get_source_preview":
                return None
        return None

    def _alike_side(self, alias: str) -> str | None:
        """The side whose columns a new file has, when it is one side only: next month's statement."""
        from webapp.services.uploads import preview

        place = self.session.working.uploads[alias]
        try:
            names = set(preview(self.app, {"s3_uri": place.uri})["columns"])
        except KallaError:
            return None
        alike = []
        for side in SIDES:
            known = self.session.place(side)
            others = set(known.column_names) if known is not None else set()
            if names and others and len(names & others) / len(names | others) >= _ALIKE_COLUMNS:
                alike.append(side)
        return alike[0] if len(alike) == 1 else None

    def _chosen(self) -> Step | None:
        """A source picked from the list."""
        replies = [r for r in self._of(CardReply) if r.card_type == "select" and r.action == "select"]
        if not replies or self._called("get_source_preview") or not self._may("get_source_preview"):
            return None
        side = replies[-1].data.get("side")
        return Step("", (call("get_source_preview", alias=str(replies[-1].value), side=side, limit=10),), TOOLS)

    # --- phases ----------------------------------------------------------------------------------------

    def _sources(self) -> Step:
        """Greeting and intent: two sources are wanted."""
        here = [place for side in SIDES if (place := self.session.place(side)) is not None]
        if not here:
            if self.session.sources_list is None and not self._called("list_sources"):
                return Step("", (call("list_sources"),), TOOLS)
            registered = bool(self.session.sources_list)
            hint = " Or choose among the sources that are registered here." if registered else ""
            text = f"{words.HELLO} {words.SEND_BOTH}{hint}"
            if registered:
                return Step(text)
            return Step(text, (call("request_file_upload", message="Send the first file."),), TOOLS)
        if len(here) == 2:
            return Step(f"The sources are {here[0].alias} and {here[1].alias}. {words.CAN_SAY}")
        text = self._about(here[0].alias, "left" if self.session.place("left") else "right")
        if self.session.sources_list is None and not self._called("list_sources"):
            return Step("", (call("list_sources"),), TOOLS)
        if not here[0].is_upload:  # the engine asks for the other one with the same list
            return Step(f"{text} {words.CHOOSE_ANOTHER}")
        side = "right" if self.session.place("left") else "left"
        asked = call("request_file_upload", message=words.SEND_ANOTHER, side=side)
        return Step(text, (asked,), TOOLS)

    def _about(self, alias: str, side: str) -> str:
        from webapp.inference import profile
        from webapp.inference.columns import Columns

        if side == "right":
            return f"{self._filename(alias)} is the right side."
        table = insight_of(self.app, self.session).left
        return words.found_in(self._filename(alias), side, Columns(table, profile(table)), self._total(side))

    def _scoping(self) -> Step:
        missing = [side for side in SIDES if not self.session.sample(side)]
        calls = tuple(
            call("load_scoped", alias=self.session.alias(side), conditions=[], limit=SAMPLE_ROWS) for side in missing
        )
        if calls and not self._called("load_scoped"):
            return Step("", calls, TOOLS)
        names = " and ".join(str(self.session.alias(side)) for side in missing)
        return Step(f"{names or 'One source'} holds no rows, so there is nothing to compare. Send another file.")

    def _demonstration(self) -> Step:
        analysis = self._need_analysis()
        said = self._findings(analysis) if self._is_new() else ""
        session = self.session
        lefts, rights = session.sample("left") or [], session.sample("right") or []
        judged = (session.confirmed_pairs, session.rejected_pairs, session.unsure_pairs)
        proposal = next_pair(analysis, lefts, rights, *judged)
        if proposal is None:
            if session.confirmed_pairs:
                return Step("There is no other pair worth asking about in the samples.")
            return Step(f"{said} {words.NO_RULE}".strip())
        asked = call(
            "propose_match",
            left_row=lefts.index(proposal.left_row),
            right_row=rights.index(proposal.right_row),
            reasoning=proposal.reasoning,
        )
        return Step(said, (asked,), TOOLS)

    def _is_new(self) -> bool:
        """Whether the samples came in this turn, so that there is something to tell of them."""
        return bool(self._done("get_source_preview") or self._done("load_scoped"))

    def _findings(self, analysis: Analysis) -> str:
        """What the samples show; a source that was spoken of before is not described again."""
        names = [self._filename(str(self.session.alias(side))) for side in SIDES]
        about = [
            words.found_in(name, side, columns, self._total(side))
            for name, side, columns in zip(names, SIDES, analysis.sides, strict=True)
        ]
        said = [entry.text for entry in self.view.entries if isinstance(entry, AgentText)]
        new = [sentence for sentence in about if not any(sentence in text for text in said)]
        return "\n\n".join([*new, f"{words.common(analysis)} {words.ASK}"])

    def _inference(self) -> Step:
        """Work out the rule, have it built and shown; the card asks for approval."""
        if self._approved("rule_summary"):
            return Step("", (call("save_recipe"),), TOOLS)
        limit, problem = self._wanted_limit()
        if problem:
            return Step(problem)
        try:
            found = self._draft(limit)
        except NoRule as error:
            return Step(f"{error.message} {words.NO_RULE}")
        except ValueError as error:
            return Step(str(error))
        if self._done("build_recipe"):
            return Step(words.RULE_FOUND)  # the card beside it says it all
        if not self._called("infer_rules"):
            names = [list(dict.fromkeys(getattr(rule, f"{side}_col") for rule in found.rules)) for side in SIDES]
            return Step("", (call("infer_rules", left_columns=names[0], right_columns=names[1]),), TOOLS)
        return Step("", (self._build(found),), TOOLS)

    def _build(self, found: Draft) -> ToolCall:
        names = [self.session.place(side) for side in SIDES]
        titles = [(place.filename or place.alias).rpartition(".")[0] or place.alias for place in names if place]
        return call(
            "build_recipe",
            name=f"{titles[0]} against {titles[1]}"[:255],
            match_sql=found.match_sql,
            match_description=found.match_description[:4000],
            left_pk=list(found.left_pk),
            right_pk=list(found.right_pk),
        )

    def _draft(self, limit: str | None) -> Draft:
        session, analysis = self.session, self._need_analysis()
        verdicts = Verdicts(session.confirmed_pairs, session.rejected_pairs, session.unsure_pairs)
        return draft(analysis.left, analysis.right, verdicts, limit, analysis)

    def _wanted_limit(self) -> tuple[str | None, str]:
        """The tolerance that the person last asked for since the pairs were settled, and what was not understood."""
        for entry in reversed(self.view.entries):
            if isinstance(entry, Moved) and entry.phase_to in ("demonstration", "intent", "scoping"):
                return None, ""
            if isinstance(entry, CardReply) and entry.action == "adjust":
                return self._adjusted(entry)
            if isinstance(entry, UserText) and (limit := tolerance_in(entry.text)):
                return limit, ""
        return None, ""

    def _adjusted(self, reply: CardReply) -> tuple[str | None, str]:
        value = reply.value
        text = value.get("text", "") if isinstance(value, dict) else str(value or "")
        limit = value.get("tolerance") if isinstance(value, dict) else None
        limit = limit or tolerance_in(text)
        if limit is None and reply in self.entries:
            return None, (
                "I can change how far amounts may differ: write a number such as 0.05, or use the slider. To teach me "
                "something else, write “other pairs”, and answer them as the rule should be."
            )
        return limit, ""

    def _approved(self, card_type: str) -> bool:
        return any(reply.card_type == card_type and reply.action == "approve" for reply in self._of(CardReply))

    def _validation(self) -> Step:
        if not self._called("validate_recipe"):
            return Step("", (call("validate_recipe"),), TOOLS)
        checked = self._done("validate_recipe")
        if checked and not checked[-1].output["valid"]:
            problems = " ".join(str(problem) for problem in checked[-1].output["errors"])
            return Step(f"The recipe does not fit its sources any more: {problems} Write “use another file”.")
        if not self._called("run_sample"):
            return Step("", (call("run_sample"),), TOOLS)
        ran = self._done("run_sample")
        return Step(words.sample_result(ran[-1].output)) if ran else Step("")

    def _execution(self) -> Step:
        if self.session.status == "running":
            return Step("The run is under way; its card shows how far it is. I will sum it up when it ends.")
        if not self._called("run_full"):
            return Step("Thank you. I run everything now.", (call("run_full"),), TOOLS)
        return Step("")


_PHASES: dict[str, Callable[[_Turn], Step]] = {
    "greeting": _Turn._sources,
    "intent": _Turn._sources,
    "scoping": _Turn._scoping,
    "demonstration": _Turn._demonstration,
    "inference": _Turn._inference,
    "validation": _Turn._validation,
    "execution": _Turn._execution,
}
