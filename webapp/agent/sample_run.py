"""A true run of the draft on the session's samples: files written, a run launched, its evidence read, all removed."""

from __future__ import annotations

import contextlib
import csv
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.launch import RunRequest, launch
from recipe import CsvFormat, file_uri, mask_text
from webapp.agent.context import ToolError
from webapp.agent.session import SIDES, Place, Row, Session
from webapp.context import Kalla
from webapp.services.addresses import open_source
from webapp.services.previews import stored

MOST_SECONDS = 30.0
SHOWN_ROWS = 5
MEMORY = 1 << 30
SETS = ("matched", "unmatched_left", "unmatched_right")
COUNTS = (
    *("matched_count", "unmatched_left_count", "unmatched_right_count", "left_record_count", "right_record_count"),
    *("matched_left_count", "matched_right_count", "match_rate"),
)
_STALE_SECONDS = 3600
_TURNS = threading.BoundedSemaphore(2)  # each is a process of its own


def run_draft(app: Kalla, session: Session, draft: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Figures of contract 1.7, ``warnings``, ``reasons``, and ``rows`` of each set. Raises ToolError."""
    ends = time.monotonic() + min(seconds, MOST_SECONDS)
    if not _TURNS.acquire(timeout=max(0.0, ends - time.monotonic())):
        raise ToolError("Other samples are being run at this moment. Try again.")
    try:
        with _folder(app) as folder:
            return _run(app, session, draft, folder, ends)
    finally:
        _TURNS.release()


@contextlib.contextmanager
def _folder(app: Kalla) -> Iterator[Path]:
    """A folder of its own below the staging path; those that a killed app left are removed."""
    home = app.settings.staging_path / "samples"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in home.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(old)
    folder = home / str(uuid.uuid4())
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _run(app: Kalla, session: Session, draft: Mapping[str, Any], folder: Path, ends: float) -> dict[str, Any]:
    sources = {side: _written(app, session, side, draft["sources"][side], folder) for side in SIDES}
    request = RunRequest(
        recipe={**draft, "sources": sources},
        output=str(folder / "evidence"),
        run_id=str(uuid.uuid4()),
        partitions=1,
        memory_limit=MEMORY,
        roots=[str(folder)],
    )
    outcome = launch(request, timeout=max(1.0, ends - time.monotonic()))
    if outcome["status"] != "completed":
        error = outcome["error"]
        if error["code"] == "run.timeout":
            raise ToolError(f"The sample took longer than {MOST_SECONDS:.0f} seconds. Load a smaller sample.")
        raise ToolError(mask_text(str(error["message"]).replace(str(folder), "the sample")))
    return {
        **{name: outcome[name] for name in COUNTS},
        "warnings": outcome["warnings"],
        "reasons": outcome["reasons"],
        "rows": _rows(folder / "evidence"),
    }


def _rows(folder: Path) -> dict[str, Any]:
    from pipelines import evidence

    found = evidence.Evidence(folder)
    return {name: rows_object(name, found.rows(name, SHOWN_ROWS)) for name in SETS}


def rows_object(name: str, page: Any) -> dict[str, Any]:
    """A page of evidence as a rows object of the contract."""
    return {
        "alias": name,
        "columns": [{"name": c.name, "data_type": c.type, "nullable": c.nullable} for c in page.columns],
        "rows": page.rows,
        "total_rows": page.total,
        "preview_rows": len(page.rows),
    }


# --- the samples as files ------------------------------------------------------------------------------


def _written(app: Kalla, session: Session, side: str, source: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The side's sample as a file with the types of its source, and the recipe's source that reads it."""
    place, sample = session.place(side), session.sample(side)
    if place is None or not sample:
        raise ToolError(f"The {side} sample is empty. Load it first.")
    kept = {name: source[name] for name in ("alias", "primary_key")}
    opened = _opened(app, place)
    if opened.is_csv:
        path = folder / f"{side}.csv"
        _write_csv(path, place.column_names, sample)
        form = CsvFormat.model_validate(source.get("format") or {})
        stated = form.model_dump(mode="json") | {"delimiter": ",", "encoding": "utf-8"}
        return {**kept, "type": "csv", "uri": file_uri(str(path)), "format": stated}
    path = folder / f"{side}.parquet"
    with opened.told():
        schema = opened.connector.arrow_schema()
    _write_parquet(path, schema, sample)
    return {**kept, "type": "parquet", "uri": file_uri(str(path))}


def _opened(app: Kalla, place: Place) -> Any:
    if place.uri is not None:
        return open_source(app, place.source_type, place.uri, place.alias)
    record = stored(app, place.alias)
    return open_source(app, record.source_type, record.uri, place.alias)


def _write_csv(path: Path, names: Sequence[str], sample: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)  # so that a row with one empty cell is no empty line
        writer.writerow(names)
        writer.writerows([row.get(name) or "" for name in names] for row in sample)


def _write_parquet(path: Path, schema: Any, sample: Sequence[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [pa.array([row.get(field.name) for row in sample], pa.string()).cast(field.type) for field in schema]
    pq.write_table(pa.table(columns, schema=schema), path)
