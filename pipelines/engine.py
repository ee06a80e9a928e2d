"""The SQL engine of a worker: DuckDB, locked down before it sees a statement of ours or of a recipe."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb

from pipelines.paths import glob_escape, own_name
from udfs import register_functions

Connection: TypeAlias = duckdb.DuckDBPyConnection

_MIB = 1 << 20
# Past this a larger hash table bought no time in benchmarks; spilling begins and memory stays flat.
MOST_MEMORY = 1400 * _MIB
# Python, Beam and Arrow beside the engine.
_RESERVE = 420 * _MIB
_LEAST_MEMORY = 128 * _MIB


def engine_memory(limit: int) -> int:
    """Bytes the engine may hold of a run's ``limit``."""
    return max(_LEAST_MEMORY, min(MOST_MEMORY, limit - _RESERVE))


@dataclass(frozen=True)
class _Settings:
    folder: str
    memory: int
    files: tuple[str, ...]
    threads: int
    ordered: bool


@dataclass
class _Database:
    connection: Connection
    users: int = 0


# Opening a database takes 25 ms of CPU, a connection to an open one none: steps of one kind share theirs.
_open: dict[_Settings, _Database] = {}
_lock = threading.RLock()  # collecting garbage may close a connection, whatever this thread is doing


@contextlib.contextmanager
def connect(
    folder: Path, memory: int, files: Iterable[str] = (), threads: int | None = None, ordered: bool = False
) -> Iterator[Connection]:
    """A connection to an in-memory database that may read ``files``, may write and spill below ``folder``, and nothing
    else.

    Steps of this process that ask for the same share the database, its threads and its ``memory``, but see nothing of
    each other's tables, which have to be temporary. ``ordered`` keeps rows in the order of their table where a
    statement does not say.
    """
    settings = _Settings(str(folder), memory, tuple(map(str, files)), threads or os.cpu_count() or 1, ordered)
    with _lock:
        if settings not in _open:
            _close_unused()
            _open[settings] = _Database(_opened(settings))
        database = _open[settings]
        database.users += 1
        connection = database.connection.cursor()
    try:
        yield connection
    finally:
        connection.close()
        with _lock:
            database.users -= 1


def let_go() -> None:
    """Close the databases that nobody uses, and give back what they remember of their files."""
    with _lock:
        _close_unused()


def _close_unused() -> None:
    for settings in [s for s, database in _open.items() if not database.users]:
        _open.pop(settings).connection.close()


def _opened(settings: _Settings) -> Connection:
    """A new database. Its configuration is locked: no statement of any connection can open it again."""
    spill = Path(settings.folder, f"spill-{own_name()}")
    connection = duckdb.connect(
        config={
            "memory_limit": f"{settings.memory // _MIB}MiB",
            "threads": settings.threads,
            "temp_directory": str(spill),
            "preserve_insertion_order": settings.ordered,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    register_functions(connection)
    # Both spellings: the engine checks a path as a statement writes it and as it finds it.
    paths = [spelling for f in settings.files for spelling in (f, glob_escape(f))]
    connection.execute("SET allowed_paths = ?", [paths])
    folder = settings.folder
    connection.execute("SET allowed_directories = ?", [[f"{folder}/", f"{glob_escape(folder)}/"]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection
