"""Google's clients, made when they are needed: credentials and places come from the environment alone.

``BIGQUERY_EMULATOR_HOST`` (an address with http://) and ``BIGQUERY_STORAGE_EMULATOR_HOST`` (host:port) lead to another
server than Google's, without encryption and credentials.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connectors.google import driver, staying

_EMULATOR, _STORAGE_EMULATOR = "BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST"
_SECONDS = 30  # of one call, and of its repeats together
# A stream has no time of its own: a network that is cut without a word shows in a ping that nobody answers.
_ALIVE = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),  # of the pings that gRPC measures a connection with, and keeps instead
)


def _driver(module: str) -> Any:
    return driver(module, "bigquery")


def retry() -> Any:
    """How long a call is repeated: Google's own default is a day."""
    api_retry = _driver("google.api_core.retry")
    errors = _driver("google.api_core.exceptions")
    transient = api_retry.if_exception_type(
        errors.ServiceUnavailable, errors.InternalServerError, errors.BadGateway, errors.TooManyRequests
    )
    return api_retry.Retry(predicate=transient, initial=0.1, maximum=5.0, timeout=_SECONDS)


@contextmanager
def table_client(project: str) -> Iterator[Any]:
    """A client that describes tables; ``project`` pays."""
    bigquery = _driver("google.cloud.bigquery")
    anonymous = _driver("google.auth.credentials").AnonymousCredentials() if os.environ.get(_EMULATOR) else None
    with contextlib.closing(staying(bigquery.Client(project=project, credentials=anonymous))) as client:
        yield client


def described(client: Any, name: str) -> Any:
    """The table ``project.dataset.table``. Raises what Google's client raises."""
    return client.get_table(name, retry=retry(), timeout=_SECONDS)


def tables(client: Any, dataset: str, limit: int) -> Iterator[Any]:
    """The first tables and views of ``project.dataset``. Raises what Google's client raises."""
    return iter(client.list_tables(dataset, max_results=limit, retry=retry(), timeout=_SECONDS))


@contextmanager
def read_client() -> Iterator[Any]:
    """A client that reads rows."""
    storage = _driver("google.cloud.bigquery_storage_v1")
    client = storage.BigQueryReadClient(transport=_transport)
    try:
        yield client
    finally:
        client.transport.close()


def _transport(**given: Any) -> Any:
    """Google's own way to the server, or to an emulator, with pings."""
    transport = _driver("google.cloud.bigquery_storage_v1.services.big_query_read.transports").BigQueryReadGrpcTransport
    place = os.environ.get(_STORAGE_EMULATOR)

    def channel(host: str, *, options: Any, **more: Any) -> Any:
        if place:
            return _driver("grpc").insecure_channel(place, options=[*options, *_ALIVE])
        return transport.create_channel(host, options=[*options, *_ALIVE], **more)

    anonymous = _driver("google.auth.credentials").AnonymousCredentials()
    return transport(**given | ({"credentials": anonymous} if place else {}), channel=channel)


def open_session(client: Any, payer: str, table: str, moment: Any, streams: int, columns: list[str]) -> Any:
    """A session over a table as it was at ``moment``, in at most so many streams; no ``columns`` means all.

    Raises what Google's client raises.
    """
    types = _driver("google.cloud.bigquery_storage_v1.types")
    asked = types.ReadSession(
        table=table,
        data_format=types.DataFormat.ARROW,
        table_modifiers=types.ReadSession.TableModifiers(snapshot_time=moment),
        read_options=types.ReadSession.TableReadOptions(selected_fields=columns),
    )
    return client.create_read_session(
        parent=f"projects/{payer}", read_session=asked, max_stream_count=streams, retry=retry(), timeout=_SECONDS
    )


def messages(client: Any, stream: str) -> Iterator[Any]:
    """The answers of one stream; one that breaks off goes on where it broke. Raises what Google's client raises."""
    return iter(client.read_rows(stream, retry=retry(), timeout=None))
