"""What goes wrong with a PostgreSQL source, translated from the driver's errors in one table.

A failed connection carries no SQLSTATE through psycopg2, so it is recognised by its text; a server that
speaks another language still ends as ``source.unreachable`` with libpq's own words. Every text passes
``without_secrets``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg2

from connectors.errors import (
    ConnectorError,
    SourceChanged,
    SourceDataError,
    SourceDenied,
    SourceNotFound,
    SourceUnreachable,
)
from connectors.faults import BUSY, DATA, LOST, Fault, without_secrets

# The first row whose pattern occurs in libpq's text for a failed connection.
_CONNECT_FAULTS: tuple[tuple[str, Fault], ...] = (
    (
        r"invalid (connection option|dsn)|invalid .* value|invalid integer value|missing \"=\"",
        Fault(
            ConnectorError,
            "has an address that the driver refuses",
            "Correct the parameters after ? in the address.",
            "source.invalid_uri",
        ),
    ),
    (
        r"authentication failed|no password supplied|fe_sendauth|no pg_hba\.conf entry"
        r"|role \".*\" does not exist|not permitted to log in|permission denied for database"
        r"|authentication method|pg_hba\.conf rejects",
        Fault(
            SourceDenied,
            "refused the user",
            "Check user and password in the address, and who may connect from here.",
        ),
    ),
    (
        r"database \".*\" does not exist|database .* is not currently accepting",
        Fault(
            SourceNotFound,
            "names a database that does not exist",
            "Check the name after the host in the address.",
        ),
    ),
    (
        r"could not translate host name|Name or service not known|nodename nor servname",
        Fault(SourceUnreachable, "names a host that cannot be found", "Check the host in the address."),
    ),
    (
        r"does not support SSL|SSL error|certificate|sslmode|root\.crt",
        Fault(
            SourceUnreachable,
            "could not agree with the server on an encrypted connection",
            "Check sslmode and the certificates that the address names.",
        ),
    ),
    (
        r"too many (clients|connections)|connection slots|starting up|shutting down|recovery mode"
        r"|not yet accepting",
        BUSY,
    ),
    (
        r"timeout expired|timed out",
        Fault(
            SourceUnreachable,
            "did not answer in time",
            "Check host, port and firewall, or raise connect_timeout.",
        ),
    ),
    (
        r"",
        Fault(
            SourceUnreachable,
            "cannot be reached",
            "Check host and port in the address, and that the server runs.",
        ),
    ),
)

# The longest prefix of the SQLSTATE decides.
_STATE_FAULTS: dict[str, Fault] = {
    "": Fault(
        ConnectorError,
        "could not be read",
        "See what the server said; the address may name something unusual.",
    ),
    "08": LOST,
    "57P": LOST,
    "25P03": LOST,  # idle in transaction for longer than the server allows
    "25P04": LOST,  # transaction_timeout
    "53": Fault(
        SourceUnreachable,
        "ran out of resources on the server",
        "Try again later, or ask for more on the server.",
    ),
    "53300": BUSY,
    "55P03": Fault(SourceUnreachable, "is locked by another session", "Try again when that session has ended."),
    "57014": Fault(
        SourceUnreachable,
        "was stopped by the server",
        "If that was a time limit, raise it, for instance with ?options=-c%20statement_timeout%3D10min.",
        "source.timeout",
    ),
    "40": Fault(SourceUnreachable, "was interrupted by other work on the server", "Run again."),
    "28": Fault(SourceDenied, "refused the user", "Check user and password in the address."),
    "42501": Fault(SourceDenied, "may not be read by this user", "Grant SELECT on it, and USAGE on its schema."),
    "42P01": Fault(
        SourceNotFound, "does not exist any more", "Check the table in the address.", "source.table_not_found"
    ),
    "42703": Fault(SourceChanged, "lost a column while it was read", "Run again."),
    "22": DATA,
    "22021": Fault(
        SourceDataError,
        "holds text that is not valid in its encoding",
        "Correct the text, or the database's encoding.",
    ),
    "22P05": Fault(
        SourceDataError,
        "holds text that cannot be converted to UTF-8",
        "Correct the text, or the database's encoding.",
    ),
    "P0": DATA,  # raised by a function behind a view
    "HV": Fault(
        ConnectorError,
        "could not be read from the foreign server",
        "Check the foreign server and its options.",
    ),
    "55000": Fault(ConnectorError, "is not ready to be read", "A materialised view must be refreshed once before."),
    "58": Fault(ConnectorError, "could not be read by the server", "Check the server's disks and its log."),
    "XX": Fault(ConnectorError, "could not be read by the server", "Check the server's log; data may be damaged."),
}

SNAPSHOT_GONE = Fault(
    SourceUnreachable,
    "can no longer be read as it was when the run began: its snapshot ended",
    "Run again; keep the connection that opened the snapshot alive, on the same server.",
)


def connect_fault(error: psycopg2.Error, where: str, secrets: Iterable[str]) -> ConnectorError:
    """Why no connection came about."""
    # libpq asks back whether the server runs, in the middle of a sentence; the hint says what to check.
    text = " ".join(re.sub(r"Is the server running[^?]*\?", "", str(error)).split())
    fault = next(fault for pattern, fault in _CONNECT_FAULTS if re.search(pattern, text, re.I))
    return fault.raised(where, without_secrets(text, secrets).rstrip("."))


def query_fault(error: psycopg2.Error, where: str, secrets: Iterable[str]) -> ConnectorError:
    """Why a statement failed. Without an SQLSTATE the connection itself broke."""
    state = error.pgcode
    if state is None:
        return LOST.raised(where)
    prefix = next(state[:n] for n in range(len(state), -1, -1) if state[:n] in _STATE_FAULTS)
    said = " ".join((error.diag.message_primary or "").split())
    return _STATE_FAULTS[prefix].raised(where, without_secrets(said, secrets).rstrip("."))


@contextmanager
def translated(where: str, secrets: Iterable[str]) -> Iterator[None]:
    """Turn the driver's errors inside the block into ConnectorError."""
    try:
        yield
    except psycopg2.Error as error:
        raise query_fault(error, where, secrets) from None


__all__ = ["SNAPSHOT_GONE", "connect_fault", "query_fault", "translated"]
