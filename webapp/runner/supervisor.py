"""Runs jobs: at most so many at once, each in its own process, each ending in exactly one callback.

Every launch happens on a thread that stays until its run has ended: the kernel kills a run's process when the thread
that started it goes, and all of them when this process is killed.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.launch import END_SECONDS, ClusterOptions, RunRequest, Watch, launch, watch_cluster
from recipe import KallaError, mask_text, read_json
from webapp.errors import ServiceError
from webapp.runner.delivery import Attempt, Delivery
from webapp.runner.jobs import Guards, Job, callback_base, check_callback, payload_of, read_job, read_run_id
from webapp.runner.journal import MOST_STARTS, Entry, Journal, unknown_job
from webapp.runner.log import note
from webapp.runner.metrics import STAGES, Metrics
from webapp.runner.outbox import GIVE_UP_AFTER, Outbox
from webapp.runner.progress import Pace, Sender, Tracker
from webapp.runner.running import Running
from webapp.settings import Settings

COUNTS = (
    "matched_count", "unmatched_left_count", "unmatched_right_count", "left_record_count", "right_record_count",
    "matched_left_count", "matched_right_count",
)  # fmt: skip
DRAIN_SECONDS = 30.0
_SETTLE_SECONDS = 5.0
_KILL_WAIT = END_SECONDS + 5.0
_SOON = {"Retry-After": "5"}


class Launch(Protocol):
    """``pipelines.launch.launch``, or what stands for it in tests."""

    def __call__(
        self,
        request: RunRequest,
        on_event: Callable[[dict[str, Any]], None] = ...,
        timeout: float | None = ...,
        on_start: Callable[[int], None] = ...,
    ) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Parts:
    """What may be replaced: the launcher, the guards, and how fast things go."""

    guards: Guards
    launch: Launch = launch
    memory_limit: int | None = None
    pace: Pace = field(default_factory=Pace)
    give_up_after: float = GIVE_UP_AFTER
    drain_seconds: float = DRAIN_SECONDS


class Companion(Protocol):
    """Something that feeds the supervisor and ends with it, once no job is at work any more."""

    def close(self) -> None: ...


class Supervisor:
    """The runner's core, without HTTP. ``start`` once, ``close`` once."""

    def __init__(self, settings: Settings, journal: Journal, delivery: Delivery, parts: Parts) -> None:
        self.settings, self.metrics = settings, Metrics()
        self._journal, self._delivery, self._parts = journal, delivery, parts
        self._outbox = Outbox(journal, delivery.post, self.metrics, parts.give_up_after)
        self._changed = threading.Condition()
        self._running: dict[str, Running] = {}
        self._companions: list[Companion] = []
        self._watch: Watch | None = None
        self._state = "starting"
        names = [f"kalla-job-{n}" for n in range(settings.max_jobs)]
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what an earlier process left, then work."""
        for entry in self._journal.open_jobs():
            self._recover(entry)
        self._outbox.start()
        self._watch = watch_cluster(self.settings.runner, self._cluster())
        self._state = "ready"
        for thread in self._threads:
            thread.start()
        note(logging.INFO, "The runner is ready.", jobs=self.settings.max_jobs)

    @property
    def ready(self) -> bool:
        """Whether a new job would be taken."""
        return self._state == "ready" and self._journal.queued() < self.settings.queue_size

    @property
    def free(self) -> int:
        """Jobs that could start at once."""
        with self._changed:  # no job is between waiting and running meanwhile
            return self.settings.max_jobs - len(self._running) - self._journal.queued()

    def attach(self, companion: Companion) -> None:
        self._companions.append(companion)

    @property
    def closing(self) -> bool:
        return self._state in ("draining", "closed")

    def close(self, drain_seconds: float | None = None) -> None:
        """Start no more jobs, give those at work some time, then stop. Unfinished ones stay journalled."""
        with self._changed:
            if self.closing:
                return
            self._state = "draining"
            self._changed.notify_all()
        seconds = self._parts.drain_seconds if drain_seconds is None else drain_seconds
        note(logging.INFO, "The runner stops.", running=len(self._running), seconds=seconds)
        ends = time.monotonic() + seconds
        with self._changed:
            while self._running and time.monotonic() < ends:
                self._changed.wait(ends - time.monotonic())
            for running in self._running.values():
                running.end("stopped")
        for thread in self._threads:
            thread.join(_KILL_WAIT)
        for companion in [*self._companions, *([self._watch] if self._watch else [])]:
            companion.close()
        self._outbox.settle(_SETTLE_SECONDS)
        self._outbox.stop()
        self._state = "closed"
        self._journal.close()

    # --- jobs ----------------------------------------------------------------------------------------------------

    def submit(self, body: Mapping[str, Any], streamed: bool = False) -> str:
        """Journal a job; returns its id. Raises ServiceError as contract 3.1 lists them."""
        payload, digest = payload_of(body)
        known = read_run_id(body)
        if known is not None and self._journal.knows(known, digest):
            return known
        if self._state != "ready":
            raise ServiceError(
                "The runner is starting or stopping.", code="runner.not_ready", headers={"Retry-After": "5"}
            )
        job = read_job(body, self.settings, self._parts.guards, streamed)
        most = self.settings.queue_size
        if self._journal.add(job.run_id, digest, payload, job.callback_url, most, streamed):
            note(logging.INFO, "A job was accepted.", run_id=job.run_id)
            with self._changed:
                self._changed.notify()
        return job.run_id

    def refuse(self, body: Mapping[str, Any], message: str, code: str) -> str:
        """End a job that is not to run with an error callback; returns its id. Raises ServiceError when there is
        nobody to tell: ``job.invalid``, ``job.callback_forbidden``, ``job.conflict``."""
        payload, digest = payload_of(body)
        run_id, url = read_run_id(body), body.get("callback_url")
        if run_id is None or not isinstance(url, str):
            raise ServiceError("The job names no run or no callback.", code="job.invalid")
        base = callback_base(url)
        check_callback(base, self.settings, self._parts.guards)
        self._journal.add(run_id, digest, payload, base, 1 << 62, streamed=True, refused=True)
        self._fail(run_id, message, code, None)
        self._outbox.wake()
        return run_id

    def status(self, run_id: str) -> dict[str, Any]:
        """``{run_id, status, stage, progress}``. Raises ServiceError ``job.not_found``."""
        entry = self._entry(run_id)
        running = self._running.get(entry.run_id)
        if entry.status == "running" and running is not None:
            stage, progress = running.tracker.stage, running.tracker.fraction
            return {"run_id": entry.run_id, "status": entry.status, "stage": stage, "progress": progress}
        done = 1.0 if entry.status == "completed" else None
        return {"run_id": entry.run_id, "status": entry.status, "stage": entry.stage, "progress": done}

    def cancel(self, run_id: str) -> str:
        """End a job without a callback; returns its id. Raises ServiceError ``job.not_found``, ``job.final``."""
        found = self._entry(run_id).run_id
        self._journal.cancel(found)
        with self._changed:
            running = self._running.get(found)
        if running is not None:
            running.end("cancelled")
        note(logging.INFO, "A job was cancelled.", run_id=found)
        return found

    def metrics_text(self) -> bytes:
        self.metrics.active.set(len(self._running))
        self.metrics.queued.set(self._journal.queued())
        return self.metrics.text()

    def _entry(self, run_id: str) -> Entry:
        found = self._journal.get(run_id.lower())
        if found is None:
            raise unknown_job(run_id)
        return found

    def _recover(self, entry: Entry) -> None:
        """A job of an earlier process: the stream brings its own again, others start again, once."""
        if entry.streamed:
            self._journal.forget(entry.run_id)
        elif entry.starts >= MOST_STARTS:
            message = f"The run was interrupted {entry.starts} times, so it is not started again."
            self._fail(entry.run_id, message, "job.interrupted", entry.stage)
        elif entry.status == "running":
            self._journal.requeue(entry.run_id)
            note(logging.WARNING, "An interrupted job starts again.", run_id=entry.run_id)

    # --- one worker thread ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            try:
                entry = self._next()
                if entry is None:
                    return
                self._run(entry)
            except sqlite3.Error as error:
                # Nothing of the job is lost: what cannot be journalled now is found there at the next start.
                note(logging.ERROR, "The journal cannot be used.", reason=error)
                time.sleep(1)

    def _next(self) -> Entry | None:
        """The next job, entered as running; None when the runner stops."""
        with self._changed:
            while self._state == "ready":
                entry = self._journal.start_next()
                if entry is not None:
                    self._running[entry.run_id] = Running(entry.run_id, Tracker(entry.run_id, {}, 1))
                    return entry
                self._changed.wait()
            return None

    def _run(self, entry: Entry) -> None:
        running = self._running[entry.run_id]
        try:
            with self._failures(entry.run_id, running):
                job = self._job(entry)
                running.tracker = Tracker(entry.run_id, job.sides, self.settings.partitions)
                sender = self._sender(job, running.tracker)
                try:
                    outcome = self._launched(job, running, sender)
                finally:
                    running.ended()
                    sender.stop()
                self._report(job, running, outcome)
        finally:
            with self._changed:
                self._running.pop(entry.run_id, None)
                self._changed.notify_all()
            self._outbox.wake()

    @contextlib.contextmanager
    def _failures(self, run_id: str, running: Running) -> Iterator[None]:
        """Whatever goes wrong here ends the job with an error, except for the journal itself."""
        try:
            yield
        except sqlite3.Error:
            raise
        except KallaError as error:
            self._fail(run_id, _sentence(error.message, error.hint), error.code, running.tracker.stage)
        except Exception as error:  # noqa: BLE001 - a job must not stay open, whatever happened
            number = uuid.uuid4().hex
            note(logging.ERROR, "A job failed unforeseen.", run_id=run_id, number=number, reason=repr(error))
            message = f"The runner failed unforeseen. Its log says more under {number}."
            self._fail(run_id, message, "internal.error", running.tracker.stage)

    def _job(self, entry: Entry) -> Job:
        """The job, checked once more: names may lead elsewhere by now."""
        if entry.payload is None:  # cancelled between being taken and now
            raise ServiceError("The job was cancelled.", code="job.final")
        return read_job(read_json(entry.payload), self.settings, self._parts.guards, entry.streamed)

    def _sender(self, job: Job, tracker: Tracker) -> Sender:
        def send(body: dict[str, Any]) -> Attempt:
            return self._delivery.post(job.callback_url, "progress", body)

        failed = self.metrics.callbacks_failed.labels("progress").inc
        sender = Sender(tracker, send, failed, lambda: self._outbox.release(job.run_id), self._parts.pace)
        self._outbox.hold(job.run_id)
        sender.start()
        return sender

    def _launched(self, job: Job, running: Running, sender: Sender) -> dict[str, Any]:
        def on_event(event: dict[str, Any]) -> None:
            if running.tracker.take(event):
                self._keep_stage(job.run_id, running.tracker.stage)
            sender.changed()

        request = RunRequest(
            recipe=job.document,
            output=job.output.target,
            run_id=job.run_id,
            partitions=self.settings.partitions,
            engine=self.settings.engine,
            runner=self.settings.runner,
            cluster=self._cluster(),
            choice=self._watch.latest() if self._watch else None,
            memory_limit=self._parts.memory_limit,
            overwrite=True,  # its own evidence, from before an interruption; another run's was refused
            roots=[str(root) for root in self.settings.readable_roots],
            hosts={host: list(addresses) for host, addresses in job.hosts.items()},
            staging=str(self.settings.scratch_path or self.settings.staging_path / "runner" / "work"),
            exchange=self.settings.exchange,
        )
        note(logging.INFO, "A job starts.", run_id=job.run_id)
        outcome = self._parts.launch(request, on_event, float(self.settings.job_timeout_seconds), running.started)
        running.tracker.finish()
        return outcome

    def _cluster(self) -> ClusterOptions:
        given = self.settings
        return ClusterOptions(
            given.job_endpoint, given.worker_pool, given.master_url, given.parallelism, given.sql_service
        )

    def _keep_stage(self, run_id: str, stage: str) -> None:
        try:
            self._journal.set_stage(run_id, stage)
        except sqlite3.Error as error:  # only an error after a crash would name an earlier stage
            note(logging.ERROR, "The journal cannot be written.", run_id=run_id, reason=error)

    def _report(self, job: Job, running: Running, outcome: Mapping[str, Any]) -> None:
        """Make the job final, unless it was cancelled or is to start again."""
        if outcome.get("status") == "completed":
            self._count(running.tracker, outcome)
            body = {"run_id": job.run_id, **{name: outcome[name] for name in COUNTS}}
            body |= {"match_rate": outcome["match_rate"], "output_paths": job.output.paths}
            body["warnings"] = outcome.get("warnings", [])
            self._keep_stage(job.run_id, STAGES[-1])
            if self._finish(job.run_id, "completed", "complete", body):
                self.metrics.completed.inc()
                note(logging.INFO, "A job completed.", run_id=job.run_id, matched=body["matched_count"])
        elif not running.ending:
            error = outcome["error"]
            if outcome.get("trace"):
                note(logging.DEBUG, "A job's process left a trace.", run_id=job.run_id, trace=outcome["trace"])
            self._fail(job.run_id, str(error["message"]), str(error["code"]), running.tracker.stage)

    def _count(self, tracker: Tracker, outcome: Mapping[str, Any]) -> None:
        for side in ("left", "right"):
            self.metrics.rows_read.labels(side).inc(int(outcome[f"{side}_record_count"]))
        for stage, seconds in tracker.seconds.items():
            self.metrics.duration.labels(stage).observe(seconds)

    def _fail(self, run_id: str, message: str, code: str, stage: str | None) -> None:
        body = {"run_id": run_id, "error": mask_text(message), "code": code, "stage": stage or STAGES[0]}
        if self._finish(run_id, "failed", "error", body):
            self.metrics.failed.inc()
            note(logging.WARNING, "A job failed.", run_id=run_id, code=code, reason=message)

    def _finish(self, run_id: str, status: str, kind: str, body: dict[str, Any]) -> bool:
        """Journal the end of a job, however long the disk is full; False when it was final before."""
        while True:
            try:
                return self._journal.finish(run_id, status, kind, body)
            except sqlite3.Error as error:
                note(logging.ERROR, "The journal cannot be written.", run_id=run_id, reason=error)
                if self.closing:
                    raise  # the job is found there as interrupted at the next start
                time.sleep(1)


def _sentence(message: str, hint: str) -> str:
    return f"{message} {hint}".strip()
