"""The evidence of a completed run: pages, summary, downloads, checks, records beside their candidates (contract 2.4).

The engine behind it is loaded with the first call, not with the app.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from recipe import FilterCondition, KallaError, mask_text, parse_filters
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.objects import GCS_RESULTS
from webapp.readable import EVIDENCE_CACHE
from webapp.settings import Settings
from webapp.stores.run_records import RunRecord

PAGE_ROWS, MOST_PAGE_ROWS = 50, 1000
MOST_SEARCH = 200
FORMATS = ("parquet", "csv", "xlsx")
SIDES = ("left", "right")
_MATCHED = "matched"
_SECONDS = 20.0
_AT_ONCE = 3  # each holds an engine of its own, with memory of its own
_TURNS = threading.BoundedSemaphore(_AT_ONCE)
_CHECKS = threading.BoundedSemaphore(1)
_WORKBOOKS = threading.BoundedSemaphore(2)  # a large one keeps a core busy for a minute before its first byte
_MOST_OFFSET = 1 << 40
_STATUS = {"evidence.unknown_row": 404, "evidence.too_slow": 503, "evidence.memory_exceeded": 503}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Attachment:
    """A file on its way: ``size`` only where it is known before."""

    filename: str
    media_type: str
    chunks: Iterator[bytes]
    size: int | None = None


def page(
    app: Kalla,
    run_id: str,
    set_name: str,
    *,
    limit: int = PAGE_ROWS,
    offset: int = 0,
    sort: str | None = None,
    order: str = "asc",
    q: str = "",
    conditions: Sequence[Any] = (),
    reason: str | None = None,
) -> dict[str, Any]:
    """Rows of a set that pass ``conditions`` (contract 1.4), have the ``reason`` and hold the text ``q``.

    ``total_rows`` counts these, ``set_rows`` the whole set. Rows with equal cells in the column ``sort`` keep the
    order of their ids; empty cells come last. Raises ServiceError ``run.not_found``, ``evidence.*``, ``filter.*``,
    ``request.invalid_parameter``.
    """
    from pipelines import evidence as engine

    filters = _conditions(conditions) + _reason(set_name, reason)
    if order not in ("asc", "desc"):
        raise _invalid("order", "must be asc or desc")
    if len(q) > MOST_SEARCH:
        raise _invalid("q", f"must have at most {MOST_SEARCH} characters")
    query = engine.Query(
        filters, q.strip(), sort or None, order == "desc", max(1, min(limit, MOST_PAGE_ROWS)), min(offset, _MOST_OFFSET)
    )
    with _opened(app, run_id) as found, _turn(_TURNS):
        shown = engine.browse(found, set_name, query, _SECONDS)
        columns = _columns(found, set_name, shown.columns)
    return {
        "alias": _alias(found, set_name),
        "set": set_name,
        "columns": columns,
        "rows": shown.rows,
        "total_rows": shown.total,
        "set_rows": shown.set_rows,
        "preview_rows": len(shown.rows),
        "offset": shown.offset,
        "limit": query.limit,
        "sort": query.sort,
        "order": order,
    }


def summary(app: Kalla, run_id: str) -> dict[str, Any]:
    """Everything a result page needs; see ``pipelines.evidence.summary``. Raises as ``page``."""
    from pipelines import evidence as engine

    with _opened(app, run_id) as found, _turn(_TURNS):
        body = engine.summary(found, _SECONDS)
    if body["values_problem"]:
        body = body | {"values_problem": _stripped(body["values_problem"], found.shown)}
    return body


def candidate(app: Kalla, run_id: str, side: str, row: int) -> dict[str, Any]:
    """An unmatched record beside its nearest candidate; ``side`` is ``left``, ``right`` or the name of its set.

    Raises ServiceError as ``page`` and ``evidence.unknown_row``.
    """
    from pipelines import evidence as engine

    short = side.removeprefix("unmatched_")
    if short not in SIDES:
        raise _unknown_set(side, [f"unmatched_{name}" for name in SIDES])
    with _opened(app, run_id) as found, _turn(_TURNS):
        return engine.candidate(found, short, row, _SECONDS)


def verify(app: Kalla, run_id: str) -> dict[str, Any]:
    """Compute every hash, count and total of the evidence again. A failed check is a result, not an error."""
    from pipelines import evidence as engine

    with _opened(app, run_id) as found, _turn(_CHECKS):
        result = engine.verify(found.shown)
    return {
        "run_id": result.run_id,
        "ok": result.ok,
        "manifest_sha256": result.manifest_sha256,
        "checks": [
            check.as_dict() | {"words": engine.CHECKS[check.name], "message": check.detail} for check in result.checks
        ],
    }


def download(app: Kalla, run_id: str, set_name: str, format_name: str = FORMATS[0]) -> Attachment:
    """A set as one file, made while it is sent. Raises ServiceError as ``page``, ``evidence.too_many_rows``."""
    from pipelines import evidence as engine

    if format_name not in FORMATS:
        raise _invalid("format", f"must be one of {', '.join(FORMATS)}")
    with _opened(app, run_id) as found, _turn(_WORKBOOKS) if format_name == "xlsx" else nullcontext():
        made = engine.stream(found, set_name, format_name)
        name = f"{_plain(found.manifest['recipe_id'])}-{run_id[:8]}-{set_name}.{made.suffix}"
    return Attachment(name, made.media_type, made.chunks, made.size)


def manifest(app: Kalla, run_id: str) -> Attachment:
    """The manifest, byte for byte: its SHA-256 is the one that ``verify`` and ``summary`` name."""
    with _opened(app, run_id) as found:
        text = found.manifest_bytes
        name = f"{_plain(found.manifest['recipe_id'])}-{run_id[:8]}-manifest.json"
    return Attachment(name, "application/json", iter((text,)), len(text))


# --- which folder, and whether it may be read -----------------------------------------------------------------------


@contextmanager
def _opened(app: Kalla, run_id: str) -> Iterator[Any]:
    """The run's ``Evidence``; errors inside lose the folder's name, which is nobody's business outside."""
    from pipelines import evidence as engine

    run = _completed(app, run_id)
    place = evidence_place(app.settings, run)
    cache = engine.PartCache(app.settings.staging_path / EVIDENCE_CACHE, app.settings.evidence_cache_bytes)
    try:
        found = engine.Evidence(place, cache)
        if found.manifest["run_id"] != run.run_id:
            raise _not_found("The folder of this run holds the evidence of another run.")
        yield found
    except engine.EvidenceError as error:
        raise _told(error, place) from error


