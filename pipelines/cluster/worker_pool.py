"""The pool of Python workers: ``python -m pipelines.cluster.worker_pool --port N``, or ``kalla worker``.

One runs on every machine of a cluster. Flink and Spark ask it for a worker by Beam's external environment; each worker
is a process of its own, and ends with the pool.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc

from pipelines.cluster import inquiry
from pipelines.cluster.handshake import refusal
from pipelines.errors import as_text
from pipelines.loading import loading_beam
from pipelines.parent import PARENT_VARIABLE, end_with_parent
from pipelines.stored_exchange import remove_abandoned_copies

with loading_beam():
    from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
    from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

_log = logging.getLogger(__name__)
_END_SECONDS = 5


@dataclass
class _Namesakes:
    """Workers of one id. Beam numbers them anew in every TaskManager and executor, and what it lets go it calls by this
    id alone: which of several it means cannot be told."""

    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    released: int = 0

    @property
    def alive(self) -> bool:
        return any(worker.poll() is None for worker in self.started)


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts workers on request, and stops them once all of their id were let go. Before that the ones that were let go
    end by themselves: their control channel closes."""

    def __init__(self) -> None:
        self._workers: dict[str, _Namesakes] = {}
        self._lock = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:
        """A new process that takes its work from the address in ``request``."""
        reason = refusal(dict(request.params))
        if reason is not None:
            _log.warning("Worker %s refused: %s", request.worker_id, reason.message)
            return beam_fn_api_pb2.StartWorkerResponse(error=as_text(reason))
        command = [
            sys.executable, "-P", "-m", "pipelines.cluster.sdk_worker", request.control_endpoint.url, request.worker_id
        ]  # fmt: skip
        environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
        try:
            worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)
        except OSError as error:
            return beam_fn_api_pb2.StartWorkerResponse(error=f"A worker could not be started: {error}")
        with self._lock:
            # Those of machines that died were never let go: forgotten once they have ended.
            kept = {name: found for name, found in self._workers.items() if found.alive or name == request.worker_id}
            self._workers = kept
            kept.setdefault(request.worker_id, _Namesakes()).started.append(worker)
        _log.info("Worker %s started as process %d", request.worker_id, worker.pid)
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:
        with self._lock:
            found = self._workers.get(request.worker_id, _Namesakes())
            found.released += 1
            ended = found.started if found.released >= len(found.started) else []
            if ended:
                del self._workers[request.worker_id]
        _end(ended)
        return beam_fn_api_pb2.StopWorkerResponse()

    def stop(self) -> None:
        """End all workers."""
        with self._lock:
            workers = [worker for found in self._workers.values() for worker in found.started]
            self._workers = {}
        _end(workers)


def _end(workers: Iterable[subprocess.Popen[bytes]]) -> None:
    """End these workers, and what they kept on this machine."""
    for worker in workers:
        worker.terminate()
        try:
            worker.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    remove_abandoned_copies()


def serve(host: str, port: int) -> None:
    """Listen until the process is asked to end. Raises OSError when the address cannot be had."""
    options = [("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0), ("grpc.so_reuseport", 0)]
    server = grpc.server(shared_unbounded_instance(), options=options)
    pool = WorkerPool()
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_generic_rpc_handlers([inquiry.handler()])
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(f"{host}:{port} cannot be listened on: {error}") from error
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    server.start()
    _log.info("Worker pool listening at %s:%d", host, bound)
    stopped.wait()
    server.stop(1)
    pool.stop()


def main(arguments: list[str]) -> int:
    end_with_parent()
    parser = argparse.ArgumentParser(prog="kalla worker")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bind-host", default="127.0.0.1")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, force=True, format="%(asctime)s %(message)s")
    try:
        serve(given.bind_host, given.port)
    except OSError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
