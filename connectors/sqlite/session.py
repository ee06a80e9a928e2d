"""A database file, opened to read one state of it and to tell that state from any other.

SQLite's locks hold for one connection, and splits are read by several processes; a lock held for a whole run would keep
the file's owner from writing. So each split reads in a transaction of its own, and the file's state is compared there:
a commit changes the header of the file or, in WAL mode, the log beside it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

from connectors.errors import ConnectorError, SourceDataError, SourceUnreachable
from connectors.files import changed
from connectors.local_files import LocalFile
from recipe import mask_text

State = list[Any]
_MAGIC = b"SQLite format 3\0"
_HEADER, _LOG_HEADER, _INDEX_HEADER = 100, 32, 48  # bytes that a commit changes
_WAIT_SECONDS = 10
_LONGEST_REASON = 200
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SHUT = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SAFE = ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0")


@contextmanager
def transaction(file: LocalFile, expected: State | None = None) -> Iterator[tuple[sqlite3.Connection, State]]:
    """A connection that reads one state of the file, and that state.

    Raises SourceChanged when it is not ``expected``, ConnectorError for what cannot be opened.
    """
    file.identity()  # refuses folders, pipes and forbidden places before anything is opened
    real = os.path.realpath(file.path)
    with translated(file.shown), closing(_connect(file.shown, real)) as connection:
        for pragma in _SAFE:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first read fixes the state
        found = _state(file.shown, real)
        if expected is not None and found != expected:
            raise changed(file.shown)
        yield connection, found


def has_log(file: LocalFile) -> bool:
    """Whether committed rows lie in the log beside the file. Raises ConnectorError for a log that is no file."""
    return _size(file.shown, os.path.realpath(file.path) + "-wal") > 0


def _connect(shown: str, real: str) -> sqlite3.Connection:
    header = _beginning(real, _HEADER)
    if header and not header.startswith(_MAGIC):
        raise SourceDataError(f"{shown} is no SQLite database.", hint="Check the path; an encrypted database is none.")
    logged = _size(shown, real + "-wal") > 0
    for suffix in ("-journal", "-shm"):
        _size(shown, real + suffix)
    # A database in WAL mode without a log is whole in its file; opened otherwise, SQLite would leave files beside it.
    whole = header[18:20] == b"\x02\x02" and not logged
    mode = "immutable=1" if whole else "mode=ro"
    return sqlite3.connect(
        f"file:{quote(real)}?{mode}", uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )


def _state(shown: str, real: str) -> State:
    found = os.stat(real)
    state: State = [found.st_size, found.st_mtime_ns, _beginning(real, _HEADER).hex(), 0]
    if size := _size(shown, real + "-wal"):
        state[3] = size
        state.append(os.stat(real + "-wal").st_mtime_ns)
        state.append(_beginning(real + "-wal", _LOG_HEADER).hex())
        if _size(shown, real + "-shm"):
            state.append(_beginning(real + "-shm", _INDEX_HEADER).hex())
    return state


def _beginning(path: str, size: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(size)


def _size(shown: str, path: str) -> int:
    """Bytes of a file that SQLite keeps beside a database, 0 for none; it may be no link and no pipe."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return 0
    if not stat.S_ISREG(found.st_mode):
        raise ConnectorError(
            f"What lies beside {shown} for SQLite is not a regular file.",
            code="source.path_forbidden",
            hint="Remove the link or pipe that ends in -wal, -shm or -journal.",
        )
    return found.st_size


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Errors of SQLite inside become errors of the source."""
    try:
        yield
    except sqlite3.Error as error:
        raise _as_source(shown, error) from None
    except OSError as error:
        raise ConnectorError(
            f"{shown} could not be opened: {error.strerror}.", hint="Check the file, and the right to read it."
        ) from None


def _as_source(shown: str, error: sqlite3.Error) -> ConnectorError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    reason = mask_text(" ".join(str(error).split()))[:_LONGEST_REASON].rstrip(".")
    if code in _BUSY:
        return SourceUnreachable(
            f"{shown} is locked by a program that writes to it.", hint="Run again once it has finished."
        )
    if code in _SHUT:
        return ConnectorError(
            f"{shown} cannot be read without writing beside it.",
            hint="It holds an unfinished change: open it once with the program it belongs to, or copy it elsewhere.",
        )
    if code in _BROKEN:
        return SourceDataError(f"{shown} is damaged or no SQLite database.", hint="Restore it from a copy.")
    if "decode to UTF-8" in reason:
        return SourceDataError(
            f"{shown} holds a text that is not UTF-8.",
            code="source.unrepresentable_value",
            hint="Correct it, or read a view that casts the column to BLOB.",
        )
    return ConnectorError(f"SQLite could not read {shown}: {reason}.", hint="Check the table or view.")
