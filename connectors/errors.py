"""Errors of sources. Each connector translates its driver's errors into these, in one table."""

from __future__ import annotations

from typing import ClassVar

from recipe import KallaError


class ConnectorError(KallaError):
    """A source could not be used."""

    default_code: ClassVar[str] = "source.unreadable"


class SourceNotFound(ConnectorError):
    """The file, table or object does not exist."""

    default_code = "source.not_found"


class SourceDenied(ConnectorError):
    """Credentials or permissions are missing or wrong."""

    default_code = "source.access_denied"


class SourceUnreachable(ConnectorError):
    """The server does not answer. Trying again may help."""

    default_code = "source.unreachable"
    retryable = True


class SourceDataError(ConnectorError):
    """The source was opened, and something in it cannot be represented or parsed."""

    default_code = "source.unreadable"


class SourceChanged(ConnectorError):
    """The source changed while it was being read; what was read does not belong together."""

    default_code = "source.changed"


class MissingDriver(ConnectorError):
    """The connector's extra is not installed; the hint is the pip line."""

    default_code = "source.driver_missing"