def _completed(app: Kalla, run_id: str) -> RunRecord:
    run = app.runs.get(run_id)
    if run is None:
        raise ServiceError("This run was not found.", code="run.not_found", hint="Run History lists all runs.")
    if run.status in ("failed", "cancelled"):
        raise _not_found(f"This run was {run.status}." if run.status == "cancelled" else "This run failed.")
    if run.status != "completed":
        raise ServiceError(
            f"This run is {run.status}: its evidence is there once it is completed.", code="evidence.not_ready"
        )
    return run


def evidence_place(settings: Settings, run: RunRecord) -> str:
    """The folder with a completed run's manifest, or its address in the object store.

    Raises ServiceError ``evidence.not_found`` when none was reported, or it lies where the app may not read.
    """
    reported = run.output_matched
    if not reported or "\0" in reported:
        raise _not_found("No place of the evidence was reported for this run.")
    scheme, mark, rest = reported.partition("://")
    path = Path(reported)
    if mark and scheme.lower() == "file":
        path = Path(unquote(rest))
    elif mark:
        bucket, _, key = rest.partition("/")
        if settings.store and scheme.lower() == settings.store:
            return _stored_place(settings, reported, bucket, key)
        if scheme.lower() != "s3" or bucket != settings.results_bucket:
            raise _not_found("The evidence of this run is not kept on this machine.")
        path = settings.staging_path / "results" / unquote(key).lstrip("/")
    folder = Path(os.path.realpath(path)).parent
    roots = [Path(os.path.realpath(root)) for root in settings.readable_roots]
    if not path.is_absolute() or not any(folder != root and folder.is_relative_to(root) for root in roots):
        raise _not_found("The evidence of this run lies outside the folders that the app may read.")
    return str(folder)


