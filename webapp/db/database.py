"""The app database: SQLite in a file of its own, or PostgreSQL. One pool a process."""

from __future__ import annotations

import errno
import logging
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy import exc as failures
from sqlalchemy.orm import Session

from recipe import KallaError, mask_text
from webapp.db import migrate
from webapp.db.types import from_json, to_json
from webapp.errors import ServiceError, SettingsError

LOG = logging.getLogger(__name__)
_BUSY_MILLISECONDS = 15_000
_POOL = {"pool_size": 5, "max_overflow": 15, "pool_timeout": 10}
_CACHE_KIB = 512  # pages that each SQLite connection keeps; the operating system keeps the file for all of them
_POSTGRES = {
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "tcp_user_timeout": "15000",  # a server that fell silent is noticed in seconds, not in a quarter of an hour
    "application_name": "kalla",
}
_UNAVAILABLE = (failures.OperationalError, failures.InterfaceError, failures.TimeoutError)
_SQLITE_FULL = (13, 4874)  # SQLITE_FULL; SQLITE_IOERR_SHMSIZE, when the file that readers share cannot grow
_POSTGRES_FULL = "53100"
_FAULT_IN_SQL = 1  # SQLITE_ERROR, which Python calls operational too


class Database:
    """Access to the app database.

    Args:
        url: ``sqlite:///path``, ``postgres://...`` or ``postgresql://...``. Nothing is opened before it is used.

    Raises SettingsError for any other address; it never repeats the address.
    """

    def __init__(self, url: str) -> None:
        self._url = _checked(url)
        self.engine = _sqlite(self._url) if self.is_sqlite else _postgres(self._url)
        self._writer = self.engine.execution_options(kalla_writes=True)
        self._reader = (
            self.engine.execution_options(kalla_reads=True)
            if self.is_sqlite
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        _OPEN.add(self)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self._url.get_backend_name() == "sqlite"

    @contextmanager
    def session(self, *, writes: bool = False) -> Iterator[Session]:
        """A session in one transaction: committed at the end, rolled back on an error.

        ``writes`` takes SQLite's lock for writing at once; a transaction that reads first and writes afterwards
        needs it, others gain nothing. Raises ServiceError ``database.unavailable`` when there is no answer,
        ``storage.full`` when its disk takes no more.
        """
        bind = self._writer if writes else self.engine
        with _translated(), Session(bind, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for one SELECT, which is its own transaction: nothing is begun or committed around it.

        A third of what a session costs, so lists and look-ups of pages take this. Raises ServiceError
        ``database.unavailable`` when there is no answer.
        """
        with _translated(), self._reader.connect() as connection:
            yield connection

    def ping(self) -> None:
        """Raises ServiceError ``database.unavailable`` unless the database answers."""
        with _translated(), self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def migrate(self) -> None:
        """Bring the tables up to date. Repeatable; processes that start together wait for each other."""
        with _translated():
            if self.is_sqlite:
                migrate.sqlite(self._writer, _path(self._url))
            else:
                migrate.postgres(self.engine)

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        self.engine.dispose()

    def forget_connections(self) -> None:
        """Leave the connections to the parent process: two processes on one connection would garble it."""
        self.engine.dispose(close=False)


_OPEN: weakref.WeakSet[Database] = weakref.WeakSet()


def _after_fork() -> None:
    for database in list(_OPEN):
        database.forget_connections()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except failures.SQLAlchemyError as error:
        cause = error.orig if isinstance(error, failures.StatementError) else None
        if isinstance(cause, KallaError):
            raise cause from None
        if _is_full(cause):
            LOG.error("The disk of the app database is full: %s", mask_text(str(cause)))
            raise _full() from None
        if not _is_down(error, cause):
            raise
        LOG.warning("The app database does not answer: %s", mask_text(str(cause or error)))
        raise _unavailable() from None


def _is_down(error: failures.SQLAlchemyError, cause: BaseException | None) -> bool:
    if getattr(cause, "sqlite_errorcode", None) == _FAULT_IN_SQL:
        return False
    # Without a subclass: a file that is damaged or no database, a server that went away in mid-answer.
    return isinstance(error, _UNAVAILABLE) or type(error) is failures.DatabaseError


def _is_full(cause: BaseException | None) -> bool:
    return getattr(cause, "sqlite_errorcode", None) in _SQLITE_FULL or getattr(cause, "pgcode", None) == _POSTGRES_FULL


def _full() -> ServiceError:
    return ServiceError(
        "This cannot be stored: the disk of the app database is full.",
        code="storage.full",
        hint="Free some space there, then repeat the step. What is stored already stays readable.",
    )


def _unavailable() -> ServiceError:
    return ServiceError(
        "The app database does not answer.",
        code="database.unavailable",
        hint="Try again in a moment; if it lasts, the operator finds the reason in the log.",
        headers={"Retry-After": "5"},
    )


def _checked(url: str) -> URL:
    try:
        found = make_url(url)
    except (failures.ArgumentError, ValueError):
        raise _bad_url() from None
    if found.drivername in ("postgres", "postgresql", "postgresql+psycopg2"):
        return found.set(drivername="postgresql+psycopg2")
    in_file = found.database not in (None, "", ":memory:") and not str(found.database).startswith("file:")
    if found.drivername in ("sqlite", "sqlite+pysqlite") and in_file:
        return found.set(drivername="sqlite+pysqlite", database=str(Path(str(found.database)).absolute()))
    raise _bad_url()


def _bad_url() -> SettingsError:
    return SettingsError(
        "DATABASE_URL names no database that Kalla can use.",
        hint="Use postgresql://user:password@host:5432/name or sqlite:////folder/kalla.db.",
    )


def _path(url: URL) -> Path:
    return Path(str(url.database))


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        json_serializer=to_json,
        json_deserializer=from_json,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_MILLISECONDS / 1000, "isolation_level": None},
        **_POOL,
    )
    event.listen(engine, "do_connect", lambda *_: _prepare_file(_path(url)))
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare_file(path: Path) -> None:
    """The file and its folder, readable by their owner only. SQLite gives its side files the same rights."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        LOG.warning("The app database cannot be opened: %s", error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full() from None
        raise _unavailable() from None


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("foreign_keys = ON", "synchronous = NORMAL", f"cache_size = -{_CACHE_KIB}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Any) -> None:
    # Python's own transactions begin too late for DDL and too late for a lock; these begin here.
    options = connection.get_execution_options()
    if not options.get("kalla_reads", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("kalla_writes", False) else "BEGIN")


def _postgres(url: URL) -> Engine:
    defaults = {name: value for name, value in _POSTGRES.items() if name not in url.query}
    return create_engine(
        url,
        json_serializer=to_json,
        json_deserializer=from_json,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args=defaults,
        **_POOL,
    )
