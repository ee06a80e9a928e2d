"""Processes that are started together, waited for until they are healthy, and always ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from pipelines.cluster.commands import Command
from pipelines.errors import PipelineError
from pipelines.parent import PARENT_VARIABLE

_POLL_SECONDS = 0.1
_LOG_TAIL = 1500


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


class Processes:
    """Context manager. Each process has a name, a log file named after it, and a process group of its own."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Command) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **command.environment, PARENT_VARIABLE: str(os.getpid())}
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                process_group=0,
            )
        self._running[name] = process
        return process

    def get(self, name: str) -> subprocess.Popen[bytes]:
        return self._running[name]

    def wait_for(self, name: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Until ``ready()``. Raises PipelineError ``run.cluster_not_started`` with the end of the log of ``name``."""
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self._running[name].poll()
            if ended is not None or time.monotonic() > deadline:
                what = f"ended with status {ended}" if ended is not None else f"was not ready after {seconds:.0f} s"
                log = self.logs / f"{name}.log"
                tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
                raise PipelineError(
                    f"{name} {what}.", code="run.cluster_not_started", hint=f"Its log {log} ends with: {tail}"
                )
            time.sleep(_POLL_SECONDS)

    def stop(self, seconds: float = 10) -> None:
        """Ask all to end, then end what is left; children of a process go with it."""
        running = [p for p in self._running.values() if p.poll() is None]
        for process in running:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)
                process.wait()
        for process in self._running.values():
            _signal(process, signal.SIGKILL)  # what a process left behind in its group


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
