"""Start a run in its own process, watch it, and tell how it ended. No Beam is imported here.

A crash, a kill or too much memory takes down that process alone; whatever happens there is exactly one outcome.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipelines.options import Choice, ClusterOptions, RunRequest, parse_size
from pipelines.parent import PARENT_VARIABLE, end_with_parent
from pipelines.progress import FD_VARIABLE

__all__ = [
    "Choice",
    "ClusterOptions",
    "Event",
    "RunRequest",
    "Watch",
    "anonymous_memory",
    "end_with_parent",
    "launch",
    "parse_size",
    "watch_cluster",
]

Event = dict[str, Any]
_WATCH_SECONDS = 0.1
END_SECONDS = 15.0  # what a process that is asked to end gets, to stop its job on a cluster
_LOG_TAIL = 4000
NOTHING_COMMITTED, EVIDENCE_THERE = "nothing was committed", "the run had committed its evidence"  # notes
# Secrets of app and runner, which launch runs: no run needs them, and what runs read is not to be trusted.
_NOT_FOR_RUNS = {
    "ANTHROPIC_API_KEY",
    "DATABASE_URL",
    "KALLA_ACCESS_TOKEN",
    "KALLA_CALLBACK_SECRET",
    "KALLA_SECRET_KEY",
    "NATS_URL",
}


@dataclass
class Watched:
    """A run's process as its launcher sees it."""

    process: subprocess.Popen[bytes]
    limit: int
    peak: int = 0
    killed_for: str = ""
    stop: threading.Event = field(default_factory=threading.Event)


class Watch(Protocol):
    """What is known of a cluster, in the background."""

    def latest(self) -> Choice | None:
        """Where a run that starts now would go; None where it must find out by itself."""

    def close(self) -> None:
        """Look no more."""


def watch_cluster(runner: str, cluster: ClusterOptions) -> Watch | None:
    """Looks after the cluster of a service whose runs ask for ``runner``, every ten seconds until it is closed; None
    where they need none."""
    if runner == "direct" or not cluster.job_endpoint:
        return None
    from pipelines.runners.watch import ClusterWatch  # what asks a cluster is imported only where there is one

    watch = ClusterWatch(runner, cluster)
    watch.start()
    return watch


def launch(
    request: RunRequest,
    on_event: Callable[[Event], None] = lambda event: None,
    timeout: float | None = None,
    on_start: Callable[[int], None] = lambda pid: None,
) -> dict[str, Any]:
    """Run to the end; returns the outcome, ``status`` ``completed`` or ``failed``.

    ``on_event`` gets every progress event, in order, on this thread. The run's process, which ``on_start`` is told
    of, is killed when it exceeds the request's memory, when ``timeout`` seconds have passed, or when this process
    dies. An exception here, a signal's too, ends the run and is passed on, with a note on what has been committed. A
    run that did not complete leaves nothing.
    """
    with tempfile.TemporaryDirectory(prefix="kalla-") as folder:
        paths = [Path(folder) / name for name in ("request.pickle", "outcome.json", "log.txt")]
        paths[0].write_bytes(pickle.dumps(request))
        with _started(paths, request.memory) as (watched, events):
            try:
                on_start(watched.process.pid)
                watcher = threading.Thread(target=_watch, args=(watched, timeout), daemon=True)
                watcher.start()
                for line in events:
                    on_event(json.loads(line))
                watched.process.wait()
            except BaseException as error:
                _end_now(watched)
                found = _left(request, paths[1])
                error.add_note(EVIDENCE_THERE if found and found["status"] == "completed" else NOTHING_COMMITTED)
                raise
            else:
                watched.stop.set()
                watcher.join()
                found = _left(request, paths[1])
        return _outcome(request, watched, found, paths[2])


@contextlib.contextmanager
def _started(paths: list[Path], limit: int) -> Iterator[tuple[Watched, Any]]:
    read_end, write_end = os.pipe()
    # Arrow brings NumPy in, whose linear algebra, which no run uses, would start a spinning thread a core.
    environment = {
        "OPENBLAS_NUM_THREADS": "1",
        **{name: value for name, value in os.environ.items() if name not in _NOT_FOR_RUNS},
        FD_VARIABLE: str(write_end),
        PARENT_VARIABLE: str(os.getpid()),
    }
    # -P: a folder called recipe/ where the person stands must not stand in for our package of that name.
    command = [sys.executable, "-P", "-m", "pipelines.process", str(paths[0]), str(paths[1])]
    with paths[2].open("wb") as log, open(read_end, "rb") as events:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=[write_end],
                process_group=0,  # Ctrl-C on the terminal is the launcher's to answer
            )
        finally:
            os.close(write_end)
        yield Watched(process, limit), events


def _watch(watched: Watched, timeout: float | None) -> None:
    waited = 0.0
    while not watched.stop.wait(_WATCH_SECONDS):
        waited += _WATCH_SECONDS
        used = anonymous_memory(watched.process.pid)
        watched.peak = max(watched.peak, used)
        if used > watched.limit:
            watched.killed_for = "memory"
        elif timeout is not None and waited > timeout:
            watched.killed_for = "time"
        if watched.killed_for == "memory":
            watched.process.kill()
            return
        if watched.killed_for:
            _end(watched.process)
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process: one that runs on a cluster gets the time to stop its job there."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def anonymous_memory(pid: int) -> int:
    """Bytes of memory of a process and its children that no file backs; 0 when it is gone."""
    total = 0
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        try:
            status = Path(f"/proc/{current}/status").read_text(encoding="ascii", errors="replace")
            children = Path(f"/proc/{current}/task/{current}/children").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1]) * 1024
        waiting += [int(child) for child in children.split()]
    return total


def _end_now(watched: Watched) -> None:
    watched.stop.set()
    try:
        watched.process.terminate()
        watched.process.wait()
    except BaseException:  # noqa: BLE001 - a second signal asks to hurry, and the first is passed on
        watched.process.kill()
        watched.process.wait()


def _left(request: RunRequest, path: Path) -> dict[str, Any] | None:
    """What a process that has ended says of its run, or, if it could not, its evidence. None where there is neither.

    Nothing else stays: what the process could not remove, and what workers on a cluster sent after it had.
    """
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if found is not None and (found["status"] == "completed" or request.runner == "direct"):
        return found
    from pipelines.aftermath import clear, committed  # takes what reads evidence, and seldom is there a need

    clear(request)
    return found or committed(request)


def _outcome(request: RunRequest, watched: Watched, found: dict[str, Any] | None, log: Path) -> dict[str, Any]:
    if found is not None and (found["status"] == "completed" or not watched.killed_for):
        return {**found, "peak_memory": watched.peak}
    code, message, hint = _ending(watched)
    tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
    error = {"code": code, "message": f"{message} {hint}", "details": []}
    return {"run_id": request.run_id, "status": "failed", "error": error, "trace": tail, "peak_memory": watched.peak}


def _ending(watched: Watched) -> tuple[str, str, str]:
    """Code, sentence and advice for a process that left no outcome."""
    if watched.killed_for == "memory":
        limit = f"{watched.limit / (1 << 30):.1f} GiB"
        hint = "Give runs more: --memory-limit, or KALLA_MEMORY_LIMIT."
        return "run.memory_exceeded", f"The run needed more than its {limit} of memory.", hint
    if watched.killed_for == "time":
        return "run.timeout", "The run took longer than it was allowed.", "Raise the time limit or split the data."
    status = watched.process.returncode
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        return "run.killed", f"The run's process was ended by {name}.", "Nothing was committed; run it again."
    return "internal.error", "The run's process ended without a result.", "Run again with --debug to see why."
