"""The runner's memory: one SQLite file below STAGING_PATH/runner that survives a kill at any moment.

A row is a job from its acceptance until long after its callback was delivered, so that the same id is never executed
twice. Every change is one transaction, on disk before the method returns. Payloads hold passwords of sources: the
folder is the owner's alone, a payload is overwritten with zeros as soon as its job is final, and its hash stays.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webapp.errors import ServiceError, SettingsError

FINAL = ("completed", "failed", "cancelled")
MOST_STARTS = 2
KEPT_SECONDS = 7 * 86_400
KEPT_JOBS = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE,
  digest TEXT NOT NULL,
  payload TEXT,
  callback_url TEXT NOT NULL,
  streamed INTEGER NOT NULL,
  status TEXT NOT NULL,
  stage TEXT,
  starts INTEGER NOT NULL DEFAULT 0,
  created_at REAL NOT NULL,
  finished_at REAL,
  kind TEXT,
  body TEXT,
  delivery TEXT NOT NULL DEFAULT 'none',
  attempts INTEGER NOT NULL DEFAULT 0,
  first_attempt_at REAL,
  next_attempt_at REAL
);
CREATE INDEX IF NOT EXISTS by_status ON jobs (status, number);
CREATE INDEX IF NOT EXISTS by_delivery ON jobs (delivery, next_attempt_at);
"""


@dataclass(frozen=True)
class Entry:
    """A job as journalled. ``payload`` is None once the job is final; ``streamed`` jobs came from the stream, which
    brings them again when they are not acknowledged."""

    run_id: str
    digest: str
    payload: str | None
    callback_url: str
    streamed: bool
    status: str
    stage: str | None
    starts: int


@dataclass(frozen=True)
class Final:
    """A complete or error callback that is to be delivered."""

    run_id: str
    kind: str
    url: str
    body: dict[str, Any]
    attempts: int
    first_attempt_at: float | None


