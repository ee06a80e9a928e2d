"""Registered sources (contract 2.2): listed, saved, tested, deleted; uploads registered as sources."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from secrets import token_hex
from typing import Any

from recipe import KallaError, Problem, infer_type, is_alias, mask_uri, parse_uri, place_uri
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.objects import parse_upload
from webapp.readable import check_files
from webapp.services import invalid_body, note, texts, utc_text
from webapp.services.addresses import check_address, open_source
from webapp.services.credentials import MASK, restore
from webapp.services.key_search import primary_key
from webapp.services.previews import (
    OUT_OF_REACH,
    load_scoped,
    preview_source,
    reaching,
    reading,
    stored,
    whole_limit,
)
from webapp.services.uploads import look
from webapp.stores.sources import SourceRecord

TEST_SECONDS = 10.0
LISTED, MOST_LISTED = 1000, 5000
_MOST_TESTS = 8
_TESTS = threading.BoundedSemaphore(_MOST_TESTS)
_WITH_SECRETS = ("postgres", "elasticsearch", "mysql")
_MOST_ORIGINAL = 242  # csv_, the original alias, _ and 8 digits make at most 255


def list_sources(app: Kalla, limit: int = 1000, offset: int = 0) -> list[dict[str, Any]]:
    """Entries of registered sources, masked, newest first."""
    return [_entry(record) for record in app.sources.list(limit, offset, masked=True)]


def get_source(app: Kalla, alias: str) -> dict[str, Any]:
    """One entry. Raises ServiceError ``source.not_found``."""
    record = stored(app, alias)
    return _entry(replace(record, uri=mask_uri(record.uri)))


def _entry(record: SourceRecord) -> dict[str, Any]:
    """Of a record whose address is masked."""
    return {
        "alias": record.alias,
        "uri": record.uri,
        "source_type": record.source_type,
        "status": record.status,
        "created_at": utc_text(record.created_at),
        "updated_at": utc_text(record.updated_at),
    }


def put_source(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """Register a source, or replace the one of that alias. Needs no connection.

    Raises ServiceError ``request.invalid_body`` and what ``check_address`` and ``restore`` raise.
    """
    alias, uri, kind = texts(body, "alias", "uri", "source_type")
    if not is_alias(alias):
        raise invalid_body(("alias", "must be 1 to 255 letters, digits, '.', '_' or '-'"))
    before = app.sources.get(alias)
    plain = _checked_uri(app, kind, uri, before)
    kept = before is not None and (before.uri, before.source_type) == (plain, kind)
    app.sources.put(alias, plain, kind, before.status if before is not None and kept else "connected")
    note(app, "source.save", alias, source_type=kind, uri=mask_uri(plain))
    return {"success": True, "message": "Source registered"}


def _checked_uri(app: Kalla, kind: str, uri: str, before: SourceRecord | None = None) -> str:
    """The address with its stored secrets, when it may be used."""
    check_address(app, kind, uri, registering=True)
    if kind not in _WITH_SECRETS:
        return uri
    known = [] if before is None else [before.uri]
    return restore(kind, uri, [*known, *(record.uri for record in app.sources.list())])


def kept(app: Kalla, uri: str) -> tuple[str, str]:
    """An address for a form that is shown again: masked, and sealed for ``typed_before``; "" where nothing is masked.
    A password is not sent back in clear, not even to the person who typed it."""
    shown = mask_uri(uri)
    return shown, app.sources.seal(uri) if shown != uri else ""


def typed_before(app: Kalla, kind: str, uri: str, sealed: str) -> str:
    """The address with the password that was typed the first time, where it is masked now and the place is the same."""
    if MASK not in uri or not sealed:
        return uri
    try:
        known = app.sources.unseal(sealed)
        return known if mask_uri(known) == uri else restore(kind, uri, [place_uri(known)])
    except KallaError:
        return uri  # the place is another one, or the form is from before a change of keys: the check says so


def delete_source(app: Kalla, alias: str) -> dict[str, Any]:
    """Forget a source. Raises ServiceError ``source.not_found``, ``source.in_use`` with the recipes in ``details``."""
    stored(app, alias)
    users = app.recipes.naming_source(alias)
    if users:
        problems = [Problem(f"recipes.{name}", "takes its address from this source", "source.in_use") for name in users]
        raise ServiceError(
            f"Source '{alias}' is used by {_listed(users)}.",
            code="source.in_use",
            hint="Delete the recipes first, or give them an address of their own.",
            details=problems,
        )
    app.sources.delete(alias)
    note(app, "source.delete", alias)
    return {"success": True, "message": "Source deleted"}


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"recipe '{name}'" for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


# --- test ----------------------------------------------------------------------------------------------


def test_source(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """``{ok, message, latency_ms}`` of ``{alias}`` or ``{uri, source_type}``; takes at most 10 seconds.

    Raises ServiceError for a body or an address that cannot be tested at all.
    """
    record = _to_test(app, body)
    began = time.perf_counter()
    error = _tried(lambda: _touch(app, record))
    answer = {"ok": error is None, "message": "The source can be read."}
    if error is not None:
        answer["message"] = f"{error.message} {error.hint}".strip()
    if body.get("alias") is not None:
        _keep_status(app, record, error)
    return {**answer, "latency_ms": round((time.perf_counter() - began) * 1000)}


def _to_test(app: Kalla, body: Mapping[str, Any]) -> SourceRecord:
    """The source that ``{alias}`` or ``{uri, source_type}`` names, checked."""
    if body.get("alias") is not None:
        (alias,) = texts(body, "alias")
        record = stored(app, alias)
        check_address(app, record.source_type, record.uri, registering=True)
        return record
    uri, kind = texts(body, "uri", "source_type")
    return _record(kind, _checked_uri(app, kind, uri))


def list_tables(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """``{tables: [{name, kind, uri}], complete}`` of the place that ``{alias}`` or ``{uri, source_type}`` names; the
    uri may leave out table or index, or end in a slash.

    Raises ServiceError, ConnectorError.
    """
    limit = whole_limit(body, LISTED, MOST_LISTED)
    uri = body.get("uri")
    record = _to_test(app, {**body, "uri": place_uri(uri)} if isinstance(uri, str) else body)
    with reading() if body.get("alias") is None else reaching(app, record):
        opened = open_source(app, record.source_type, record.uri, record.alias)
        with opened.told():
            found = opened.connector.listed(limit)
    shown = [vars(entry) for entry in found.entries if _may_be_named(app, entry.uri)]
    return {"tables": shown, "complete": found.complete}


def _may_be_named(app: Kalla, uri: str) -> bool:
    """Whether a listed file is one that sources may read, by a name that an address may hold; what else is listed lies
    where its place does."""
    try:
        if infer_type(uri) in ("csv", "parquet"):
            check_files(app.settings, parse_uri("parquet", uri))
    except KallaError:
        return False
    return True


def _record(kind: str, uri: str) -> SourceRecord:
    moment = datetime.now(UTC)
    return SourceRecord("source", uri, kind, "connected", moment, moment)


def _touch(app: Kalla, record: SourceRecord) -> None:
    opened = open_source(app, record.source_type, record.uri, record.alias)
    with opened.told():
        opened.connector.schema()


def _tried(work: Callable[[], None]) -> KallaError | None:
    """The error of ``work``; None when it succeeds. A driver that does not return in time is left behind."""
    answers: SimpleQueue[BaseException | None] = SimpleQueue()
    deadline = time.monotonic() + TEST_SECONDS

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            answers.put(error)
        else:
            answers.put(None)
        finally:
            _TESTS.release()

    if not _TESTS.acquire(timeout=TEST_SECONDS):
        return _silent("Too many tests are waiting for an answer.")
    threading.Thread(target=run, name="kalla-source-test", daemon=True).start()
    try:
        found = answers.get(timeout=max(0.0, deadline - time.monotonic()))
    except Empty:
        return _silent(f"The source did not answer within {TEST_SECONDS:.0f} seconds.")
    if found is None or isinstance(found, KallaError):
        return found
    raise found


def _silent(message: str) -> ServiceError:
    return ServiceError(message, code="source.unreachable", hint="Check host, port and firewall, then try again.")


def _keep_status(app: Kalla, record: SourceRecord, error: KallaError | None) -> None:
    if error is not None:
        app.sources.set_status(record.alias, "error")
    elif record.status == "error":
        app.sources.set_status(record.alias, "connected")


# --- uploads as sources --------------------------------------------------------------------------------


def register_csv(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """``{alias, columns, row_count, col_count}`` of the new source ``csv_<original_alias>_<8 hex>``.

    Raises ServiceError ``request.invalid_body``, ``upload.invalid_uri``, ``upload.not_found``, ``upload.unreadable``.
    """
    uri, original = texts(body, "s3_uri", "original_alias")
    if not is_alias(original):
        raise invalid_body(("original_alias", "must be 1 to 255 letters, digits, '.', '_' or '-'"))
    upload = parse_upload(app.settings, uri)
    if not upload.is_csv:
        raise ServiceError(
            "Only a CSV file can be registered this way.",
            code="upload.invalid_uri",
            hint="Register a Parquet file with source_type parquet.",
        )
    found = look(app, upload)
    alias = f"csv_{original[:_MOST_ORIGINAL]}_{token_hex(4)}"
    app.sources.put(alias, uri, "csv", "active")
    note(app, "source.register_csv", alias, uri=uri)
    return {
        "alias": alias,
        "columns": found["columns"],
        "row_count": found["row_count"],
        "col_count": len(found["columns"]),
    }


__all__ = [
    "OUT_OF_REACH",
    "check_address",
    "delete_source",
    "get_source",
    "list_sources",
    "list_tables",
    "load_scoped",
    "preview_source",
    "primary_key",
    "put_source",
    "register_csv",
    "stored",
    "test_source",
]
