"""What becomes of a submitted job, told by a job server that says what the test wants; no cluster is needed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from pipelines.cluster.processes import free_port
from pipelines.errors import PipelineError, recorded
from pipelines.exchange import SharedFolders
from pipelines.loading import loading_beam
from pipelines.options import Choice, ClusterOptions
from pipelines.runners import portable
from pipelines.runners.choice import FALLBACK
from pipelines.runners.flink import FlinkRunner, is_living, named, newest
from pipelines.runners.portable import ClusterRunner, PortableJob
from pipelines.runners.submit import run_on_cluster
from tests.cluster.scenarios import sample
from tests.helpers import beam, request

with loading_beam():
    import apache_beam
    from apache_beam.portability.api import beam_job_api_pb2 as api
    from apache_beam.portability.api import beam_job_api_pb2_grpc as services

DONE, RUNNING, FAILED = api.JobState.DONE, api.JobState.RUNNING, api.JobState.FAILED
Answer = int | grpc.StatusCode


class JobServer(services.JobServiceServicer):
    """Takes every job. ``answers`` are the states it tells of one after the other, the last one for good; a status in
    place of a state is an answer that fails."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.said, self.trace, self.takes = "nothing of note", "", 100

    def DescribePipelineOptions(self, request: Any, context: Any) -> Any:
        return api.DescribePipelineOptionsResponse()

    def Prepare(self, request: Any, context: Any) -> Any:
        return api.PrepareJobResponse(preparation_id="prepared", staging_session_token="token")

    def Run(self, request: Any, context: Any) -> Any:
        self.asked.append("run")
        if len(self.asked) > self.takes:
            context.abort(grpc.StatusCode.INTERNAL, "no more")
        return api.RunJobResponse(job_id=f"job-{len(self.asked)}")

    def GetStateStream(self, request: Any, context: Any) -> Any:
        if request.job_id == "prepared":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
        yield api.JobStateEvent(state=RUNNING)

    def GetMessageStream(self, request: Any, context: Any) -> Any:
        if self.trace:
            trace = api.JobMessage(importance=api.JobMessage.JOB_MESSAGE_DEBUG, message_text=self.trace)
            yield api.JobMessagesResponse(message_response=trace)
        message = api.JobMessage(importance=api.JobMessage.JOB_MESSAGE_ERROR, message_text=self.said)
        yield api.JobMessagesResponse(message_response=message)

    def GetState(self, request: Any, context: Any) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "as the test wants it")
        return api.JobStateEvent(state=answer)

    def Cancel(self, request: Any, context: Any) -> Any:
        self.asked.append("cancel")
        return api.CancelJobResponse()


class Master(ClusterRunner):
    """A runner of a cluster whose master notes what it is asked."""

    name = "flink"
    ended = 0

    def end(self, name: str) -> None:
        self.ended += 1


@contextlib.contextmanager
def serving(*answers: Answer) -> Iterator[tuple[JobServer, ClusterOptions]]:
    servicer = JobServer(list(answers))
    server = grpc.server(ThreadPoolExecutor(8))
    services.add_JobServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield servicer, ClusterOptions(f"127.0.0.1:{port}", f"127.0.0.1:{port}", parallelism=2)
    finally:
        server.stop(0).wait()


def build(pipeline: Any) -> None:
    _ = pipeline | apache_beam.Create([1])


def shared(folder: Path) -> SharedFolders:
    """Everything in one folder."""
    return SharedFolders(str(folder), str(folder / "evidence"))


def submitted(runner: ClusterRunner, folder: Path, stop: threading.Event | None = None) -> PortableJob:
    return runner.submit(build, shared(folder), "r1", stop or threading.Event())


def told(call: Callable[[], None]) -> str:
    with pytest.raises(PipelineError) as error:
        call()
    return error.value.code


def test_a_job_that_is_done_ends_the_wait(tmp_path: Path) -> None:
    with serving(RUNNING, DONE) as (server, cluster):
        runner = Master(cluster, 2)
        submitted(runner, tmp_path).wait()
        assert (server.asked, runner.ended) == (["run"], 0)


def test_what_beam_keeps_of_a_pipeline_lies_in_the_runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch, temporary = tmp_path / "scratch", tmp_path / "temporary"
    scratch.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with serving(DONE) as (_, cluster):
        submitted(Master(cluster, 2), scratch).wait()
    assert not list(temporary.iterdir())


def test_a_run_that_was_told_to_stop_is_not_done(tmp_path: Path) -> None:
    """Also where its job was quicker: what is done would be committed."""
    stop = threading.Event()
    with serving(DONE) as (server, cluster):
        runner = Master(cluster, 2)
        job = submitted(runner, tmp_path, stop)
        stop.set()
        assert told(job.wait) == "run.cancelled"
        assert (server.asked, runner.ended) == (["run", "cancel"], 1)


def test_a_run_that_was_told_to_stop_submits_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with serving(DONE) as (server, cluster):
        assert told(lambda: submitted(Master(cluster, 2), tmp_path, stop).wait()) == "run.cancelled"
        assert not server.asked


