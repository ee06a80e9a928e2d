"""What a pool says to a driver that asks it before it submits a run; the pools are real processes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from pipelines.cluster import commands
from pipelines.cluster.commands import Command
from pipelines.cluster.handshake import greeting
from pipelines.cluster.inquiry import ask, is_not_there, means_the_same_here
from pipelines.cluster.processes import Processes, free_port, listening
from pipelines.errors import PipelineError
from pipelines.loading import loading_beam
from pipelines.options import ClusterOptions
from pipelines.runners.portable import ClusterRunner
from tests.cluster.test_jobs import DONE, Master, build, serving, shared

with loading_beam():
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

# A pool that does not find the run's folder, as where it is not mounted.
_ELSEWHERE = (
    "import sys; from pipelines.cluster import handshake, worker_pool; handshake.TOKEN = 'of-another-disk'; "
    "sys.exit(worker_pool.main(['--port', '{port}']))"
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    yield from started(tmp_path_factory.mktemp("pool"), port, commands.worker_pool(port))


@pytest.fixture(scope="module")
def pool_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = Command((sys.executable, "-c", _ELSEWHERE.format(port=port)), {})
    yield from started(tmp_path_factory.mktemp("elsewhere"), port, command)


def started(logs: Path, port: int, command: Command) -> Iterator[str]:
    with Processes(logs) as processes:
        processes.start("pool", command)
        processes.wait_for("pool", lambda: listening("127.0.0.1", port), 120)
        yield f"127.0.0.1:{port}"


def test_a_pool_that_would_take_the_run_says_nothing(pool: str, tmp_path: Path) -> None:
    assert ask(pool, greeting(shared(tmp_path))) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"token": "another"}, "run.folder_not_shared"), ({"kalla": "0.0.1"}, "run.worker_version")],
)
def test_a_pool_says_why_it_would_not(pool: str, tmp_path: Path, changed: dict[str, str], code: str) -> None:
    known = ask(pool, greeting(shared(tmp_path)) | changed)
    assert known is not None and known.code == code


def test_who_does_not_answer_has_not_refused(tmp_path: Path) -> None:
    """The cluster may reach the pool where the driver does not; and a pool of Beam's own is asked nothing."""
    parameters = greeting(shared(tmp_path)) | {"token": "another"}
    assert ask(f"127.0.0.1:{free_port()}", parameters) is None
    address, server = BeamFnExternalWorkerPoolServicer.start()
    try:
        assert ask(address, parameters) is None
    finally:
        server.stop(0).wait()


@pytest.mark.parametrize("told", [b"", b"[1]", b"\xff", b'"text"'])
def test_what_is_no_question_is_not_answered(pool: str, told: bytes) -> None:
    with grpc.insecure_channel(pool) as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/kalla.WorkerPool/Refusal")(told, timeout=20)
    assert isinstance(error.value, grpc.Call) and error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("pool", "endpoint", "same"),
    [
        ("localhost:50000", "localhost:8099", True),
        ("127.0.0.1:50000", "[::1]:8099", True),
        ("localhost:50000", "cluster.example:8099", False),
        ("worker.example:50000", "cluster.example:8099", True),
        ("127.0.0.2:50000", "10.0.0.5:8099", False),
    ],
)  # fmt: skip
def test_localhost_is_another_machine_for_a_cluster_elsewhere(pool: str, endpoint: str, same: bool) -> None:
    assert means_the_same_here(pool, endpoint) is same


def test_a_pool_that_is_away_is_known_from_here_on_one_machine_alone(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    assert is_not_there(nobody, "localhost:8099") and is_not_there("localhost:", "localhost:8099")
    assert not is_not_there(nobody, "cluster.example:8099")
    assert not is_not_there("worker.example:50000", "localhost:8099")
    with serving(DONE) as (server, cluster):
        with pytest.raises(PipelineError, match="kalla worker") as error:
            submit(Master(ClusterOptions(cluster.job_endpoint, nobody, parallelism=2), 2), tmp_path)
        assert error.value.code == "run.worker_pool_unreachable" and not server.asked


def test_a_run_that_would_be_refused_is_not_submitted(pool_elsewhere: str, tmp_path: Path) -> None:
    with serving(DONE) as (server, cluster):
        asked = ClusterOptions(cluster.job_endpoint, pool_elsewhere, parallelism=2)
        with pytest.raises(PipelineError, match="KALLA_STAGING") as error:
            submit(Master(asked, 2), tmp_path)
        assert error.value.code == "run.folder_not_shared" and not server.asked


def submit(runner: ClusterRunner, folder: Path) -> None:
    runner.submit(build, shared(folder), "r1", threading.Event()).wait()
