"""Addresses of sources: what may be named (contract 1.3), and how one is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import gethostname
from typing import Any

from sqlalchemy import make_url

from recipe import (
    SOURCE_CLASSES,
    Address,
    ElasticsearchAddress,
    FileAddress,
    KallaError,
    MysqlAddress,
    PostgresAddress,
    SqliteAddress,
    local_path_of,
    parse_uri,
)
from webapp.context import Kalla
from webapp.db import OWN_TABLES
from webapp.errors import ServiceError
from webapp.hosts import IpAddress, addresses_of, check_host
from webapp.objects import is_sheet, parse_upload, stored_upload
from webapp.readable import check_files
from webapp.settings import Settings

_PORT = 5432


def check_address(app: Kalla, kind: str, uri: str, *, registering: bool = False) -> Address:
    """The address, when a source of this type may have it. Nothing is opened.

    Args:
        registering: type ``file`` is possible and ``csv_upload`` is not.

    Raises RecipeError ``source.invalid_uri``, ``source.unsupported_type``; ServiceError ``source.path_forbidden``,
    ``source.host_forbidden``, ``source.table_forbidden``.
    """
    return _checked(app, kind, uri, registering)[0]


def _checked(app: Kalla, kind: str, uri: str, registering: bool) -> tuple[Address, dict[str, tuple[str, ...]]]:
    """The address, and where its host was found just now."""
    address = parse_uri(kind, uri, registering=registering)
    hosts: dict[str, tuple[str, ...]] = {}
    if isinstance(address, FileAddress | SqliteAddress):
        _check_file(app.settings, kind, uri, address)
    elif isinstance(address, PostgresAddress | ElasticsearchAddress | MysqlAddress):
        hosts[address.host] = check_host(address.host, address.port or _PORT, app.settings)
    if isinstance(address, PostgresAddress):
        _check_table(app.settings, address)
    check_files(app.settings, address)
    return address, hosts


def _check_file(settings: Settings, kind: str, uri: str, address: FileAddress | SqliteAddress) -> None:
    """An address in the bucket of uploads is one of an upload, a path is absolute."""
    if local_path_of(address) is None:
        assert isinstance(address, FileAddress), "a database file is local"
        in_bucket = address.scheme == "s3" and address.bucket == settings.uploads_bucket
        if in_bucket or kind == "csv_upload":
            _check_upload(settings, uri)
    elif address.is_relative:
        raise ServiceError(
            "A relative path has no place to start from here.",
            code="source.invalid_uri",
            hint="Write an absolute path, or file:///folder/name.",
        )


def _check_upload(settings: Settings, uri: str) -> None:
    try:
        parse_upload(settings, uri)
    except ServiceError as error:
        raise ServiceError(error.message, code="source.invalid_uri", hint=error.hint) from None


# --- the app's own tables ------------------------------------------------------------------------------


def _check_table(settings: Settings, address: PostgresAddress) -> None:
    if address.table in OWN_TABLES and _is_own_database(settings, address):
        raise ServiceError(
            f"The table {address.table!r} belongs to Kalla itself.",
            code="source.table_forbidden",
            hint="Name a table of yours.",
        )


def _is_own_database(settings: Settings, address: PostgresAddress) -> bool:
    url = make_url(settings.database_url)
    if url.get_backend_name() not in ("postgres", "postgresql"):
        return False
    query = url.query
    host, port = url.host or _first(query.get("host")), url.port or int(_first(query.get("port")) or _PORT)
    database = url.database or _first(query.get("dbname")) or url.username
    if address.database != database or (address.port or _PORT) != port:
        return False
    return _is_same_host(address.host, host)


def _first(value: str | tuple[str, ...] | None) -> str:
    return (value[0] if value else "") if isinstance(value, tuple) else value or ""


def _is_same_host(one: str, other: str) -> bool:
    """Whether two names lead to one machine; all names of this machine count as one."""
    if one.lower() == other.lower():
        return True
    left, right = _addresses(one), _addresses(other)
    here = set(addresses_of(gethostname().lower()))
    return bool(left & right) or (_is_here(left, here) and _is_here(right, here))


def _addresses(host: str) -> set[IpAddress]:
    return set(addresses_of("localhost" if not host or host.startswith(("/", "@")) else host.lower()))


def _is_here(addresses: set[IpAddress], here: set[IpAddress]) -> bool:
    return any(address.is_loopback or address in here for address in addresses)


# --- opening -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """A source ready to be read. ``connector`` is a ``connectors.Connector`` for ``uri``; ``is_csv`` when it reads a
    CSV, ``is_sheet`` when that was a workbook's sheet."""

    connector: Any
    is_csv: bool
    is_sheet: bool
    uri: str
    hidden: str | None  # where an upload lies, which must not show in messages
    shown: str

    @contextmanager
    def told(self) -> Iterator[None]:
        """Errors inside the block name the upload instead of the server's path."""
        try:
            yield
        except KallaError as error:
            raise _renamed(error, self.hidden, self.shown) if self.hidden else error from None


def open_source(app: Kalla, kind: str, uri: str, alias: str = "source") -> Opened:
    """The connector for an address, uploads included; nothing is read yet.

    Raises as ``check_address``, and ServiceError ``source.unsupported_type`` for types that cannot be read,
    ``upload.not_found``.
    """
    # Imported here: it brings Arrow with it, which the first page should not wait for.
    from connectors import connector_for

    address, hosts = _checked(app, kind, uri, kind == "file")
    concrete = concrete_type(kind, address)
    check_readable(concrete)
    stored, from_sheet = stored_upload(app.settings, uri), is_sheet(app.settings, uri)
    shown = os.path.basename(address.path) if isinstance(address, FileAddress) else ""
    if stored is not None:
        app.objects.size(parse_upload(app.settings, uri))  # says that the upload is gone, rather than the file
        uri = stored.address
    # A source of a recipe needs a key; reading asks for none.
    source: Any = SOURCE_CLASSES[concrete].model_validate({"alias": alias, "uri": uri, "primary_key": ["key"]})
    connector = connector_for(source, roots=app.settings.readable_roots, hosts=hosts)
    return Opened(connector, concrete == "csv", from_sheet, uri, None if stored is None else stored.shown, shown)


def concrete_type(kind: str, address: Address) -> str:
    """The type whose connector reads an address: files by their ending."""
    if not isinstance(address, FileAddress):
        return kind
    if kind == "parquet":
        return kind
    return "csv" if address.is_csv else "parquet"


def check_readable(concrete: str) -> None:
    """Raises ServiceError ``source.unsupported_type`` for a type that has no connector."""
    from connectors import connector_types

    if concrete not in connector_types():
        raise ServiceError(
            f"Sources of type {concrete!r} can be registered, but not read yet.",
            code="source.unsupported_type",
            hint=f"Types that can be read are {', '.join(connector_types())}.",
        )


def _renamed(error: KallaError, path: str, shown: str) -> KallaError:
    renamed = type(error)(
        error.message.replace(path, shown),
        code=error.code,
        hint=error.hint.replace(path, shown),
        details=error.details,
    )
    if isinstance(error, ServiceError) and isinstance(renamed, ServiceError):
        renamed.status, renamed.headers = error.status, error.headers
    return renamed