def test_an_answer_that_fails_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "_AGAIN_SECONDS", 0.01)
    away = [grpc.StatusCode.UNAVAILABLE] * 2
    with serving(*away, RUNNING, *away, DONE) as (server, cluster):
        submitted(Master(cluster, 2), tmp_path).wait()
        assert server.asked == ["run"]


def test_a_job_server_that_is_lost_fails_the_run_and_both_are_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "_AGAIN_SECONDS", 0.01)
    with serving(RUNNING, grpc.StatusCode.UNAVAILABLE) as (server, cluster):
        runner = Master(cluster, 2)
        assert told(submitted(runner, tmp_path).wait) == "run.cluster_lost"
        assert (server.asked, runner.ended) == (["run", "cancel"], 1)


@pytest.mark.timeout(120)
def test_a_job_server_that_went_after_it_was_seen_is_told_before_beam_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service looks at its cluster from time to time; the run that starts in between need not wait for Beam."""
    monkeypatch.setattr(portable, "_SUBMIT_SECONDS", 3600)
    monkeypatch.setattr(portable, "_REACH_SECONDS", 0.2)
    gone = ClusterOptions(f"127.0.0.1:{free_port()}", parallelism=2)
    assert told(lambda: submitted(Master(gone, 2), tmp_path).wait()) == "run.cluster_unreachable"
    seen = Choice("flink", "it answered a moment ago", 2)
    outcome = beam(sample(), tmp_path / "out", runner="auto", cluster=gone, choice=seen)
    assert (outcome["runner"], outcome["matched_count"]) == ("direct", 7)
    assert [w for w in outcome["warnings"] if w["code"] == FALLBACK and str(gone.job_endpoint) in w["message"]]


def test_a_failure_that_a_new_try_mended_hides_no_lost_job_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "_AGAIN_SECONDS", 0.01)
    with contextlib.suppress(KeyError), recorded(str(tmp_path)):
        raise KeyError("mended since")
    with serving(RUNNING, grpc.StatusCode.UNAVAILABLE) as (_, cluster):
        asked = request({}, tmp_path / "out", cluster=cluster)
        choice, folders = Choice("flink", "asked for", 2), shared(tmp_path)
        assert told(lambda: run_on_cluster(asked, choice, build, folders)) == "run.cluster_lost"


class Full(Master):
    """A cluster that has room when it was asked often enough."""

    def __init__(self, cluster: ClusterOptions, refusals: int, taken: int = 0) -> None:
        super().__init__(cluster, 2)
        self.refusals, self.taken = refusals, taken

    def has_room(self, name: str) -> bool:
        self.refusals -= 1
        return self.refusals < 0

    def was_taken(self, text: str) -> bool:
        self.taken -= 1
        return self.taken >= 0


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(portable, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(portable.progress, "emit", found.append)
    return found


def test_a_run_that_waits_says_so_once(tmp_path: Path, events: list[str]) -> None:
    with serving(FAILED, FAILED, DONE) as (server, cluster):
        submitted(Full(cluster, 3, taken=2), tmp_path).wait()
        assert (server.asked, events) == (["run"] * 3, ["waiting"])


def test_the_masters_word_says_as_well_that_slots_were_taken(tmp_path: Path, events: list[str]) -> None:
    class Short(Master):
        def detail(self, name: str) -> str:
            return "NoResourceAvailableException"

        def was_taken(self, text: str) -> bool:
            return self.detail("") in text and "of note" in text

    with serving(FAILED, DONE) as (server, cluster):
        submitted(Short(cluster, 2), tmp_path).wait()
        assert (server.asked, events) == (["run"] * 2, ["waiting"])


@pytest.mark.parametrize(
    ("master", "server", "code", "says"),
    [
        ("", "Caused by: x.Y: too bad", "run.cluster_failed", "The Flink job failed: x.Y: too bad"),
        ("Caused by: of the master", "of the server", "run.cluster_failed", "of the master"),
        ("nothing of it", "RestClientException", "run.cluster_unreachable", "cannot reach"),
        ("UNAVAILABLE", "[run.worker_version] Old. [hint] Renew. [end]", "run.worker_version", "Old."),
    ],
)
def test_why_a_job_failed(tmp_path: Path, master: str, server: str, code: str, says: str) -> None:
    class Telling(Master):
        def detail(self, name: str) -> str:
            return master

    with serving(RUNNING, FAILED) as (servicer, cluster):
        servicer.said = server
        job = submitted(Telling(cluster, 2), tmp_path)
        with pytest.raises(PipelineError, match=says) as error:
            job.wait()
        assert error.value.code == code


def test_the_innermost_cause_alone_says_too_little(tmp_path: Path) -> None:
    """Of a pool that is away it says no more than of a master that is away."""
    with serving(RUNNING, FAILED) as (server, cluster):
        server.said = "java.net.ConnectException: finishConnect(..) failed: Connection refused"
        server.trace = (
            f"StatusRuntimeException: UNAVAILABLE\n\tat x.ExternalEnvironmentFactory\nCaused by: {server.said}"
        )
        assert told(submitted(Master(cluster, 2), tmp_path).wait) == "run.worker_pool_unreachable"


def test_what_a_step_recorded_comes_first(tmp_path: Path) -> None:
    with serving(FAILED) as (servicer, cluster):
        servicer.said = "Error received from SDK harness"
        job = submitted(Master(cluster, 2), tmp_path)
        with contextlib.suppress(KeyError), recorded(str(tmp_path)):
            raise KeyError("a")
        assert told(job.wait) == "internal.error"


@pytest.mark.parametrize("takes", [0, 1])
def test_a_job_that_is_not_taken_fails_the_run_also_when_submitted_again(
    tmp_path: Path, events: list[str], takes: int
) -> None:
    with serving(FAILED) as (server, cluster):
        server.takes = takes
        assert told(lambda: submitted(Full(cluster, 0, taken=1), tmp_path).wait()) == "run.cluster_unreachable"


def test_a_run_that_need_not_wait_says_nothing(tmp_path: Path, events: list[str]) -> None:
    with serving(DONE) as (_, cluster):
        submitted(Full(cluster, 0), tmp_path).wait()
        assert not events


@pytest.mark.parametrize(("refusals", "taken"), [(1_000_000, 0), (0, 1_000_000)])
def test_waiting_for_room_has_an_end(
    tmp_path: Path, events: list[str], monkeypatch: pytest.MonkeyPatch, refusals: int, taken: int
) -> None:
    monkeypatch.setattr(portable, "_ROOM_SECONDS", 0.05)
    with serving(FAILED) as (_, cluster):
        assert told(lambda: submitted(Full(cluster, refusals, taken), tmp_path).wait()) == "run.cluster_busy"
        assert events == ["waiting"]


class JobManager(FlinkRunner):
    """Flink's own answers as documents; ``stopped`` are the jobs it was asked to stop, which it does at once."""

    def __init__(self, *jobs: dict[str, Any], slots: int = 2, free: int = 2, **exceptions: str) -> None:
        super().__init__(ClusterOptions(master_url="http://127.0.0.1:1"), 2)
        self.jobs, self.slots, self.free, self.exceptions = list(jobs), slots, free, exceptions
        self.stopped: list[str] = []

    def _ask(self, path: str, method: str = "GET") -> dict[str, Any] | None:
        if path == "overview":
            living = sum(map(is_living, self.jobs))
            return {"jobs-running": living, "slots-available": self.free, "slots-total": self.slots}
        if path == "jobs/overview":
            return {"jobs": [dict(job) for job in self.jobs]}
        jid = path.split("/")[1].split("?")[0]
        if method == "GET":
            return {"root-exception": self.exceptions.get(jid, "")}
        [job] = [job for job in self.jobs if job["jid"] == jid]
        job["state"] = "CANCELED"
        self.stopped.append(jid)
        return {}


