"""A database file, opened to read one state of it and to tell that state from any other.

SQLite's locks hold for one connection, and splits are read by several processes; a lock held for a whole run would keep
the file's owner from writing. So each split reads in a transaction of its own, and the file's state is compared there:
a commit changes the header of the file or, in WAL mode, the log beside it.

A database in WAL mode without a log is read without locks (they would leave files beside it), and its state is compared
at the end of the transaction too.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectors.errors import ConnectorError, SourceDataError, SourceUnreachable
from connectors.files import Identity, changed
from connectors.local_files import LocalFile
from connectors.sqlite.descriptors import held, key_of
from recipe import mask_text

State = list[Any]
LONGEST_VALUE = 64 << 20  # bytes of a cell, and of a stored row
_MAGIC = b"SQLite format 3\0"
_IN_WAL_MODE = b"\x02\x02"
_HEADER, _LOG_HEADER, _INDEX_HEADER = 100, 32, 48  # bytes that a commit changes
_WAIT_SECONDS = 10
_LONGEST_REASON = 200
_HASH_BLOCK = 1 << 20
_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's machine, about a millisecond
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SHUT = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SAFE = ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0")


@dataclass(frozen=True)
class DatabaseFile(LocalFile):
    """A database on this machine's disks, together with the log that lies beside it."""

    def identity(self) -> Identity:
        """Of the file and its log: a commit in WAL mode changes the log alone."""
        found = super().identity()
        with translated(self.shown):
            log = _beside(self.shown, os.path.realpath(self.path), "-wal")
        return {**found, "log_size": log.st_size if log else 0, "log_mtime_ns": log.st_mtime_ns if log else 0}

    def content_hash(self) -> str:
        digest, at = hashlib.sha256(), 0
        with self.opened() as (_, descriptor), translated(self.shown):
            while block := os.pread(descriptor, _HASH_BLOCK, at):
                digest.update(block)
                at += len(block)
        return digest.hexdigest()

    @contextmanager
    def opened(self) -> Iterator[tuple[str, int]]:
        """The resolved path, and a descriptor of what lies there."""
        self.identity()  # refuses folders, pipes and forbidden places before anything is opened
        real = os.path.realpath(self.path)
        with ExitStack() as stack:
            with translated(self.shown):
                descriptor = stack.enter_context(held(real))
            self.check_same(real, descriptor)
            yield real, descriptor

    def check_same(self, real: str, descriptor: int) -> None:
        """Raise SourceChanged when another file lies there by now, SourceDenied when it is outside the roots: a link
        may have been moved since it was resolved."""
        self.check_allowed(real)
        with translated(self.shown):
            if key_of(os.lstat(real)) != key_of(os.fstat(descriptor)):
                raise changed(self.shown)


@contextmanager
def transaction(file: DatabaseFile, expected: State | None = None) -> Iterator[tuple[sqlite3.Connection, State]]:
    """A connection that reads one state of the file, and that state.

    Raises SourceChanged when it is not ``expected``, or did not last, ConnectorError for what cannot be opened.
    """
    shown = file.shown
    with file.opened() as (real, descriptor), translated(shown), _index(shown, real) as index:
        before = _state(shown, real, descriptor, index)
        is_whole = _is_whole(shown, descriptor, before)
        with closing(_connect(real, is_whole)) as connection:
            for pragma in _SAFE:
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first read fixes the state
            file.check_same(real, descriptor)
            found = _state(shown, real, descriptor, index)
            if (expected is not None and found != expected) or (is_whole and found != before):
                raise changed(shown)
            try:
                yield connection, found
            except sqlite3.DatabaseError:
                if is_whole and _state(shown, real, descriptor, index) != found:
                    raise changed(shown) from None
                raise
            if is_whole and _state(shown, real, descriptor, index) != found:  # nothing was locked
                raise changed(shown)


def stop_after(connection: sqlite3.Connection, seconds: float) -> None:
    """Let what the connection is asked from now on fail with ``source.timeout`` once so much time has passed."""
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)


def _is_whole(shown: str, descriptor: int, state: State) -> bool:
    """Whether a database in WAL mode has no log and is whole in its file: opened otherwise, SQLite would leave files
    beside it."""
    header = os.pread(descriptor, _HEADER, 0)
    if header and not header.startswith(_MAGIC):
        raise SourceDataError(f"{shown} is no SQLite database.", hint="Check the path; an encrypted database is none.")
    return header[18:20] == _IN_WAL_MODE and not state[3]


def _connect(real: str, is_whole: bool) -> sqlite3.Connection:
    mode = "immutable=1" if is_whole else "mode=ro&readonly_shm=1"
    connection = sqlite3.connect(
        f"file:{quote(real)}?{mode}", uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    return connection


@contextmanager
def _index(shown: str, real: str) -> Iterator[int | None]:
    """A descriptor of the log's index, in which SQLite's locks of a database in WAL mode lie; None where there is
    none."""
    _beside(shown, real, "-journal")
    if not _beside(shown, real, "-shm"):
        yield None
        return
    with held(real + "-shm") as descriptor:
        yield descriptor


def _state(shown: str, real: str, descriptor: int, index: int | None) -> State:
    found = os.fstat(descriptor)
    state: State = [found.st_size, found.st_mtime_ns, os.pread(descriptor, _HEADER, 0).hex(), 0]
    if (log := _beside(shown, real, "-wal")) and log.st_size:
        state[3] = log.st_size
        state.append(log.st_mtime_ns)
        with held(real + "-wal") as opened:
            state.append(os.pread(opened, _LOG_HEADER, 0).hex())
        if index is not None:
            state.append(os.pread(index, _INDEX_HEADER, 0).hex())
    return state


def _beside(shown: str, real: str, suffix: str) -> os.stat_result | None:
    """A file that SQLite keeps beside a database, None where there is none; it may be no link and no pipe."""
    try:
        found = os.lstat(real + suffix)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise ConnectorError(
            f"What lies beside {shown} for SQLite is not a regular file.",
            code="source.path_forbidden",
            hint="Remove the link or pipe that ends in -wal, -shm or -journal.",
        )
    return found


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Errors of SQLite inside become errors of the source."""
    try:
        yield
    except sqlite3.Error as error:
        raise _as_source(shown, error) from None
    except FileNotFoundError:  # it was there when it was looked for
        raise changed(shown) from None
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
            hint="Changes lie beside it in a -journal or -wal file: open it once with the program it belongs to.",
        )
    if code == sqlite3.SQLITE_INTERRUPT:
        return ConnectorError(
            f"A view in {shown} takes too long.",
            code="source.timeout",
            hint="Store its rows in a table, or correct the view: it may have no end.",
        )
    if code == sqlite3.SQLITE_TOOBIG:
        return SourceDataError(
            f"{shown} holds a value or row of more than {LONGEST_VALUE >> 20} MiB.",
            code="source.unrepresentable_value",
            hint="Read a view that leaves the column out.",
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
