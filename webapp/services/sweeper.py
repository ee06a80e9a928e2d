"""Looks after runs that nobody reports about any more, and after uploads whose time is over.

A run whose runner is gone must not stay open for ever, and one that waits in a queue must not fail for waiting.
"""

from __future__ import annotations

import fcntl
import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from typing import Any

from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.services import findings, uploads
from webapp.stores.run_records import RunRecord

log = logging.getLogger(__name__)

SWEEP_SECONDS = 15.0
PENDING_SECONDS = 60  # longer than handing over a job can take, repeats included
LOCK_NAME = "sweeper.lock"


@dataclass(frozen=True)
class Swept:
    """What one sweep did: the runs that it failed, with the reason given."""

    failed: dict[str, str]


def sweep(app: Kalla, now: datetime | None = None, since: datetime | None = None) -> Swept:
    """One round: silent runs, runs that were never handed over, uploads past their time.

    ``since`` is from when on the app could take reports: what is not there yet after an outage of its own may still be
    on its way, as the runner repeats it less and less often.
    """
    moment = now or datetime.now(UTC)
    failed: dict[str, str] = {}
    runner = _Runner(app)
    listening = timedelta.max if since is None else moment - since
    for run_id in app.runs.silent(moment - timedelta(seconds=min(PENDING_SECONDS, app.settings.run_stale_seconds))):
        run = app.runs.get(run_id)
        reason = _verdict(app, runner, run, moment, listening) if run is not None else ""
        if run is not None and reason and app.runs.fail(run_id, reason, _stage(run)):
            log.warning("run %s failed by the sweeper: %s", run_id, reason)
            failed[run_id] = reason
    uploads.expire(app)
    findings.expire(app.settings)
    _conversations(app)
    return Swept(failed)


def _conversations(app: Kalla) -> None:
    """Turns that a killed app left, and runs that ended while nobody told their conversation."""
    if app.chats.interrupted() or app.chats.waiting():
        from webapp.services import chat  # brings the engine, which most sweeps do not need

        chat.look_after(app)


def _stage(run: RunRecord) -> str | None:
    return run.progress.stage if run.progress is not None else None


def _verdict(app: Kalla, runner: _Runner, run: RunRecord, now: datetime, listening: timedelta) -> str:
    """Why the run has to fail; "" when it may stay open."""
    quiet = (now - _last_sign(run)).total_seconds()
    if run.status == "pending":
        return "" if quiet < PENDING_SECONDS else _never_submitted(app, runner, run, quiet)
    if run.status not in ("submitted", "running") or quiet < app.settings.run_stale_seconds:
        return ""
    answered, job = runner.status(run.run_id)
    waited = min(quiet, listening.total_seconds())
    return _at_runner(app, job, quiet, waited) if answered else _unanswered(app, run, quiet, waited)


def _never_submitted(app: Kalla, runner: _Runner, run: RunRecord, quiet: float) -> str:
    """The app did not get to note that it handed the run over, so the runner says whether it did."""
    answered, job = runner.status(run.run_id)
    if job is not None and job.get("status") != "cancelled":
        app.runs.mark_submitted(run.run_id)
        return ""
    if not answered and quiet < app.settings.run_stale_seconds:
        return ""
    return "The app stopped before the run was handed to the runner. Nothing was read; run it again."


class _Runner:
    """The runner as one sweep sees it: once it gives no answer it is not asked again, as each question may take as long
    as a time limit."""

    def __init__(self, app: Kalla) -> None:
        self._app, self._answers = app, True

    def status(self, run_id: str) -> tuple[bool, dict[str, Any] | None]:
        """Whether there was an answer, and the job; None when the runner does not know it."""
        if self._answers:
            try:
                return True, self._app.dispatcher.status(run_id)
            except ServiceError as error:
                log.warning("looking up run %s failed: %s", run_id, error.code)
                self._answers = False
        return False, None


def _last_sign(run: RunRecord) -> datetime:
    return run.last_callback_at or run.updated_at


def _unanswered(app: Kalla, run: RunRecord, quiet: float, waited: float) -> str:
    """The runner gives no answer. A waiting job may still sit safely in its journal or the queue, for as long as a
    job may take at all."""
    if run.status == "submitted" and quiet < app.settings.job_timeout_seconds:
        return ""
    if waited < app.settings.run_stale_seconds:
        return ""
    return f"The runner has not reported for {_span(quiet)} and does not answer. Check that it is up; run it again."


def _at_runner(app: Kalla, job: dict[str, Any] | None, quiet: float, waited: float) -> str:
    state = None if job is None else job.get("status")
    if state in ("queued", "running"):
        return ""
    if state in ("completed", "failed") and waited < 2 * app.settings.run_stale_seconds:
        return ""  # its final report is on the way: the runner repeats it
    if state in ("completed", "failed"):
        return f"The runner ended the run, and its report has not arrived for {_span(quiet)}. Run it again."
    if state == "cancelled":
        return "The runner was told to stop the run. Run it again."
    return f"The runner has not reported for {_span(quiet)} and does not know the run any more. Run it again."


def _span(seconds: float) -> str:
    return f"{int(seconds)} seconds" if seconds < 120 else f"{int(seconds // 60)} minutes"


class Sweeper:
    """A thread that sweeps every ``seconds``. Of several processes of one app only the holder of a file lock below
    the staging folder works; when it ends, the next one takes over."""

    def __init__(self, app: Kalla, seconds: float = SWEEP_SECONDS) -> None:
        self._app, self._seconds = app, seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock: TextIOWrapper | None = None
        self._since = datetime.now(UTC)

    @property
    def is_holder(self) -> bool:
        """Whether this process is the one that sweeps."""
        return self._lock is not None

    def start(self) -> None:
        """Begin; a second start does nothing."""
        if self._thread is None:
            self._stop.clear()
            self._since = datetime.now(UTC)
            self._thread = threading.Thread(target=self._work, name="kalla-sweeper", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and leave the work to others; waits for a sweep that is under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._lock is not None:
            self._lock.close()  # the lock goes with it
            self._lock = None

    def _work(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                if self._holds():
                    sweep(self._app, since=self._since)
            except Exception:
                # The next round comes whatever went wrong in this one: without it runs would stay open for ever.
                log.exception("a sweep failed")
                self._since = datetime.now(UTC)  # without its database the app takes no reports either

    def _holds(self) -> bool:
        if self._lock is None:
            folder = self._app.settings.staging_path
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / LOCK_NAME).open("a")
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._lock = file
                return True
            file.close()
        return self._lock is not None