def entry(jid: str, name: str, state: str, start: int) -> dict[str, Any]:
    return {"jid": jid, "name": name, "state": state, "start-time": start}


def test_the_living_job_of_a_name_is_taken_else_the_last() -> None:
    jobs = [
        entry("a", "kalla-r1", "FAILED", 5),
        entry("b", "kalla-r1", "RUNNING", 3),
        entry("c", "kalla-r1", "FINISHED", 9),
        entry("d", "kalla", "RUNNING", 10),
        entry("e", "kalla-r11", "RUNNING", 10),
    ]
    found = named(jobs, "kalla-r1")
    assert [job["jid"] for job in found] == ["a", "b", "c"]
    assert newest(found) is jobs[1]
    assert newest([jobs[2], jobs[0]]) is jobs[2]
    assert newest([]) is None


def test_what_an_earlier_attempt_left_is_stopped_and_not_asked_again() -> None:
    old, dead, other = (
        entry("a", "kalla-r1", "RUNNING", 1), entry("b", "kalla-r1", "FAILED", 2), entry("c", "kalla", "RUNNING", 3)
    )  # fmt: skip
    flink = JobManager(old, dead, other, b="of the earlier attempt", d="of this one")
    assert not flink.has_room("kalla-r1")
    assert flink.stopped == ["a"]
    assert flink.has_room("kalla-r1") and flink.stopped == ["a"]
    assert flink.detail("kalla-r1") == ""
    flink.end("kalla-r1")
    assert flink.stopped == ["a"]
    flink.jobs.append(entry("d", "kalla-r1", "RUNNING", 4))
    assert "of this one" in flink.detail("kalla-r1")
    flink.end("kalla-r1")
    assert flink.stopped == ["a", "d"] and is_living(other)


def test_slots_that_others_had_are_waited_for() -> None:
    """Not those that the cluster does not have."""
    slots = "Caused by: org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException"
    assert JobManager(slots=2).was_taken(slots)
    assert not JobManager(slots=1).was_taken(slots)
    assert not JobManager(slots=2).was_taken("java.lang.IllegalStateException: call already cancelled")
    assert not JobManager(entry("a", "x", "RUNNING", 1), free=1).has_room("kalla-r1")
    assert JobManager(entry("a", "x", "RUNNING", 1), slots=4, free=2).has_room("kalla-r1")
