"""Rows of sources for people: previews and scoped loads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from recipe import KallaError, Problem, dump_filters, is_alias, parse_filters, write_json
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.objects import parse_upload
from webapp.services import invalid_body
from webapp.services.addresses import Opened, check_address, check_readable, concrete_type, open_source
from webapp.services.findings import Findings
from webapp.stores.sources import SourceRecord

PREVIEW_ROWS, MOST_PREVIEW_ROWS = 10, 100
SCOPED_ROWS, MOST_SCOPED_ROWS = 200, 1000
OUT_OF_REACH = (
    "source.unreachable",
    "source.access_denied",
    "source.not_found",
    "source.table_not_found",
    "source.timeout",
    "upload.not_found",
)
# A source may take its time. The app has threads for so many that do, and keeps the rest for pages and the runner.
_AT_ONCE = 8
_WAIT_SECONDS = 20.0
_TURNS = threading.BoundedSemaphore(_AT_ONCE)
# First rows of files by address and state: a few hundred kilobytes at most.
_MOST_SEEN_CHARACTERS = 50_000
_SEEN = Findings("rows", 64)


def stored(app: Kalla, alias: str) -> SourceRecord:
    """The registered source. Raises ServiceError ``source.not_found``."""
    record = app.sources.get(alias) if is_alias(alias) else None
    if record is None:
        problem = Problem("alias", "unknown alias", "source.not_found")
        raise ServiceError(f"Source '{alias[:255]}' was not found.", code="source.not_found", details=[problem])
    return record


@contextmanager
def reaching(app: Kalla, record: SourceRecord) -> Iterator[None]:
    """Note in the source's status whether it could be reached. Raises ServiceError ``source.busy`` (503) while too many
    sources are being read."""
    try:
        with reading():
            yield
    except KallaError as error:
        if error.code in OUT_OF_REACH and record.status != "error":
            app.sources.set_status(record.alias, "error")
        raise
    if record.status == "error":
        app.sources.set_status(record.alias, "connected")


def reading() -> AbstractContextManager[None]:
    """One of the places for reading sources. Raises ServiceError ``source.busy`` (503) while all are taken."""
    return turn(_TURNS, _WAIT_SECONDS)


@contextmanager
def turn(turns: threading.BoundedSemaphore, seconds: float) -> Iterator[None]:
    """One of the places in ``turns``, waited for that long. Raises ServiceError ``source.busy``."""
    if not turns.acquire(timeout=seconds):
        raise ServiceError(
            "Too many sources are being read at this moment.",
            code="source.busy",
            hint="Try again in a moment.",
            headers={"Retry-After": "5"},
        )
    try:
        yield
    finally:
        turns.release()


def preview_source(app: Kalla, alias: str, limit: int = PREVIEW_ROWS) -> dict[str, Any]:
    """The rows object of a registered source's first rows. Raises ServiceError, ConnectorError."""
    record = stored(app, alias)
    with reaching(app, record):
        opened = open_source(app, record.source_type, record.uri, alias)
        with opened.told():
            return _rows_object(app, alias, opened, limit)


def preview_upload(app: Kalla, alias: str, uri: str, limit: int = PREVIEW_ROWS) -> dict[str, Any]:
    """The rows object of an uploaded file's first rows. Raises ServiceError ``upload.*``, ConnectorError."""
    upload = parse_upload(app.settings, uri)
    app.objects.size(upload)  # says that it is gone
    with reading():
        opened = open_source(app, upload.source_type, uri, alias)
        with opened.told():
            return _rows_object(app, alias, opened, limit)


def first_rows(app: Kalla, opened: Opened, limit: int) -> Any:
    """The ``Preview`` of a source. Counting reads all of a file, so that what was found in its present state serves
    again."""
    file = getattr(opened.connector, "file", None)
    if file is None or limit > PREVIEW_ROWS:
        return opened.connector.preview(limit)
    key = (str(opened.is_csv), opened.uri, write_json(file.identity()))
    found = _SEEN.once(app.settings, key, lambda: opened.connector.preview(PREVIEW_ROWS), _is_small)
    return replace(found, rows=found.rows[:limit])


def _is_small(preview: Any) -> bool:
    return sum(len(cell or "") for row in preview.rows for cell in row) <= _MOST_SEEN_CHARACTERS


def _rows_object(app: Kalla, alias: str, opened: Opened, limit: int) -> dict[str, Any]:
    found = first_rows(app, opened, min(limit, MOST_PREVIEW_ROWS))
    columns = [
        {
            "name": column.name,
            "data_type": "string" if opened.is_csv else column.native or str(column.kind),
            "nullable": column.nullable,
        }
        for column in found.columns
    ]
    return {
        "alias": alias,
        "columns": columns,
        "rows": found.rows,
        "total_rows": found.total_rows,
        "preview_rows": len(found.rows),
    }


def load_scoped(app: Kalla, alias: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The rows object of the rows that meet ``conditions``, read by the runner.

    Members: ``conditions`` (default none), ``limit`` (default 200, cut to 1000), ``csv_uri`` (that upload instead of
    the registered source). Raises ServiceError ``filter.*``, ``request.invalid_body``, ``upload.invalid_uri``,
    ``runner.unreachable`` and what the runner finds.
    """
    asked = {"conditions": _conditions(body), "limit": whole_limit(body, SCOPED_ROWS, MOST_SCOPED_ROWS)}
    csv_uri = body.get("csv_uri")
    if csv_uri is not None:
        if not isinstance(csv_uri, str):
            raise invalid_body(("csv_uri", "must be text"))
        app.objects.size(parse_upload(app.settings, csv_uri))  # says that it is gone
        return app.dispatcher.load_scoped(alias, {"csv_uri": csv_uri, **asked})
    record = stored(app, alias)
    kind = record.source_type
    check_readable(concrete_type(kind, check_address(app, kind, record.uri, registering=kind == "file")))
    with reaching(app, record):
        return app.dispatcher.load_scoped(alias, {"uri": record.uri, "source_type": kind, **asked})


def _conditions(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = body.get("conditions")
    checked = parse_filters([] if given is None else given, "conditions")
    if checked.problems:
        first = checked.problems[0]
        raise ServiceError(f"{first.path}: {first.message}.", code=first.code, details=checked.problems)
    return dump_filters(checked.filters)


def whole_limit(body: Mapping[str, Any], default: int, most: int) -> int:
    """The member ``limit``, cut to ``most``. Raises ServiceError ``request.invalid_body``."""
    given = body.get("limit")
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise invalid_body(("limit", "must be a whole number of at least 1"))
    return min(given, most)
