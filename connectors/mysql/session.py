"""Connections to MySQL and MariaDB: read-only, one transaction each, values printed alike on every server.

A server may be hostile: it gets no file of this machine, no password in the clear but inside TLS, and no more memory
than one row may take.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import SSCursor
from pymysql.err import MySQLError, OperationalError

from connectors.addresses import checked_hosts
from connectors.base import Access
from connectors.errors import SourceDataError
from connectors.mysql.errors import AUTHORITIES, NOT_MYSQL, connect_fault
from recipe import MysqlAddress

CONNECT_TIMEOUT_SECONDS = 10
_ANSWER_SECONDS = 60.0  # for statements that ask the catalogue
_PORTION_ROWS = 16_384
_PORTION_BYTES = 16 << 20
MOST_BYTES = 64 << 20  # of a row, and of all else that the server says at once
_LOGINS = (b"mysql_native_password", b"caching_sha2_password", b"sha256_password")
_UNSUPPORTED_LOGIN = 2059  # the client library's own number
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}  # a dead line is noticed after 90 s

# Values print alike, and no row is left out, whatever the server or the user is set to. A reader may take its time; one
# that waits for an ALTER TABLE does not wait for ever.
_SETTINGS = (
    "sql_mode = ''",
    "time_zone = '+00:00'",
    "sql_select_limit = 18446744073709551615",
    "sql_big_selects = 1",
    "net_write_timeout = 3600",
    "lock_wait_timeout = 60",
)
_BEGIN = (
    f"SET SESSION {', '.join(_SETTINGS)}",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
# What the driver raises, besides its own errors, where an answer is not of the protocol.
_GARBAGE = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error)

Row = tuple[bytes | None, ...]


class _TooMuch(Exception):
    """The server said more than ``MOST_BYTES`` at once."""


class _Connection(Connection):
    """A connection that reads no more than ``left`` bytes, and that never hands a password to whoever asks."""

    left = MOST_BYTES

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        """The driver's own, for a mode that checks nothing, loads the authorities that it does not ask."""
        return sslp if isinstance(sslp, ssl.SSLContext) else _unchecked()

    def _read_bytes(self, num_bytes: int) -> bytes:
        self.left -= num_bytes
        if self.left < 0:
            self.abandon()
            raise _TooMuch
        found: bytes = super()._read_bytes(num_bytes)
        return found

    def _process_auth(self, plugin_name: bytes, auth_packet: Any, handler: Any = None) -> Any:
        if plugin_name not in _LOGINS:
            raise OperationalError(_UNSUPPORTED_LOGIN, plugin_name.decode("ascii", "replace"))
        return super()._process_auth(plugin_name, auth_packet, handler)

    def abandon(self) -> None:
        """Close without reading the rest of an answer."""
        if self._result is not None:
            self._result.unbuffered_active = False
        self._force_close()


def place_text(address: MysqlAddress) -> str:
    """Table, database and host, for messages; no secrets."""
    return f"{address.table!r} (database {address.database!r} at {address.host}:{address.port})"


def pinned(address: MysqlAddress, access: Access) -> MysqlAddress:
    """The address with the numeric ones that were checked for its host. Raises SourceUnreachable for a host that has
    none."""
    return replace(address, numeric=checked_hosts(address.host, access, place_text(address)))