def _stored_place(settings: Settings, reported: str, bucket: str, key: str) -> str:
    google = settings.store == "gs"
    own, below = (settings.gcs_bucket, GCS_RESULTS) if google else (settings.results_bucket, "")
    if bucket != own or not key.startswith(below):
        raise _not_found("The evidence of this run lies outside the bucket that the app may read.")
    return reported.rstrip("/").rpartition("/")[0]


def _not_found(message: str) -> ServiceError:
    return ServiceError(message, code="evidence.not_found", hint="Run it again to get a result.")


def _told(error: KallaError, folder: str) -> ServiceError:
    text = _stripped({"message": error.message, "hint": error.hint}, folder)
    return ServiceError(
        text["message"], code=error.code, status=_STATUS.get(error.code), hint=text["hint"], details=error.details
    )


def _stripped(texts: dict[str, str], folder: str) -> dict[str, str]:
    """Texts in which files are called by their names inside the evidence."""
    return {
        name: mask_text(text.replace(f"{folder}/", "").replace(folder, "its folder")) for name, text in texts.items()
    }


@contextmanager
def _turn(turns: threading.BoundedSemaphore) -> Iterator[None]:
    if not turns.acquire(timeout=_SECONDS):
        raise ServiceError(
            "Too much evidence is being read at this moment.",
            code="evidence.too_slow",
            status=503,
            hint="Try again in a moment.",
            headers={"Retry-After": "5"},
        )
    try:
        yield
    finally:
        turns.release()


# --- what was asked -------------------------------------------------------------------------------------------------


def _conditions(given: Sequence[Any]) -> tuple[FilterCondition, ...]:
    checked = parse_filters(given, "conditions")
    if checked.problems:
        first = checked.problems[0]
        raise ServiceError(f"{first.path}: {first.message}.", code=first.code, details=checked.problems)
    return checked.filters


def _reason(set_name: str, reason: str | None) -> tuple[FilterCondition, ...]:
    from pipelines import evidence as engine

    if not reason:
        return ()
    if set_name == _MATCHED:
        raise _invalid("reason", "is for the unmatched sets")
    reasons = reason.split(",")
    if any(name not in engine.REASONS for name in reasons):
        raise _invalid("reason", f"must be one of {', '.join(engine.REASONS)}, or several split by commas")
    return (engine.reasons_filter(reasons),)


def _invalid(name: str, rule: str) -> ServiceError:
    problem = {"path": name, "message": rule, "code": "request.invalid_parameter"}
    return ServiceError(f"{name} {rule}.", code="request.invalid_parameter", details=[problem])


def _unknown_set(name: str, known: Sequence[str]) -> ServiceError:
    return ServiceError(f"There is no set {name[:80]!r}.", code="evidence.unknown_set", hint=f"Use {', '.join(known)}.")


def _columns(found: Any, set_name: str, columns: Sequence[Any]) -> list[dict[str, Any]]:
    from pipelines import evidence as engine

    numbers = {column.name: column.is_number for column in engine.set_columns(found, set_name)}
    return [
        {"name": c.name, "data_type": c.type, "nullable": c.nullable, "number": numbers.get(c.name, False)}
        for c in columns
    ]


def _alias(found: Any, set_name: str) -> str:
    """The source that a set's rows come from; both for matched ones."""
    sources = found.manifest["sources"]
    aliases = [sources[side]["alias"] for side in SIDES if set_name in (_MATCHED, f"unmatched_{side}")]
    return " / ".join(aliases)


def _plain(name: str) -> str:
    """A text as part of a file name."""
    return _UNSAFE.sub("-", name).strip("-.")[:80] or "run"
