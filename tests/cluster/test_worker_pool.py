"""The pool of workers, asked as Beam asks it; its workers are real processes that nobody gives work."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import psutil
import pytest

from pipelines.cluster.processes import free_port
from pipelines.cluster.worker_pool import WorkerPool
from pipelines.loading import loading_beam

with loading_beam():
    from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    found = WorkerPool()
    yield found
    found.stop()


def started(pool: WorkerPool, worker_id: str, port: int | None = None) -> psutil.Process:
    """A worker that takes its work from ``port``; without one it waits for a control channel that never comes."""
    before = set(psutil.Process().children())
    endpoint = endpoints_pb2.ApiServiceDescriptor(url=f"127.0.0.1:{port or free_port()}")
    request = beam_fn_api_pb2.StartWorkerRequest(worker_id=worker_id, control_endpoint=endpoint)
    assert not pool.StartWorker(request, None).error
    [worker] = set(psutil.Process().children()) - before
    return worker


def let_go(pool: WorkerPool, worker_id: str) -> None:
    assert not pool.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=worker_id), None).error


def test_a_worker_that_is_let_go_is_stopped(pool: WorkerPool) -> None:
    worker, other = started(pool, "1-1"), started(pool, "2-1")
    let_go(pool, "1-1")
    assert not worker.is_running() and other.is_running()
    let_go(pool, "1-1")  # twice, or of another pool
    assert other.is_running()


def test_of_two_machines_workers_of_one_id_none_is_stopped_before_both_are_let_go(pool: WorkerPool) -> None:
    workers = [started(pool, "1-1") for _ in range(2)]
    let_go(pool, "1-1")
    assert all(worker.is_running() for worker in workers)
    let_go(pool, "1-1")
    assert not any(worker.is_running() for worker in workers)


def test_one_that_ended_by_itself_before_the_pool_was_told_costs_no_other_its_life(pool: WorkerPool) -> None:
    gone, busy = started(pool, "1-1"), started(pool, "1-1")
    gone.kill()
    started(pool, "2-1")
    let_go(pool, "1-1")
    assert busy.is_running()
    let_go(pool, "1-1")
    assert not busy.is_running()


def test_workers_of_machines_that_died_are_forgotten(pool: WorkerPool) -> None:
    """They were never let go: a new one of their id is stopped when it is."""
    dead = started(pool, "1-1")
    dead.kill()
    dead.wait(10)
    started(pool, "2-1")
    new = started(pool, "1-1")
    let_go(pool, "1-1")
    assert not new.is_running()


def test_a_worker_ends_by_itself_when_its_machine_closes_the_connection(pool: WorkerPool) -> None:
    class Control(beam_fn_api_pb2_grpc.BeamFnControlServicer):
        def Control(self, request_iterator: Any, context: Any) -> Any:
            return iter(())

    server = grpc.server(ThreadPoolExecutor(4))
    beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(Control(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    worker = started(pool, "1-1", port)
    _, alive = psutil.wait_procs([worker], 60)
    server.stop(0).wait()
    assert not alive


# A worker with a step at work that nothing can stop, as its process runs it.
_AT_WORK = """
import sys, threading, time
from pipelines.cluster import sdk_worker
threading.Thread(target=time.sleep, args=(600,)).start()
{change}
sdk_worker._end(sdk_worker.main(sys.argv[1:]))
"""
# One that Beam keeps although its control channel is gone.
_STUCK = """
sdk_worker._LOOK_SECONDS = 0.1
run = sdk_worker.SdkHarness.run
def stuck(harness):
    try:
        run(harness)
    finally:
        time.sleep(600)
sdk_worker.SdkHarness.run = stuck
"""


@pytest.mark.parametrize(("change", "status"), [("", (0, 1)), (_STUCK, (1,))], ids=["at work", "stuck"])
def test_a_worker_ends_with_its_machine_whatever_it_does(change: str, status: tuple[int, ...]) -> None:
    with started_program(_CONTROL) as control:
        assert control.stdout is not None
        address = f"127.0.0.1:{int(control.stdout.readline())}"
        with started_program(_AT_WORK.format(change=change), address, "1-1") as worker:
            assert control.stdout.readline() == "connected\n"
            control.kill()
            assert worker.wait(60) in status


@contextlib.contextmanager
def started_program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


# A machine that gives no work: tells its port, and when a worker has come.
_CONTROL = """
from concurrent.futures import ThreadPoolExecutor
import time, grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
class Control(beam_fn_api_pb2_grpc.BeamFnControlServicer):
    def Control(self, request_iterator, context):
        print("connected", flush=True)
        yield from request_iterator
server = grpc.server(ThreadPoolExecutor(4))
beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(Control(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
time.sleep(600)
"""


def test_all_end_with_the_pool(pool: WorkerPool) -> None:
    workers = [started(pool, name) for name in ("1-1", "1-1", "2-1")]
    pool.stop()
    assert not any(worker.is_running() for worker in workers)
