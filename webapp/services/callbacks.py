"""What the runner reports about its runs (contract 2.8). Each report is checked, then stored in one UPDATE.

Anything that comes too late (after the end, of an earlier stage, a second time) is answered
``{"ok": true, "ignored": true}`` and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from recipe import Problem, mask_text, mask_uri
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.services.credentials import SIDES
from webapp.services.previews import OUT_OF_REACH
from webapp.stores.run_records import RunRecord

STAGES = ("staging", "matching", "writing_results")
MOST_ROWS = 2**63 - 1
_MOST_TEXT = 20_000
_MOST_WARNINGS = 1000


def progress(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """``{run_id, stage, source?, progress?, matched_count?, total_left?, total_right?, waiting?}``."""
    report = _Report(body)
    stage = report.one_of("stage", STAGES)
    source = report.text("source", optional=True)
    fraction = report.fraction("progress")
    counts = {name: report.count(name, optional=True) for name in ("matched_count", "total_left", "total_right")}
    waiting = report.flag("waiting")
    run = report.run(app)
    stored = app.runs.record_progress(
        run.run_id, stage, source=source or None, progress=fraction, waiting=waiting, **counts
    )
    return _answer(stored)


def complete(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """``{run_id, matched_count, unmatched_*_count, output_paths, *_record_count?, warnings?}``."""
    report = _Report(body)
    stored: dict[str, Any] = {
        name: report.count(name) for name in ("matched_count", "unmatched_left_count", "unmatched_right_count")
    }
    stored["output_paths"] = report.paths()
    for side in SIDES:
        stored[f"{side}_record_count"] = report.count(f"{side}_record_count", optional=True)
    stored["warnings"] = report.warnings()
    run = report.run(app)
    _fill_records(stored, run)
    done = app.runs.complete(run.run_id, stored)
    if done:
        tell_conversations(app, run.run_id)
    if done:
        _note_reachable(app, run)
    return _answer(done)


def _fill_records(stored: dict[str, Any], run: RunRecord) -> None:
    """Records that the report leaves out were told with the progress. A side has no more unmatched than records."""
    told = {} if run.progress is None else {"left": run.progress.total_left, "right": run.progress.total_right}
    for side in SIDES:
        name, least = f"{side}_record_count", stored[f"unmatched_{side}_count"]
        records = stored[name]
        if records is not None and records < least:
            fault = Problem(f"unmatched_{side}_count", f"is greater than {name}", "callback.invalid")
            raise ServiceError("The report contradicts itself.", code="callback.invalid", details=[fault])
        if records is None and (told.get(side) or 0) >= least:
            stored[name] = told.get(side)


def error(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """``{run_id, error, stage?}``; the runner may add ``source`` (a table of match_sql) and ``code``."""
    report = _Report(body)
    message = mask_text(report.text("error") or "")
    stage = report.text("stage", optional=True) or None
    run = report.run(app)
    done = app.runs.fail(run.run_id, message[:_MOST_TEXT], stage)
    if done:
        tell_conversations(app, run.run_id)
    if done and body.get("code") in OUT_OF_REACH:
        _note_unreachable(app, run, str(body.get("source") or ""))
    return _answer(done)


def tell_conversations(app: Kalla, run_id: str) -> None:
    """Conversations that wait for this run go on, beside the report: the runner does not wait for them."""
    if app.chats.waiting_for(run_id):
        from webapp.services import chat  # brings the engine, which reports without a conversation do not need

        chat.beside(lambda: chat.run_ended(app, run_id))


def _answer(stored: bool) -> dict[str, Any]:
    return {"ok": True} if stored else {"ok": True, "ignored": True}


class _Report:
    """One callback's body. Problems are gathered and raised together, before the database is asked."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._problems: list[Problem] = []

    def fault(self, path: str, message: str) -> None:
        self._problems.append(Problem(path, message, "callback.invalid"))

    def text(self, name: str, *, optional: bool = False) -> str | None:
        value = self._body.get(name)
        if value is None and optional:
            return None
        if not isinstance(value, str) or (not value.strip() and not optional):
            self.fault(name, "must be a text")
            return None
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self._body.get(name)
        if not isinstance(value, str) or value not in allowed:
            self.fault(name, f"must be one of {', '.join(allowed)}")
            return allowed[0]
        return value

    def count(self, name: str, *, optional: bool = False) -> int | None:
        value = self._body.get(name)
        if value is None and optional:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_ROWS:
            self.fault(name, "must be a whole number, 0 or greater")
            return None
        return value

    def flag(self, name: str) -> bool:
        value = self._body.get(name)
        if value is not None and not isinstance(value, bool):
            self.fault(name, "must be true or false")
            return False
        return bool(value)

    def fraction(self, name: str) -> float | None:
        value = self._body.get(name)
        if value is None:
            return None
        number = float(value) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else math.nan
        if not 0 <= number <= 1:
            self.fault(name, "must be a number from 0 to 1")
            return None
        return number

    def paths(self) -> dict[str, str]:
        value = self._body.get("output_paths")
        found = value if isinstance(value, Mapping) else {}
        paths = {}
        for name in ("matched", "unmatched_left", "unmatched_right"):
            path = found.get(name)
            if not isinstance(path, str) or not path or "\x00" in path:
                self.fault(f"output_paths.{name}", "must be the address of the written set")
            else:
                paths[name] = mask_uri(path)
        return paths

    def warnings(self) -> list[Any]:
        value = self._body.get("warnings")
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, (str, dict)) for item in value):
            self.fault("warnings", "must be a list")
            return []
        return [_masked(item) for item in value[:_MOST_WARNINGS]]

    def run(self, app: Kalla) -> RunRecord:
        """The run that is meant, once everything else is in order."""
        run_id = self.text("run_id")
        if self._problems:
            first = self._problems[0]
            raise ServiceError(
                f"The report is not valid: {first.path} {first.message}.",
                code="callback.invalid",
                details=self._problems,
            )
        found = app.runs.get(str(run_id)) if is_uuid(str(run_id)) else None
        if found is None:
            raise ServiceError("There is no such run.", code="run.not_found")
        return found


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in its usual form, as run ids are."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value.replace("\x00", "\ufffd"))[:_MOST_TEXT]
    if isinstance(value, dict):
        return {str(name): _masked(item) for name, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value


# --- what a run tells about its sources ----------------------------------------------------------------


def _note_reachable(app: Kalla, run: RunRecord) -> None:
    for table in ("left_src", "right_src"):
        _note(app, run, table, "error", "connected")


def _note_unreachable(app: Kalla, run: RunRecord, table: str) -> None:
    for status in ("connected", "active"):
        _note(app, run, table, status, "error")


def _note(app: Kalla, run: RunRecord, table: str, before: str, after: str) -> None:
    """Set the status of the registered source that this side of the run read, if it did read one."""
    side = table.removesuffix("_src")
    source = run.recipe_snapshot.get("sources", {}).get(side)
    if not source:
        return
    registered = app.sources.get(source["alias"])
    if registered is None or registered.status != before or mask_uri(registered.uri) != source.get("uri"):
        return
    app.sources.set_status(registered.alias, after)
