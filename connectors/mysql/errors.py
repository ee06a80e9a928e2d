"""What goes wrong with a MySQL source, translated from the driver's errors in one table. Every text passes
``without_secrets``."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable

from pymysql.err import MySQLError

from connectors.errors import (
    ConnectorError,
    SourceChanged,
    SourceDenied,
    SourceNotFound,
    SourceUnreachable,
)
from connectors.faults import BUSY, DATA, LOST, Fault, without_secrets

_MOST_SAID = 500
_REFUSED = Fault(
    SourceDenied, "refused the user", "Check user and password in the address, and who may connect from here."
)
_UNREADABLE = Fault(SourceDenied, "may not be read by this user", "Grant SELECT on it.")
_UNENCRYPTED = Fault(
    SourceUnreachable,
    "could not agree with the server on an encrypted connection",
    "Check ssl-mode and the certificates that ssl-ca names.",
)
_TIMEOUT = Fault(
    SourceUnreachable,
    "was stopped by the server",
    "If that was a time limit of the server, raise it; counts and previews have one of their own.",
    "source.timeout",
)
_SILENT = Fault(
    SourceUnreachable, "did not answer in time", "Check host, port and firewall, and how busy the server is."
)
_NO_HOST = Fault(SourceUnreachable, "names a host that cannot be found", "Check the host in the address.")
_AWAY = Fault(SourceUnreachable, "cannot be reached", "Check host and port in the address, and that the server runs.")
_LOCKED = Fault(SourceUnreachable, "is locked by another session", "Try again when that session has ended.")
_INTERRUPTED = Fault(SourceUnreachable, "was interrupted by other work on the server", "Run again.")
_RESOURCES = Fault(
    SourceUnreachable, "ran out of resources on the server", "Try again later, or ask for more on the server."
)
ALTERED = Fault(SourceChanged, "was altered while it was read", "Run again.")
_DAMAGED = Fault(
    ConnectorError, "could not be read by the server", "Check the server's log; the table may need a repair."
)
_VIEW = Fault(
    ConnectorError,
    "is a view that the server cannot evaluate",
    "Check that what it names still exists, and that its definer or this user may read it.",
)
_OTHER = Fault(ConnectorError, "could not be read", "See what the server said; the address may name something unusual.")
NOT_MYSQL = Fault(
    SourceUnreachable,
    "got an answer that MySQL does not give",
    "Check host and port in the address, and that a MySQL or MariaDB server listens there.",
)
AUTHORITIES = Fault(
    ConnectorError, "names certificates in ssl-ca that cannot be read", "Name a file in PEM form.", "source.invalid_uri"
)

_NUMBERS: dict[int, Fault] = {
    **dict.fromkeys((1044, 1045, 1129, 1130, 1251, 1275, 1396, 1698, 1820, 1862, 3118, 3955, 4151), _REFUSED),
    2059: Fault(
        SourceDenied,
        "asks for a way to log in that is not supported",
        "Give the user mysql_native_password, caching_sha2_password or sha256_password.",
    ),
    1049: Fault(
        SourceNotFound, "names a database that does not exist", "Check the name after the host in the address."
    ),
    **dict.fromkeys((1040, 1053, 1203, 1226), BUSY),
    **dict.fromkeys((2006, 2013, 2055, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1927, 4031), LOST),
    **dict.fromkeys((2026, 3159, 4207), _UNENCRYPTED),
    **dict.fromkeys((1317, 1907, 1969, 3024), _TIMEOUT),
    **dict.fromkeys((1205, 1099, 1100, 3572), _LOCKED),
    **dict.fromkeys((1020, 1213, 1614), _INTERRUPTED),
    **dict.fromkeys((3, 1021, 1037, 1038, 1041, 1114, 1135, 1153, 1206, 1104), _RESOURCES),
    **dict.fromkeys((1142, 1143, 1227, 1370), _UNREADABLE),
    **dict.fromkeys((1146, 1051, 1109), Fault(
        SourceNotFound, "does not exist any more", "Check the table in the address.", "source.table_not_found"
    )),
    **dict.fromkeys((1054, 1412, 1615), ALTERED),
    **dict.fromkeys((126, 127, 145, 1030, 1033, 1034, 1035, 1194, 1195, 1932), _DAMAGED),
    **dict.fromkeys((1349, 1356, 1449), _VIEW),
}  # fmt: skip
_STATES = {"22": DATA, "28": _REFUSED, "08": LOST, "45": DATA}


def connect_fault(error: Exception, where: str, secrets: Iterable[str]) -> ConnectorError:
    """Why no connection came about: what the socket or the driver raised."""
    cause = getattr(error, "original_exception", error)
    if isinstance(cause, UnicodeError):
        return _NO_HOST.raised(where)
    if isinstance(cause, OSError):
        said = without_secrets(_plain(cause.strerror or str(cause)), secrets)
        return _of_socket(cause).raised(where, said)
    assert isinstance(error, MySQLError)
    return query_fault(error, where, secrets)


def _of_socket(error: OSError) -> Fault:
    if isinstance(error, ssl.SSLError):
        return _UNENCRYPTED
    if isinstance(error, socket.gaierror):
        return _NO_HOST
    return _SILENT if isinstance(error, TimeoutError) else _AWAY


def query_fault(error: MySQLError, where: str, secrets: Iterable[str]) -> ConnectorError:
    """Why a statement failed."""
    number, said = (*error.args, "", "")[:2]
    if not isinstance(number, int) or number == 0:
        return (LOST if number == 0 else NOT_MYSQL).raised(where)
    fault = _NUMBERS.get(number) or _STATES.get((getattr(error, "sqlstate", None) or "")[:2], _OTHER)
    if fault is LOST and "timed out" in str(said):
        fault = _SILENT
    said = "" if number in (2006, 2013) else without_secrets(_plain(str(said)), secrets)
    return fault.raised(where, said)


def _plain(text: str) -> str:
    """One line of what can be printed."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())[:_MOST_SAID].rstrip(".")


__all__ = ["ALTERED", "AUTHORITIES", "NOT_MYSQL", "connect_fault", "query_fault"]
