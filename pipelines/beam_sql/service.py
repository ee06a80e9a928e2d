"""The Java program that expands and runs Beam SQL: one that settings name, else one for the run, which ends with it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from pipelines.cluster import jars
from pipelines.cluster.commands import Command
from pipelines.cluster.processes import Processes, free_port, listening
from pipelines.errors import PipelineError
from pipelines.runners.causes import shortened

HOST = "127.0.0.1"
_NAME = "sql-service"
_MOST_TOLD = 400
_START_SECONDS = 120.0
_MIB = 1 << 20
_LEAST_HEAP, _MOST_HEAP = 256, 2048
# Started for every run: quick to start beats quick after an hour.
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
_LOG_LEVEL = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


def check_service(named: str | None) -> None:
    """Raises PipelineError ``run.java_missing``, ``run.java_version`` or ``run.jars_missing`` where a run could not
    start its own service, ``run.sql_service_unreachable`` where the named one does not answer."""
    if named is None:
        jars.java("functions")
        jars.class_path("functions")
        return
    host, _, port = named.rpartition(":")
    if not host or not port.isdigit() or not listening(host, int(port)):
        raise PipelineError(
            f"No service for Beam SQL answers at {named}.",
            code="run.sql_service_unreachable",
            hint="Start it, or correct KALLA_SQL_SERVICE (host:port); without it a run on this machine starts its own.",
        )


@contextlib.contextmanager
def sql_service(named: str | None, folder: Path, memory: int) -> Iterator[str]:
    """The address, host:port, of a service that is up. One that is started here logs into ``folder``, takes a quarter
    of ``memory`` bytes and has ended when the block has, or when this process is killed."""
    if named is not None:
        yield named
        return
    expansion, worker = free_port(), free_port()
    with Processes(folder / _NAME) as processes:
        processes.start(_NAME, _ending_with_us(service_command(expansion, worker, _heap(memory))))
        processes.wait_for(_NAME, lambda: listening(HOST, worker) and listening(HOST, expansion), _START_SECONDS)
        yield f"{HOST}:{expansion}"


def sql_failure(folder: Path, text: str) -> PipelineError:
    """The error of a run whose Java side failed while rows went through it; ``text`` is what Beam told, ``folder``
    what ``sql_service`` was given."""
    log = _log(folder)
    told = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if "OutOfMemoryError" in told:
        return PipelineError(
            "Beam SQL needs more memory than its share of the run's.",
            code="run.memory_exceeded",
            hint="Give runs more: --memory-limit, or KALLA_MEMORY_LIMIT.",
        )
    last = "".join(f" Its log ends with: {line[:_MOST_TOLD]}" for line in told.strip().splitlines()[-1:])
    return PipelineError(
        f"Beam SQL failed: {shortened(text)}{last}",
        code="run.sql_failed",
        hint="Nothing was committed. Use --engine vectorized, or run again with --debug.",
    )


def _log(folder: Path) -> Path:
    return folder / _NAME / f"{_NAME}.log"


def service_command(expansion: int, worker: int, heap_mib: int, host: str = HOST) -> tuple[str, ...]:
    """``host`` is where runners find the worker. Raises what ``check_service`` does."""
    path = ":".join(jars.class_path("functions"))
    main = ("org.kalla.sql.Service", str(expansion), str(worker), host)
    return (jars.java("functions"), f"-Xmx{heap_mib}m", *_JVM, _LOG_LEVEL, "-cp", path, *main)


def _heap(memory: int) -> int:
    return min(max(memory // 4 // _MIB, _LEAST_HEAP), _MOST_HEAP)


def _ending_with_us(command: tuple[str, ...]) -> Command:
    return Command((sys.executable, "-P", "-m", "pipelines.parent", *command), {})