class Session:
    """One read-only transaction, begun with its connection. Cells are the texts that the server prints."""

    def __init__(self, address: MysqlAddress) -> None:
        """Raises ConnectorError."""
        self.address = address
        self.where = place_text(address)
        self._secrets = (address.password,) if address.password else ()
        self._connection = self._connected()
        try:
            for statement in _BEGIN:
                self.run(statement)
        except BaseException:
            self.close()
            raise

    def _connected(self) -> _Connection:
        address = self.address
        connection = _Connection(
            host=address.host,
            port=address.port,
            user=address.user,
            password=(address.password or "").encode(),
            database=address.database,
            charset="utf8mb4",
            use_unicode=False,
            conv={},
            autocommit=None,
            local_infile=False,
            read_timeout=CONNECT_TIMEOUT_SECONDS,
            write_timeout=CONNECT_TIMEOUT_SECONDS,
            defer_connect=True,
            program_name="kalla",
            **self._tls(),
        )
        try:
            found = _socket(address)
        except (OSError, UnicodeError) as error:  # a name that no host can have
            raise connect_fault(error, self.where, self._secrets) from None
        with self._told():
            connection.connect(found)
        return connection

    def _tls(self) -> dict[str, Any]:
        mode = self.address.ssl_mode
        if mode in ("disabled", "preferred"):
            return {"ssl_disabled": mode == "disabled"}
        if mode == "required":
            return {"ssl": _unchecked()}
        try:
            context = ssl.create_default_context(cafile=self.address.ssl_ca)
        except OSError as error:
            raise AUTHORITIES.raised(self.where, error.strerror or "") from None
        context.check_hostname = mode == "verify-identity"
        return {"ssl": context}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the driver inside the block become ConnectorError."""
        try:
            yield
        except MySQLError as error:
            raise connect_fault(error, self.where, self._secrets) from None
        except _TooMuch:
            raise SourceDataError(
                f"The source {self.where} holds a row of more than {MOST_BYTES >> 20} MiB.",
                code="source.unrepresentable_value",
                hint="Read a view that leaves the large column out.",
            ) from None
        except _GARBAGE:
            raise NOT_MYSQL.raised(self.where) from None

    @property
    def is_mariadb(self) -> bool:
        return "mariadb" in self._connection.server_version.lower()

    @property
    def major(self) -> int:
        """The first part of the server's version."""
        first = self._connection.server_version.partition(".")[0]
        return int(first) if first.isdigit() else 0

    def limit(self, seconds: float) -> None:
        """Let the server stop every further SELECT after so long."""
        if self.is_mariadb:
            self.run(f"SET SESSION max_statement_time = {seconds:.3f}")
        else:
            self.run(f"SET SESSION max_execution_time = {seconds * 1000:.0f}")

    def run(self, statement: str, seconds: float = _ANSWER_SECONDS) -> list[Row]:
        """All rows of a small answer. Raises ConnectorError, also when none came within ``seconds``."""
        with self._told():
            self._ask(seconds)
            cursor = self._connection.cursor()
            cursor.execute(statement)
            return list(cursor.fetchall())

    def stream(self, statement: str, width: int, seconds: float | None = None) -> Iterator[list[Row]]:
        """Rows of ``width`` cells in lists that do not grow with what a cell holds; the server may think for as long as
        it likes, or ``seconds``. Raises ConnectorError."""
        with self._told():
            self._ask(seconds)
            cursor = self._connection.cursor(SSCursor)
            cursor.execute(statement)
        rows = self._portion(cursor, width)
        while rows:
            yield rows
            rows = self._portion(cursor, width)

    def _ask(self, seconds: float | None) -> None:
        self._connection.left = MOST_BYTES
        self._connection._read_timeout = seconds

    def _portion(self, cursor: Any, width: int) -> list[Row]:
        rows: list[Row] = []
        size = 0
        with self._told():
            while len(rows) < _PORTION_ROWS and size < _PORTION_BYTES:
                self._connection.left = MOST_BYTES
                row = cursor.read_next()
                if row is None:
                    break
                if len(row) != width:
                    raise ValueError(f"{len(row)} cells instead of {width}")
                rows.append(row)
                size += MOST_BYTES - self._connection.left
        return rows

    def close(self) -> None:
        """End the transaction; the rest of an answer is not waited for."""
        self._connection.abandon()


@contextmanager
def transaction(address: MysqlAddress) -> Iterator[Session]:
    """A session, closed at the end. Raises ConnectorError."""
    session = Session(address)
    try:
        yield session
    finally:
        session.close()


@lru_cache(maxsize=1)
def _unchecked() -> ssl.SSLContext:
    """Encryption with whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _socket(address: MysqlAddress) -> socket.socket:
    """A connected socket. Raises OSError."""
    hosts = address.numeric or (address.host,)
    for host in hosts[:-1]:
        try:
            return _alive(socket.create_connection((host, address.port), CONNECT_TIMEOUT_SECONDS))
        except OSError:
            continue  # the next address of the same host
    return _alive(socket.create_connection((hosts[-1], address.port), CONNECT_TIMEOUT_SECONDS))


def _alive(found: socket.socket) -> socket.socket:
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return found


__all__ = ["MOST_BYTES", "Row", "Session", "pinned", "place_text", "transaction"]