class Journal:
    """All methods are safe to call from any thread."""

    def __init__(self, folder: Path, wait_seconds: float = 10.0) -> None:
        """Opens and locks the journal. Raises SettingsError ``runner.journal_in_use`` when another process keeps it,
        ``runner.journal_unusable`` when it cannot be read or written."""
        self._guard = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.chmod(folder, 0o700)
            self._lock_fd = _locked(folder / "lock", wait_seconds)
            self._db = _opened(folder / "journal.db")
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(
                f"The journal in {folder} cannot be used: {error}.",
                code="runner.journal_unusable",
                hint="Choose a STAGING_PATH that the runner may write to.",
            ) from error

    def close(self) -> None:
        """Give the journal free for the next runner."""
        with self._guard:
            self._db.close()
            os.close(self._lock_fd)

    # --- jobs ----------------------------------------------------------------------------------------------------

    def add(
        self,
        run_id: str,
        digest: str,
        payload: str,
        callback_url: str,
        most_queued: int,
        streamed: bool = False,
        refused: bool = False,
    ) -> bool:
        """Enter a job; False when the same one is known. On disk before it returns. One that is ``refused`` does not
        wait to be started but for ``finish``.

        Raises ServiceError ``job.conflict`` for a known id with another payload, ``runner.queue_full``.
        """
        with self._transaction() as db:
            if _known(db, run_id, digest):
                return False
            (queued,) = db.execute("SELECT count(*) FROM jobs WHERE status = 'queued'").fetchone()
            if queued >= most_queued:
                raise ServiceError(
                    f"The queue of {most_queued:,} jobs is full.",
                    code="runner.queue_full",
                    hint="Try again in a moment.",
                    headers={"Retry-After": "5"},
                )
            db.execute(
                "INSERT INTO jobs (run_id, digest, payload, callback_url, streamed, status, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run_id, digest, payload, callback_url, streamed, "running" if refused else "queued", time.time()),
            )
            return True

    def knows(self, run_id: str, digest: str) -> bool:
        """Whether this very job was accepted before. Raises ServiceError ``job.conflict``."""
        with self._transaction() as db:
            return _known(db, run_id, digest)

    def get(self, run_id: str) -> Entry | None:
        with self._transaction() as db:
            return _entry(db.execute(f"{_ENTRY} WHERE run_id = ?", (run_id,)).fetchone())

    def start_next(self) -> Entry | None:
        """The job that waits longest, now running; None when none waits."""
        with self._transaction() as db:
            found = _entry(db.execute(f"{_ENTRY} WHERE status = 'queued' ORDER BY number LIMIT 1").fetchone())
            if found is None:
                return None
            db.execute("UPDATE jobs SET status = 'running', starts = starts + 1 WHERE run_id = ?", (found.run_id,))
            return _entry(db.execute(f"{_ENTRY} WHERE run_id = ?", (found.run_id,)).fetchone())

    def set_stage(self, run_id: str, stage: str) -> None:
        with self._transaction() as db:
            db.execute("UPDATE jobs SET stage = ? WHERE run_id = ?", (stage, run_id))

    def finish(self, run_id: str, status: str, kind: str, body: dict[str, Any]) -> bool:
        """Make a job final, with the one callback that says so; False when it was final before."""
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET status = ?, payload = NULL, finished_at = ?, kind = ?, body = ?, delivery = 'pending',"
                " next_attempt_at = 0 WHERE run_id = ? AND status IN ('queued', 'running')",
                (status, time.time(), kind, json.dumps(body), run_id),
            )
            return changed.rowcount == 1

    def cancel(self, run_id: str) -> None:
        """Make a job final without a callback. Raises ServiceError ``job.not_found``, ``job.final``."""
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET status = 'cancelled', payload = NULL, finished_at = ?"
                " WHERE run_id = ? AND status IN ('queued', 'running')",
                (time.time(), run_id),
            )
            if changed.rowcount == 1:
                return
            found = db.execute("SELECT status FROM jobs WHERE run_id = ?", (run_id,)).fetchone()
        if found is None:
            raise unknown_job(run_id)
        if found[0] != "cancelled":
            raise ServiceError(f"The job has ended already; it is {found[0]}.", code="job.final")

    def requeue(self, run_id: str) -> None:
        """Have an interrupted job run again, from the beginning."""
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET status = 'queued', stage = NULL WHERE run_id = ? AND status = 'running'", (run_id,)
            )

    def forget(self, run_id: str) -> None:
        """Drop an open job that the stream will bring again."""
        with self._transaction() as db:
            db.execute("DELETE FROM jobs WHERE run_id = ? AND status IN ('queued', 'running')", (run_id,))

    def open_jobs(self) -> list[Entry]:
        """Jobs that are not final, oldest first."""
        with self._transaction() as db:
            rows = db.execute(f"{_ENTRY} WHERE status IN ('queued', 'running') ORDER BY number").fetchall()
        return [entry for entry in map(_entry, rows) if entry is not None]

    def queued(self) -> int:
        with self._transaction() as db:
            return int(db.execute("SELECT count(*) FROM jobs WHERE status = 'queued'").fetchone()[0])

    # --- callbacks -----------------------------------------------------------------------------------------------

    def due(self, now: float, most: int) -> list[Final]:
        """Callbacks whose time has come, oldest first."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT run_id, kind, callback_url, body, attempts, first_attempt_at FROM jobs"
                " WHERE delivery = 'pending' AND next_attempt_at <= ? ORDER BY number LIMIT ?",
                (now, most),
            ).fetchall()
        return [Final(r[0], r[1], r[2], json.loads(r[3]), r[4], r[5]) for r in rows]

    def next_due(self) -> float | None:
        """When the next callback is due, in seconds of the clock; None when none waits."""
        with self._transaction() as db:
            found = db.execute("SELECT min(next_attempt_at) FROM jobs WHERE delivery = 'pending'").fetchone()[0]
        return None if found is None else float(found)

    def retry_now(self) -> None:
        """Let every waiting callback be tried at once, as after a start."""
        with self._transaction() as db:
            db.execute("UPDATE jobs SET next_attempt_at = 0 WHERE delivery = 'pending'")

    def postpone(self, final: Final, first_attempt_at: float, next_attempt_at: float) -> None:
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET attempts = attempts + 1, first_attempt_at = ?, next_attempt_at = ? WHERE run_id = ?",
                (first_attempt_at, next_attempt_at, final.run_id),
            )

    def end_delivery(self, run_id: str, delivery: str) -> None:
        """``delivered``, or ``ended`` for one that nobody will take; old jobs are forgotten on the way."""
        with self._transaction() as db:
            db.execute("UPDATE jobs SET delivery = ?, body = NULL WHERE run_id = ?", (delivery, run_id))
            _prune(db)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._guard:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself ends one that met a full disk
                    self._db.execute("ROLLBACK")
                raise


def first_free(folder: Path, most: int = 1000) -> Journal:
    """A journal of this runner's own, where several share a STAGING_PATH: the first that nobody uses, which may hold
    callbacks that a runner now gone still owed. Raises SettingsError."""
    for number in range(most - 1):
        try:
            return Journal(folder / str(number), wait_seconds=0)
        except SettingsError as error:
            if error.code != "runner.journal_in_use":
                raise
    return Journal(folder / str(most - 1))


_ENTRY = "SELECT run_id, digest, payload, callback_url, streamed, status, stage, starts FROM jobs"


def unknown_job(run_id: str) -> ServiceError:
    return ServiceError(f"There is no job {run_id[:64]}.", code="job.not_found")


def _entry(row: tuple[Any, ...] | None) -> Entry | None:
    return None if row is None else Entry(row[0], row[1], row[2], row[3], bool(row[4]), *row[5:])


def _known(db: sqlite3.Connection, run_id: str, digest: str) -> bool:
    found = db.execute("SELECT digest FROM jobs WHERE run_id = ?", (run_id,)).fetchone()
    if found is not None and found[0] != digest:
        raise ServiceError("Another job with this run_id was accepted before.", code="job.conflict")
    return found is not None


def _prune(db: sqlite3.Connection) -> None:
    db.execute(
        "DELETE FROM jobs WHERE status IN ('completed', 'failed', 'cancelled') AND delivery != 'pending' AND"
        " (finished_at < ? OR number <= (SELECT max(number) FROM jobs) - ?)",
        (time.time() - KEPT_SECONDS, KEPT_JOBS),
    )


def _locked(path: Path, wait_seconds: float) -> int:
    """A descriptor that holds the lock; the kernel gives it free when this process ends, however it ends."""
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    ends = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() >= ends:
                os.close(fd)
                raise SettingsError(
                    f"Another runner works in {path.parent}.",
                    code="runner.journal_in_use",
                    hint="Stop it, or give this one its own STAGING_PATH.",
                ) from None
            time.sleep(0.05)


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # DELETE leaves no second file in which old payloads live on; EXTRA also syncs the folder after each commit.
    for setting in ("journal_mode = DELETE", "synchronous = EXTRA", "secure_delete = ON"):
        db.execute(f"PRAGMA {setting}").fetchall()
    db.executescript(_SCHEMA)
    return db
