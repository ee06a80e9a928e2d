"""Connections to PostgreSQL: read-only, one transaction each, printing values alike on every server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ
from psycopg2.extensions import connection as Connection

from connectors.addresses import checked_hosts
from connectors.base import Access
from connectors.errors import ConnectorError
from connectors.postgres.errors import SNAPSHOT_GONE, connect_fault, query_fault, translated
from recipe import PostgresAddress

CONNECT_TIMEOUT_SECONDS = 10

# Values print alike whatever the server, database or role is set to, and sequential scans start at the first
# block.
_SETTINGS = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "xmloption": "content",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "synchronize_seqscans": "off",
    "idle_in_transaction_session_timeout": "0",  # the connection that holds the snapshot is idle by design
}

# Rows must come in physical order whatever index a filter could use; a bitmap scan keeps that order.
_PHYSICAL_ORDER = {
    "max_parallel_workers_per_gather": "0",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
}
_PARAMETER_NAME = re.compile(r"[a-z_]+")
_SECRET_PARAMETERS = {
    "password",
    "sslpassword",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
}
_ONE_PROCESS = {"max_parallel_workers_per_gather": "0"}


def secrets_of(address: PostgresAddress) -> tuple[str, ...]:
    """Every secret that the address holds."""
    hidden = tuple(value for name, value in address.params if name in _SECRET_PARAMETERS)
    return hidden if address.password is None else (address.password, *hidden)


def table_text(address: PostgresAddress) -> str:
    """The table as people write it: ``fin.ledger``."""
    return address.table if address.table_schema is None else f"{address.table_schema}.{address.table}"


def place_text(address: PostgresAddress) -> str:
    """Table, database and host, for messages; no secrets."""
    host = address.host or "the default host"
    port = "" if address.port is None else f":{address.port}"
    return f"{table_text(address)!r} (database {address.database!r} at {host}{port})"


def pinned(address: PostgresAddress, access: Access) -> PostgresAddress:
    """The address with the numeric ones that were checked for its host. Raises SourceUnreachable for a host that has
    none."""
    if not address.host or address.host.startswith(("/", "@")):
        return address
    return replace(address, numeric=checked_hosts(address.host, access, place_text(address)))


def _conninfo(address: PostgresAddress, where: str) -> str:
    """libpq's connection string; parameters of the address win over our defaults."""
    given: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "kalla",
        **dict(address.params),
        "dbname": address.database,
        "client_encoding": "UTF8",
    }
    place = {"host": address.host, "port": address.port, "user": address.user, "password": address.password}
    if address.numeric:  # the name once for each address: it stays what certificates are checked against
        place |= {"host": ",".join([address.host] * len(address.numeric)), "hostaddr": ",".join(address.numeric)}
    given |= {name: value for name, value in place.items() if value}
    for name in given:
        if not _PARAMETER_NAME.fullmatch(name):  # else a name could smuggle in a second parameter
            raise ConnectorError(
                f"The source {where} has a parameter {name!r} that no driver knows.",
                code="source.invalid_uri",
                hint="Correct the parameters after ? in the address.",
            )
    return " ".join(f"{name}='{_quoted(str(value))}'" for name, value in given.items())


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def connect(address: PostgresAddress) -> Connection:
    """A new connection: read-only, repeatable read. Raises ConnectorError."""
    where, secrets = place_text(address), secrets_of(address)
    try:
        connection = psycopg2.connect(_conninfo(address, where))
    except psycopg2.Error as error:
        raise connect_fault(error, where, secrets) from None
    try:
        with connection.cursor() as cursor:
            connection.set_client_encoding("UTF8")
            _apply(cursor, {"default_transaction_read_only": "on", **_SETTINGS}, local=False)
        connection.commit()
        connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
    except psycopg2.Error as error:
        connection.close()
        raise query_fault(error, where, secrets) from None
    return connection


def _apply(cursor: Any, settings: dict[str, str], *, local: bool) -> None:
    calls = ", ".join(["pg_catalog.set_config(%s, %s, %s)"] * len(settings))
    cursor.execute("SELECT " + calls, [part for name, value in settings.items() for part in (name, value, local)])


@contextmanager
def transaction(address: PostgresAddress, snapshot_id: str | None = None) -> Iterator[Any]:
    """A cursor in one read-only transaction on its own connection, closed at the end.

    ``snapshot_id`` is an exported snapshot to read. Errors of the driver inside the block become
    ConnectorError.
    """
    where, secrets = place_text(address), secrets_of(address)
    with closing(connect(address)) as connection, translated(where, secrets), connection.cursor() as cursor:
        if snapshot_id is not None:
            adopt(cursor, snapshot_id, where)
        yield cursor


def adopt(cursor: Any, snapshot_id: str, where: str) -> None:
    """Make the cursor's transaction, which must be new, see an exported snapshot."""
    try:
        cursor.execute("SET TRANSACTION SNAPSHOT %s", [snapshot_id])
    except psycopg2.Error as error:
        if error.pgcode in ("22023", "42704", "55000"):  # no such snapshot, or its exporter has ended
            raise SNAPSHOT_GONE.raised(where) from None
        raise


def keep_order(cursor: Any, *, physical: bool) -> None:
    """For the rest of the transaction, plans give rows in one fixed order: physical order for stored rows."""
    _apply(cursor, _PHYSICAL_ORDER if physical else _ONE_PROCESS, local=True)


__all__ = ["adopt", "connect", "keep_order", "pinned", "place_text", "secrets_of", "table_text", "transaction"]
