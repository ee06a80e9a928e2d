"""Flink and Spark through Beam's job service: submit, watch, cancel, and the real cause of a failure.

What the workers tell of their progress lies in the run's folder (``pipelines.progress``): a job server knows Beam's
counters only once a job has ended.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from pipelines import progress
from pipelines.cluster.handshake import greeting
from pipelines.cluster.inquiry import ask, is_not_there, means_the_same_here
from pipelines.errors import FAILURES, PipelineError, from_text, known_failure, recorded_failure
from pipelines.exchange import Exchange
from pipelines.loading import loading_beam
from pipelines.options import ClusterOptions
from pipelines.progress import WorkerEvents
from pipelines.runners.base import Build
from pipelines.runners.causes import NO_POOL, NO_SLOTS, cancelled, cause, no_pool, shortened

with loading_beam():
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability.api import beam_job_api_pb2 as api
    from apache_beam.runners.portability.portable_runner import PortableRunner

_POLL_SECONDS = 0.25
_REACH_SECONDS, _SUBMIT_SECONDS = 5, 30
_AGAIN_SECONDS = 1.0
_ROOM_SECONDS = 1800
_ASK_SECONDS = 2.0
# Half a minute of a job server that is busy, two seconds of one that is gone: its job goes on meanwhile.
_STATE_SECONDS, _UNANSWERED = 10, 3
_ENDED = {api.JobState.DONE, api.JobState.FAILED, api.JobState.CANCELLED, api.JobState.DRAINED}


class PortableJob:
    """One job at a job server, submitted once the cluster has room, again where another run was quicker, and stopped
    there once ``stop`` is set."""

    def __init__(
        self,
        runner: ClusterRunner,
        name: str,
        proto: Any,
        options: PipelineOptions,
        exchange: Exchange,
        stop: threading.Event,
    ) -> None:
        self._runner, self._name, self._options, self._cancelled = runner, name, options, stop
        self._exchange, self._folder, self._proto = exchange, exchange.scratch, proto
        self._messages: list[tuple[int, str]] = []
        self._asked = 0.0
        self._unanswered = 0
        self._waits_since: float | None = None
        self._submit()

    def _submit(self) -> None:
        while not self._cancelled.is_set() and not self._runner.has_room(self._name):
            self._wait_for_room()
        if self._cancelled.is_set():
            raise cancelled()
        self._messages.clear()
        try:
            messages = self._handed_over()
        except (grpc.RpcError, grpc.FutureTimeoutError) as error:
            raise PipelineError(
                f"The job server at {self._runner.cluster.job_endpoint} did not take the job: {_told(error)}",
                code="run.cluster_unreachable",
                hint="Start the master, or the job server with its address; the job server's log says more.",
            ) from error
        threading.Thread(target=self._read, args=(messages,), daemon=True).start()

    def _handed_over(self) -> Iterator[Any]:
        """What the job server tells of the job from now on."""
        _check_listening(str(self._runner.cluster.job_endpoint))
        handle = PortableRunner().create_job_service(self._options)
        self._service = handle.job_service
        # The stream of messages has no deadline: Beam opens it anew under the job's id, which the one that it prepared
        # does not have. No second stream is opened here: a job server does not repeat what it has told.
        self._id, messages, _ = handle.submit(self._proto)
        return messages

    def _wait_for_room(self) -> None:
        """Tells once that the run waits. Raises PipelineError when it has done so for too long: some jobs never end."""
        now = time.monotonic()
        if self._waits_since is None:
            self._waits_since = now
            progress.emit("waiting")
        if now - self._waits_since > _ROOM_SECONDS:
            raise PipelineError(
                f"The cluster had no room for {self._runner.parallelism} steps at once for half an hour.",
                code=NO_SLOTS,
                hint="Wait for other jobs to end, or lower KALLA_PARALLELISM to the slots that they leave free.",
            )
        time.sleep(_AGAIN_SECONDS)

    def _read(self, messages: Iterator[Any]) -> None:
        try:
            for message in messages:
                if message.HasField("message_response"):
                    response = message.message_response
                    self._messages.append((response.importance, response.message_text))
        except grpc.RpcError:
            return  # the job server has gone, which asking for the state tells as well

    @property
    def logs(self) -> list[str]:
        """What the job server told of the job so far."""
        return [text for _, text in self._messages]

    def state(self) -> int:
        """The job's state, of ``JobState``; UNSPECIFIED where the job server did not answer this time.

        Raises PipelineError when it did not answer several times running; the master may still be there, and is asked
        to stop the job.
        """
        try:
            found: int = self._service.GetState(api.GetJobStateRequest(job_id=self._id), timeout=_STATE_SECONDS).state
        except grpc.RpcError as error:
            self._unanswered += 1
            if self._unanswered < _UNANSWERED:
                time.sleep(_AGAIN_SECONDS)
                return api.JobState.UNSPECIFIED
            self._end()
            raise PipelineError(
                f"The job server stopped answering ({error.code().name}).",
                code="run.cluster_lost",
                hint="Look at its log, start it again and run again; nothing was committed.",
            ) from error
        self._unanswered = 0
        return found

    def wait(self) -> None:
        """Pass the workers' events on until the job is done. Raises the failure that a step recorded, else what the
        cluster tells."""
        events = WorkerEvents(self._folder)
        while True:
            state = self.state()
            self._exchange.news()
            events.replay()
            if self._cancelled.is_set() or state == api.JobState.CANCELLED:
                self._end()
                raise cancelled()
            if state == api.JobState.DONE:
                return
            if state in _ENDED:
                told = [text for text in (self._runner.detail(self._name), self._failure()) if text]
                if self._runner.was_taken("\n".join(told)):
                    self._wait_for_room()
                    self._submit()
                    continue
                raise self._explained(told)
            hopeless = self._hopeless(events)
            if hopeless is not None:
                self._end()
                raise hopeless
            time.sleep(_POLL_SECONDS)

    def _hopeless(self, events: WorkerEvents) -> Exception | None:
        """What trying again cannot mend, though a cluster would: a step's own failure, a worker that was refused, or no
        pool where not one step has run."""
        failed = known_failure(str(self._folder))
        if failed is not None or time.monotonic() - self._asked < _ASK_SECONDS:
            return failed
        self._asked = time.monotonic()
        detail = self._runner.detail(self._name)
        known = from_text(detail)
        if known is None and not events.any and (found := cause(detail)) is not None and found.code == NO_POOL:
            known = found
        return known

    def _failure(self) -> str:
        """The stack trace that the job server tells as a detail, and after it the innermost cause, its error."""
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:  # the message comes on a stream of its own
            told = list(self._messages)
            if any(importance == api.JobMessage.JOB_MESSAGE_ERROR for importance, _ in told):
                traces = [text for importance, text in told if importance == api.JobMessage.JOB_MESSAGE_DEBUG]
                errors = [text for importance, text in told if importance == api.JobMessage.JOB_MESSAGE_ERROR]
                return "\n".join([*traces[-1:], errors[-1]])
            time.sleep(0.1)
        return "\n".join(self.logs[-3:])

    def _explained(self, told: list[str]) -> Exception:
        """The error behind what the master told, and after it the job server."""
        known = next(filter(None, (find(text) for find in (from_text, cause) for text in told)), None)
        unknown = PipelineError(
            f"The {self._runner.name.title()} job failed: {shortened(next(iter(told), ''))}",
            code="run.cluster_failed",
            hint="Nothing was committed; the logs of the cluster say more.",
        )
        self._exchange.bring(FAILURES)
        return recorded_failure(str(self._folder), known or unknown)

    def _end(self) -> None:
        try:
            self._service.Cancel(api.CancelJobRequest(job_id=self._id), timeout=5)
        except grpc.RpcError:
            pass  # the master is asked as well
        self._runner.end(self._name)


def _check_listening(endpoint: str) -> None:
    """Raises PipelineError soon where nobody listens, also where a service saw a job server a moment ago: Beam would
    wait as long as taking a job may last."""
    with grpc.insecure_channel(endpoint) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_REACH_SECONDS)
        except grpc.FutureTimeoutError as error:
            raise PipelineError(
                f"No job server answers at {endpoint}.",
                code="run.cluster_unreachable",
                hint="Start it again, or correct KALLA_JOB_ENDPOINT; nothing was read.",
            ) from error


def _told(error: Exception) -> str:
    """What the job server said of a job that it did not take, else what went wrong on the way there."""
    details = error.details() if isinstance(error, grpc.Call) else None
    return shortened(details or str(error))


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Beam makes temporary folders of which it removes some in ``Pipeline.run``, which is not called here, and others
    never: in a folder of the run they go with the run, also where its process is killed."""
    folder.mkdir(exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


class ClusterRunner:
    """What Flink and Spark have in common."""

    name = ""
    keep_workers_millis = 60_000

    def __init__(self, cluster: ClusterOptions, parallelism: int) -> None:
        self.cluster, self.parallelism = cluster, parallelism

    def submit(self, build: Build, exchange: Exchange, run_id: str, stop: threading.Event) -> PortableJob:
        """Raises PipelineError when the job server does not take the job."""
        _check_listening(str(self.cluster.job_endpoint))
        name = f"kalla-{run_id}"
        options = PipelineOptions(self._arguments(exchange, name))
        with _temporary_files_in(exchange.scratch / "beam"):
            pipeline = Pipeline(runner=PortableRunner(), options=options)
            build(pipeline)
            proto = PortableRunner.get_proto_pipeline(pipeline, options)
        return PortableJob(self, name, proto, options, exchange, stop)

    def _arguments(self, exchange: Exchange, name: str) -> list[str]:
        # Every part of the cluster has the jars; a job that names one small file carries no others.
        nothing = exchange.scratch / "nothing.txt"
        nothing.write_text("The cluster has all jars.\n", encoding="utf-8")
        environment = {"url": self.cluster.worker_pool, "params": self._welcome(greeting(exchange))}
        return [
            f"--job_endpoint={self.cluster.job_endpoint}",
            f"--job_name={name}",
            f"--job_server_timeout={_SUBMIT_SECONDS}",
            "--environment_type=EXTERNAL",
            f"--environment_config={json.dumps(environment)}",
            f"--files_to_stage={nothing}",
            f"--parallelism={self.parallelism}",
            # A worker takes seconds to start: it is kept from one stage of a job to the next.
            f"--environment_cache_millis={self.keep_workers_millis}",
            "--no_pipeline_type_check",
        ]

    def _welcome(self, parameters: dict[str, str]) -> dict[str, str]:
        """The parameters of a worker. Raises PipelineError where the pool, asked from here, is away or would refuse
        them."""
        pool, endpoint = self.cluster.worker_pool, str(self.cluster.job_endpoint)
        if is_not_there(pool, endpoint):
            raise no_pool()
        known = ask(pool, parameters) if means_the_same_here(pool, endpoint) else None
        if known is not None:
            raise known
        return parameters

    def has_room(self, name: str) -> bool:
        """Whether the job of this name need not wait for others to end; True where the cluster does not tell."""
        return True

    def was_taken(self, text: str) -> bool:
        """Whether the job failed with ``text`` because another one has what it needs: it is submitted again."""
        return False

    def detail(self, name: str) -> str:
        """What the master knows of why the job of this name failed or is tried again; empty where it is not asked."""
        return ""

    def end(self, name: str) -> None:
        """Have the master stop the job of this name, where the job server cannot."""
