"""The SQL engine of a worker: DuckDB, locked down before it sees a statement of ours or of a recipe."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import duckdb

from pipelines.paths import glob_escape, own_name
from udfs import register_functions

Connection = duckdb.DuckDBPyConnection

_MIB = 1 << 20
# Past this a larger hash table bought no time in benchmarks; spilling begins and memory stays flat.
MOST_MEMORY = 1400 * _MIB
# Python, Beam and Arrow beside the engine.
_RESERVE = 420 * _MIB
_LEAST_MEMORY = 128 * _MIB


def engine_memory(limit: int) -> int:
    """Bytes the engine may hold of a run's ``limit``."""
    return max(_LEAST_MEMORY, min(MOST_MEMORY, limit - _RESERVE))


def connect(
    folder: Path, memory: int, files: Iterable[str] = (), threads: int | None = None, ordered: bool = False
) -> duckdb.DuckDBPyConnection:
    """An in-memory database that may read ``files``, may write and spill below ``folder``, and nothing else.

    ``ordered`` keeps rows in the order of their table where a statement does not say.
    The configuration is locked afterwards: no statement can open it again.
    """
    spill = folder / f"spill-{own_name()}"
    connection = duckdb.connect(
        config={
            "memory_limit": f"{memory // _MIB}MiB",
            "threads": threads or os.cpu_count() or 1,
            "temp_directory": str(spill),
            "preserve_insertion_order": ordered,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    register_functions(connection)
    # Both spellings: the engine checks a path as a statement writes it and as it finds it.
    paths = [spelling for f in files for spelling in (str(f), glob_escape(f))]
    connection.execute("SET allowed_paths = ?", [paths])
    connection.execute("SET allowed_directories = ?", [[f"{folder}/", f"{glob_escape(folder)}/"]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection
