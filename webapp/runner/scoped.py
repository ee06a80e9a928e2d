"""Rows of one source under filters, read by the connectors in this process (contract 2.2 and 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors import connector_for
from recipe import (
    SOURCE_CLASSES,
    FilterCondition,
    KallaError,
    Problem,
    Source,
    check_filters,
    parse_filters,
    parse_uri,
)
from webapp.errors import ServiceError
from webapp.runner.jobs import Guards, Hosts, check_source_host
from webapp.settings import Settings

DEFAULT_ROWS, MOST_ROWS = 200, 1000


def load_scoped(alias: str, body: Mapping[str, Any], settings: Settings, guards: Guards) -> dict[str, Any]:
    """The rows object. Raises ServiceError ``request.invalid_body``, ``upload.*``, ConnectorError, ``filter.*``."""
    limit = _checked(body)
    conditions = _conditions(body.get("conditions") or [])
    source, upload, hosts = _source(body, guards)
    connector = connector_for(source, roots=settings.readable_roots, hosts=hosts)
    try:
        columns = connector.schema()
        _refuse(check_filters(conditions, columns, "conditions"))
        found = connector.preview(limit, conditions)
    except KallaError as error:
        if upload and error.code == "source.not_found":
            raise ServiceError("The uploaded file was not found.", code="upload.not_found") from error
        raise
    types = {c.name: "string" if source.type == "csv" else c.native for c in found.columns}
    return {
        "alias": alias,
        "columns": [{"name": c.name, "data_type": types[c.name], "nullable": c.nullable} for c in found.columns],
        "rows": found.rows,
        "total_rows": found.total_rows,
        "preview_rows": len(found.rows),
    }


def _checked(body: Mapping[str, Any]) -> int:
    """The number of rows asked for, once all members have the right form."""
    needed = ("csv_uri",) if body.get("csv_uri") is not None else ("uri", "source_type")
    problems = [(name, "must be a text") for name in needed if not isinstance(body.get(name), str) or not body[name]]
    limit = body.get("limit")
    if limit is None:
        limit = DEFAULT_ROWS
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        problems.append(("limit", "must be a whole number of at least 1"))
    if not isinstance(body.get("conditions", []), list | None):
        problems.append(("conditions", "must be a list"))
    if not problems:
        return min(int(limit), MOST_ROWS)
    sentence = "; ".join(f"{path} {message}" for path, message in problems)
    details = [Problem(path, message, "request.invalid_body") for path, message in problems]
    raise ServiceError(f"The body cannot be used: {sentence}.", code="request.invalid_body", details=details)


def _conditions(listed: list[Any]) -> tuple[FilterCondition, ...]:
    checked = parse_filters(listed, "conditions")
    _refuse(list(checked.problems))
    return checked.filters


def _refuse(problems: list[Problem]) -> None:
    if problems:
        first = problems[0]
        raise ServiceError(f"{first.path}: {first.message}.", code=first.code, details=problems)


def _source(body: Mapping[str, Any], guards: Guards) -> tuple[Source, bool, Hosts]:
    """The source as recipes have it, whether it is an upload, and where its host was found."""
    uri, kind = str(body.get("csv_uri") or body.get("uri")), str(body.get("source_type") or "csv_upload")
    stored = guards.stored_address(uri) if uri.lower().startswith("s3://") else None
    if stored is None and body.get("csv_uri") is not None:
        raise ServiceError("csv_uri names no file in the uploads bucket.", code="upload.invalid_uri")
    if stored is not None:
        kind = "csv" if stored.lower().endswith((".csv", ".csv.gz")) else "parquet"
        uri = stored
    elif kind == "file":
        address = parse_uri("file", uri, registering=True)
        kind = "csv" if getattr(address, "is_csv", False) else "parquet"
    if kind not in SOURCE_CLASSES:
        raise ServiceError(f"{kind[:80]!r} is not a source type.", code="source.unsupported_type")
    if stored is None:
        guards.check_files(kind, uri)
    hosts = check_source_host(kind, uri, guards)
    # A preview needs no key; the model of a source wants one.
    source: Any = SOURCE_CLASSES[kind](alias="preview", uri=uri, primary_key=("-",), type=kind)
    return source, stored is not None, hosts
