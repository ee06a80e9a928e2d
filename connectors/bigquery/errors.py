"""What Google's clients raise -> errors of a source, in one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.errors import ConnectorError, SourceDenied, SourceNotFound, SourceUnreachable
from connectors.google import driver, groups
from recipe import mask_text

_LONGEST_REASON = 200


@contextmanager
def translated(table: str) -> Iterator[None]:
    """Errors of the clients inside become ConnectorErrors about the table."""
    known = groups("bigquery")
    api, rpc = driver("google.api_core.exceptions", "bigquery"), driver("grpc", "bigquery")
    try:
        yield
    except known.missing:
        raise SourceNotFound(
            f"There is no table {table}.",
            code="source.table_not_found",
            hint="Check project, dataset and table in the address, and that the credentials may see them.",
        ) from None
    except (*known.denied, *known.without_credentials):
        raise SourceDenied(
            f"Reading {table} is not allowed, or there are no credentials that work.",
            hint="Set GOOGLE_APPLICATION_CREDENTIALS; they need to read the table's data and to create read sessions.",
        ) from None
    except api.FailedPrecondition as error:
        raise SourceUnreachable(
            f"The table {table} can no longer be read as it was when the run began: {_reason(error)}.",
            hint="Run again; a read session ends after some hours.",
        ) from None
    except (*known.away, rpc.RpcError) as error:
        raise SourceUnreachable(
            f"BigQuery does not answer about {table}: {type(error).__name__}.",
            hint="Check the network, then run again. Nothing that was read is used.",
        ) from None
    except known.refused as error:
        raise ConnectorError(
            f"BigQuery refused what was asked about {table}: {_reason(error)}.",
            hint="Check the table; a table's past is kept for seven days, and this machine's clock must be right.",
        ) from None


def _reason(error: Exception) -> str:
    text = mask_text(" ".join(str(getattr(error, "message", error)).split()))
    return text[:_LONGEST_REASON].rstrip(".")
