"""The evidence of runs: /api/runs/<run_id>/evidence, manifest and verify."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from recipe import KallaError, read_json
from webapp.context import kalla
from webapp.services import evidence
from webapp.web import schemas
from webapp.web.described import Query, describe
from webapp.web.requests import invalid_parameter, whole_parameter

blueprint = Blueprint("evidence", __name__)

_SETS = schemas.one_of("matched", "unmatched_left", "unmatched_right")
_UNMATCHED = schemas.one_of("unmatched_left", "unmatched_right")
_RUN = {"run_id": schemas.UUID}
_ERRORS = ("run.not_found", "evidence.not_found", "evidence.not_ready", "evidence.unreadable", "storage.unreachable")
_COLUMN = schemas.record(
    {"name": schemas.TEXT, "data_type": schemas.TEXT, "nullable": schemas.FLAG, "number": schemas.FLAG}
)
_PAGE = schemas.record(
    {
        "alias": schemas.TEXT,
        "set": _SETS,
        "columns": schemas.listed(_COLUMN),
        "rows": schemas.listed(schemas.listed(schemas.nullable(schemas.TEXT))),
        "total_rows": schemas.COUNT,
        "set_rows": schemas.COUNT,
        "preview_rows": schemas.COUNT,
        "offset": schemas.COUNT,
        "limit": schemas.COUNT,
        "sort": schemas.nullable(schemas.TEXT),
        "order": schemas.one_of("asc", "desc"),
    }
)
_SIDES = schemas.record({"left": schemas.ANY, "right": schemas.ANY})
_SUMMARY = schemas.record(
    {
        "run_id": schemas.TEXT,
        "recipe": schemas.OBJECT,
        "counts": schemas.OBJECT,
        "match_rate": schemas.nullable(schemas.NUMBER),
        "equation": _SIDES,
        "control_totals": _SIDES,
        "reasons": _SIDES,
        "ages": _SIDES,
        "values_known": schemas.FLAG,
        "values_problem": schemas.nullable(schemas.OBJECT),
        "warnings": schemas.listed(schemas.OBJECT),
        "times": schemas.OBJECT,
        "sources": _SIDES,
        "plan": schemas.OBJECT,
        "parts": schemas.OBJECT,
        "versions": schemas.OBJECT,
        "manifest_sha256": schemas.TEXT,
    }
)
_CHECK = schemas.record(
    {
        "name": schemas.TEXT,
        "ok": schemas.FLAG,
        "detail": schemas.TEXT,
        "words": schemas.TEXT,
        "message": schemas.TEXT,
    }
)
_VERIFIED = schemas.record(
    {
        "run_id": schemas.TEXT,
        "ok": schemas.FLAG,
        "manifest_sha256": schemas.TEXT,
        "checks": schemas.listed(_CHECK),
    }
)
_CARD = schemas.record(
    {
        "side": schemas.one_of("left", "right"),
        "row": schemas.COUNT,
        "reason": schemas.TEXT,
        "failed": schemas.nullable(schemas.TEXT),
        "nearest": schemas.nullable(schemas.TEXT),
        "gap": schemas.nullable(schemas.TEXT),
        "sentence": schemas.TEXT,
        "alias": schemas.TEXT,
        "candidate": schemas.nullable(schemas.OBJECT),
        "comparisons": schemas.listed(schemas.OBJECT),
        "fields": schemas.listed(schemas.OBJECT),
    }
)


@blueprint.get("/api/runs/<run_id>/evidence")
@describe(
    "The result of a run",
    tag="Evidence",
    description=(
        "Counts, control totals as an equation, reasons with their values, ages, sources with their snapshots, parts. "
        "Exact sums are texts. values_known is false when the unmatched records could not be added up in time."
    ),
    response=_SUMMARY,
    path=_RUN,
    errors=_ERRORS,
)
def summary(run_id: str) -> dict[str, Any]:
    """Everything a result page tells."""
    return evidence.summary(kalla(), run_id)


@blueprint.get("/api/runs/<run_id>/evidence/<set_name>")
@describe(
    "Rows of a set",
    tag="Evidence",
    description=(
        "Filtered, searched and sorted; rows with equal cells keep the order of their ids, empty cells come last. "
        "total_rows counts what the filters leave, set_rows the whole set."
    ),
    query=(
        Query("limit", schemas.WHOLE | {"minimum": 1, "default": evidence.PAGE_ROWS}, "above 1000 is cut to 1000"),
        Query("offset", schemas.OFFSET | {"default": 0}),
        Query("sort", schemas.TEXT, "a column; row ids where it is left out"),
        Query("order", schemas.one_of("asc", "desc")),
        Query("q", schemas.TEXT | {"maxLength": evidence.MOST_SEARCH}, "text to find in any column, case ignored"),
        Query("reason", schemas.TEXT, "of unmatched records; several split by commas"),
        Query("conditions", schemas.TEXT, "filter conditions as a JSON list"),
    ),
    response=_PAGE,
    path=_RUN | {"set_name": _SETS},
    errors=(
        "request.invalid_parameter",
        "filter.unknown_column",
        "filter.unknown_op",
        "filter.invalid_value",
        "evidence.unknown_set",
        "evidence.unknown_column",
        "evidence.too_slow",
        *_ERRORS,
    ),
)
def page(run_id: str, set_name: str) -> dict[str, Any]:
    """One page."""
    asked = request.args
    return evidence.page(
        kalla(),
        run_id,
        set_name,
        limit=whole_parameter("limit", evidence.PAGE_ROWS, least=1, cut=evidence.MOST_PAGE_ROWS),
        offset=whole_parameter("offset", 0, least=0),
        sort=asked.get("sort"),
        order=asked.get("order", "asc"),
        q=asked.get("q", ""),
        conditions=_conditions(asked.get("conditions", "")),
        reason=asked.get("reason"),
    )


def _conditions(text: str) -> list[Any]:
    if not text.strip():
        return []
    try:
        found = read_json(text, "conditions")
    except KallaError as error:
        raise invalid_parameter("conditions", f"must be a JSON list: {error.message}") from None
    if not isinstance(found, list):
        raise invalid_parameter("conditions", "must be a JSON list")
    return found


@blueprint.get("/api/runs/<run_id>/evidence/<set_name>/download")
@describe(
    "A set as a file",
    tag="Evidence",
    description="Made while it is sent. A workbook holds at most 1,048,575 rows.",
    query=(Query("format", schemas.one_of(*evidence.FORMATS) | {"default": evidence.FORMATS[0]}),),
    response=schemas.TEXT | {"format": "binary"},
    media=(
        "application/vnd.apache.parquet",
        "text/csv",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    path=_RUN | {"set_name": _SETS},
    errors=("request.invalid_parameter", "evidence.unknown_set", "evidence.too_many_rows", *_ERRORS),
)
def download(run_id: str, set_name: str) -> Response:
    """A streamed attachment."""
    format_name = request.args.get("format", evidence.FORMATS[0])
    return _attached(evidence.download(kalla(), run_id, set_name, format_name))


@blueprint.get("/api/runs/<run_id>/evidence/<set_name>/<int:row>/candidate")
@describe(
    "An unmatched record beside its nearest candidate",
    tag="Evidence",
    description=(
        "comparisons are the recipe's keys and conditions with the fields they are over; fields are all columns, those "
        "that belong together side by side, with the characters that differ as [start, end] ranges in marks. Of a "
        "candidate that is matched with other records only the selected columns are known: complete is false then."
    ),
    response=_CARD,
    path=_RUN | {"set_name": _UNMATCHED, "row": schemas.COUNT},
    errors=("evidence.unknown_set", "evidence.unknown_row", "evidence.rule_unreadable", "evidence.too_slow", *_ERRORS),
)
def candidate(run_id: str, set_name: str, row: int) -> dict[str, Any]:
    """Field against field."""
    return evidence.candidate(kalla(), run_id, set_name, row)


@blueprint.get("/api/runs/<run_id>/manifest")
@describe(
    "The manifest of a run",
    tag="Evidence",
    description="manifest.json byte for byte: recipe, sources and snapshots, counts, totals, SHA-256 of every part.",
    response=schemas.OBJECT,
    path=_RUN,
    errors=_ERRORS,
)
def manifest(run_id: str) -> Response:
    """An attachment."""
    return _attached(evidence.manifest(kalla(), run_id))


@blueprint.post("/api/runs/<run_id>/verify")
@describe(
    "Check the evidence of a run",
    tag="Evidence",
    description="All hashes, counts, reasons and totals again from the files. Failed checks are answered with 200.",
    response=_VERIFIED,
    path=_RUN,
    errors=(*_ERRORS, "evidence.too_slow"),
)
def verify(run_id: str) -> dict[str, Any]:
    """What was checked and found."""
    return evidence.verify(kalla(), run_id)


def _attached(file: evidence.Attachment) -> Response:
    response = Response(file.chunks, content_type=file.media_type)
    # The name holds letters, digits, dots, dashes and underscores alone.
    response.headers["Content-Disposition"] = f'attachment; filename="{file.filename}"'
    response.headers["X-Accel-Buffering"] = "no"
    if file.size is not None:
        response.content_length = file.size
    return response
