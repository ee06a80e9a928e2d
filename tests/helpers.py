"""How tests make sources, run recipes and read what a run left. Nothing in here judges a result."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import threading
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import run as run_module
from pipelines import steps
from pipelines.errors import translate
from pipelines.options import RunRequest
from pipelines.run import execute
from pipelines.run_state import RunState

SETS = ("matched", "unmatched_left", "unmatched_right")


class AskedEnvironment(dict[str, str]):
    """An empty environment that remembers which variables were looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


Row = dict[str, Any]
Table = Mapping[str, Sequence[Any]]


def quote(name: str) -> str:
    """A column name as match_sql writes it when it must be taken exactly."""
    return '"' + name.replace('"', '""') + '"'


def write_parquet(path: Path, columns: Table, types: Mapping[str, pa.DataType], group: int = 1 << 16) -> Path:
    """``columns`` by name, in order, as one Parquet file."""
    schema = pa.schema([pa.field(name, types[name]) for name in columns])
    table = pa.table({n: pa.array(list(v), types[n]) for n, v in columns.items()}, schema=schema)
    pq.write_table(table, path, row_group_size=max(1, group))
    return path


def write_csv(path: Path, columns: Table, delimiter: str = ",") -> Path:
    """``columns`` of texts by name as a CSV; None is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    rows = zip(*columns.values(), strict=True)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    path.write_bytes(text.getvalue().encode())
    return path


def source(path: Path | str, key: Sequence[str], kind: str | None = None, **more: Any) -> dict[str, Any]:
    """One side of a recipe over a local file (``kind`` from its suffix) or an address."""
    address = str(path)
    if kind is None:
        kind = "csv" if address.lower().endswith(".csv") else "parquet"
    uri = address.replace("%", "%25") if isinstance(path, Path) else address
    return {"alias": "a", "type": kind, "uri": uri, "primary_key": list(key), **more}


def document(sql: str, left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """A recipe."""
    return {"recipe_id": "trial", "name": "Trial", "match_sql": sql, "sources": {"left": left, "right": right}}


def request(recipe: dict[str, Any], output: Path | str, **options: Any) -> RunRequest:
    return RunRequest(recipe=recipe, output=str(output), run_id=str(uuid.uuid4()), **options)


def beam(recipe: dict[str, Any], output: Path, **options: Any) -> dict[str, Any]:
    """A whole run in this process, through Beam; the outcome."""
    import_beam()
    return execute(request(recipe, output, **options))


def import_beam() -> None:
    """Import Beam once, without the warnings of the packages it stands on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("apache_beam.runners.portability.fn_api_runner")


def drive(recipe: dict[str, Any], output: Path, **options: Any) -> dict[str, Any]:
    """A whole run whose steps are called one after the other, as ``pipelines.build`` wires them but without Beam: quick,
    for many cases."""
    with mock.patch.object(run_module, "_run_pipeline", _steps):
        return execute(request(recipe, output, **options))


def _steps(state: RunState, tasks: Sequence[Any]) -> None:
    try:
        _each_step(state, tasks)
    except Exception as error:
        raise translate(error) from error


def _each_step(state: RunState, tasks: Sequence[Any]) -> None:
    # backwards, as workers may end in any order
    exchange = state.exchange
    state = steps.with_relations(state, [steps.stage(task) for task in reversed(tasks)])
    shards = _STRATEGIES[state.strategy](state)
    routed = [steps.route(exchange, chunk) for chunk in reversed(steps.merge(exchange, shards).right)]
    assembled = [steps.assemble(exchange, chunk) for chunk in reversed(steps.left_slices(exchange, routed))]
    steps.summarise(exchange, assembled)


def _broadcast(state: RunState) -> list[steps.Files]:
    return [steps.match_part(part) for part in steps.large_parts(state)]


def _shuffle(state: RunState) -> list[steps.Files]:
    counted = [steps.count_keys_of(part) for part in reversed(steps.countable_files(state))]
    state = steps.find_hot_keys(state.exchange, counted)
    buckets: dict[int, dict[str, list[bytes]]] = {}
    for side in ("l", "r"):
        for part in steps.side_files(state, side):
            for bucket, batch in steps.keyed_rows(part):
                buckets.setdefault(bucket, {"l": [], "r": []})[side].append(batch)
    return [
        steps.match_bucket(state.exchange, bucket, rows["l"], rows["r"]) for bucket, rows in sorted(buckets.items())
    ]


_STRATEGIES = {"local": lambda state: [steps.match_local(state)], "broadcast": _broadcast, "shuffle": _shuffle}


def read_set(folder: Path, name: str) -> list[Row]:
    """The rows of one evidence set in part order, each as {column: value}."""
    rows: list[Row] = []
    for part in sorted((folder / name).glob("part-*.parquet")):
        with pq.ParquetFile(part) as file:
            rows.extend(file.read().to_pylist())
    return rows


def set_columns(folder: Path, name: str) -> list[str]:
    """The column names of one evidence set."""
    part = sorted((folder / name).glob("part-*.parquet"))[0]
    names: list[str] = pq.read_schema(part).names
    return names


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def parts(folder: Path) -> dict[str, bytes]:
    """Every part's bytes by its path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob("*/*"))}


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below ``folder`` with size and time of change, to see whether anything was touched."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def totals_of(found: Mapping[str, Any]) -> dict[str, dict[str, tuple[Decimal, int, int]]]:
    """{column: {"source" | "matched" | "unmatched": (sum, rows, empty)}} of one side of a manifest."""
    return {
        name: {which: (Decimal(t["sum"]), t["rows"], t["empty"]) for which, t in three.items()}
        for name, three in found.items()
    }


@contextlib.contextmanager
def background(target: Any, *args: Any) -> Iterator[threading.Event]:
    """Run ``target(stop, *args)`` on a thread until the block ends; what it raises is raised here."""
    stop, failed = threading.Event(), []

    def call() -> None:
        try:
            target(stop, *args)
        except BaseException as error:  # noqa: BLE001 - raised again by the test's own thread
            failed.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(60)
    if failed:
        raise failed[0]


def changed(asked: RunRequest, **more: Any) -> RunRequest:
    """The same request with other options and a run id of its own."""
    return replace(asked, run_id=str(uuid.uuid4()), **more)
