"""One run, in its own process: ``python -m pipelines.run REQUEST OUTCOME``.

Reads a request (a pickled ``options.RunRequest``), leaves an outcome file, and sends progress to the pipe its launcher
named. The outcome is the only thing that tells how a run ended: an exception's class does not survive Beam, a file
does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors import Connector, Snapshot
from pipelines import progress
from pipelines.errors import recorded_failure, translate
from pipelines.manifest import (
    SourceFacts,
    check_counts,
    describe_columns,
    empty_parts,
    manifest,
    run_warnings,
    write_manifest,
)
from pipelines.options import RunRequest
from pipelines.parent import end_with_parent
from pipelines.prepare import Prepared, prepare
from pipelines.relation import DataFile, Relation, usable_in_place
from pipelines.runners.choice import Choice
from pipelines.stage import Readings, StageTask
from pipelines.steps import RunState, Summary, read_summary
from pipelines.workdir import WorkDir, check_output
from recipe import LEFT, RIGHT, KallaError, Kind

_CORES = os.cpu_count() or 1
_AMPLE_MEMORY = 3 << 30


def execute(request: RunRequest) -> dict[str, Any]:
    """Run from recipe to committed evidence; returns the outcome. Raises KallaError; then nothing is committed."""
    started = time.time()
    output = Path(request.output).absolute()
    prepared = prepare(request)
    check_output(output, request.overwrite)
    progress.emit("planned", **prepared.run_plan.as_dict())
    with WorkDir(output, request.run_id) as work:
        with contextlib.ExitStack() as stack:
            snapshots = open_snapshots(stack, prepared.connectors)
            hashes = stack.enter_context(content_hashes(prepared.connectors))
            state, tasks = plan_steps(request, prepared, snapshots, work)
            try:
                if prepared.runner.runner == "direct":
                    _run_pipeline(state, tasks)
                else:
                    _run_on_cluster(request, prepared.runner, state, tasks)
            except KallaError:
                # A file that was rewritten meanwhile reads as a damaged one: closing the snapshots says what happened.
                stack.close()
                raise
            summary = read_summary(work.scratch)
            snapshots = {side: with_hash(snapshot, hashes[side].result()) for side, snapshot in snapshots.items()}
        # The snapshots are closed: every source still was what the run had read.
        check_counts(summary)
        summary.parts += empty_parts(work.evidence, summary)
        work.sweep(part.path for part in summary.parts)
        document = _manifest(request, prepared, snapshots, state, summary, started)
        write_manifest(work.evidence, document)
        work.commit(request.overwrite)
    return outcome(request, document, output, time.time() - started)


def open_snapshots(stack: contextlib.ExitStack, connectors: Mapping[str, Connector]) -> dict[str, Snapshot]:
    """Fix both sides; two tables of one database at one moment."""
    left = stack.enter_context(connectors[LEFT].open_snapshot())
    return {LEFT: left, RIGHT: stack.enter_context(connectors[RIGHT].open_snapshot(beside=left))}


@contextlib.contextmanager
def content_hashes(connectors: Mapping[str, Connector]) -> Iterator[dict[str, Future[str | None]]]:
    """SHA-256 of both sources, computed beside the run's own work."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield {side: pool.submit(connector.content_hash) for side, connector in connectors.items()}


def with_hash(snapshot: Snapshot, digest: str | None) -> Snapshot:
    if digest is None:
        return snapshot
    return Snapshot({**snapshot.identity, "sha256": digest}, snapshot.live)


def plan_steps(
    request: RunRequest, prepared: Prepared, snapshots: dict[str, Snapshot], work: WorkDir
) -> tuple[RunState, list[StageTask]]:
    """The state every step gets, and the splits to read; sides the engine can read in place have none."""
    relations: dict[str, Relation] = {}
    tasks: list[StageTask] = []
    schemas: dict[str, pa.Schema] = {}
    readings: dict[str, Readings] = {}
    for side, connector in prepared.connectors.items():
        source = prepared.sources[side]
        names = tuple(c.name for c in prepared.schemas[side])
        schemas[side] = connector.arrow_schema()
        readings[side] = Readings.of(prepared.plan, side, names)
        path = None if source.filters else connector.in_place_path()
        if (
            path
            and not readings[side].texts
            and prepared.run_plan.strategy == "local"
            and not _reads_doubles(prepared, side)
            and usable_in_place(path)
        ):
            relations[side] = Relation(side, (DataFile(path, connector.count()),), names)
            continue
        tasks += [
            StageTask(
                side, source.alias, connector, snapshots[side], split, source.filters, readings[side], str(work.scratch)
            )
            for split in connector.plan_splits(snapshots[side], request.partitions)
        ]
    state = RunState(
        plan=prepared.plan,
        columns={side: tuple(c.name for c in prepared.schemas[side]) for side in prepared.sources},
        keys={side: source.primary_key for side, source in prepared.sources.items()},
        schemas=schemas,
        readings=readings,
        aliases={side: source.alias for side, source in prepared.sources.items()},
        scratch=str(work.scratch),
        evidence=str(work.evidence),
        memory=request.memory,
        strategy=prepared.run_plan.strategy,
        buckets=max(request.partitions, 1),
        relations=relations,
    )
    return state, tasks


def _reads_doubles(prepared: Prepared, side: str) -> bool:
    """Whether match_sql compares binary numbers of this side.

    A Parquet file's statistics leave NaN out, and the engine believes them: it would drop comparisons that NaN
    decides. Staged files have no statistics.
    """
    used = prepared.plan.left_columns if side == LEFT else prepared.plan.right_columns
    return any(c.kind is Kind.DOUBLE for c in prepared.schemas[side] if c.name in used)


def _run_pipeline(state: RunState, tasks: list[StageTask]) -> None:
    # Beam takes a second to import: everything that can go wrong before it is needed has been checked by now.
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    from pipelines.build import build

    # FnApiRunner by name: the switch called DirectRunner may choose Prism, a binary that Beam would download.
    options = PipelineOptions(
        [f"--direct_num_workers={_CORES}", "--direct_running_mode=multi_threading", "--no_pipeline_type_check"]
    )
    try:
        pipeline = Pipeline(runner=FnApiRunner(), options=options)
        build(pipeline, state, tasks)
        pipeline.run().wait_until_finish()
    except Exception as error:
        raise recorded_failure(state.scratch, error) from error


def _run_on_cluster(request: RunRequest, choice: Choice, state: RunState, tasks: list[StageTask]) -> None:
    from pipelines.build import build
    from pipelines.runners.submit import run_on_cluster

    run_on_cluster(request, choice, lambda pipeline: build(pipeline, state, tasks), state.folder)


def _manifest(
    request: RunRequest,
    prepared: Prepared,
    snapshots: dict[str, Snapshot],
    state: RunState,
    summary: Summary,
    started: float,
) -> dict[str, Any]:
    facts = {
        side: SourceFacts(
            source.alias, source.type, prepared.connectors[side].masked_uri, source.primary_key, snapshots[side],
            describe_columns(state.schemas[side]),
        )
        for side, source in prepared.sources.items()
    }  # fmt: skip
    ended = time.time()
    times = {"started_at": _iso(started), "completed_at": _iso(ended), "seconds": round(ended - started, 3)}
    return manifest(
        request.run_id, prepared.recipe, facts, prepared.plan, prepared.run_plan, summary, summary.parts,
        [*prepared.warnings, *run_warnings(facts, summary)], times,
    )  # fmt: skip


def outcome(request: RunRequest, document: dict[str, Any], output: Path, seconds: float) -> dict[str, Any]:
    """What a launcher learns of a completed run."""
    return {
        "run_id": request.run_id,
        "status": "completed",
        **document["counts"],
        "reasons": document["reasons"],
        "control_totals": document["control_totals"],
        "warnings": document["warnings"],
        "evidence": str(output),
        "strategy": document["plan"]["strategy"],
        "engine": document["plan"]["engine"],
        "runner": document["plan"]["runner"],
        "seconds": round(seconds, 3),
    }


def failure(request_id: str, error: KallaError, trace: str) -> dict[str, Any]:
    return {"run_id": request_id, "status": "failed", "error": error.as_dict(), "trace": trace}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_outcome(path: Path, document: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps(document), encoding="utf-8")
    os.replace(partial, path)


def main(arguments: list[str]) -> int:
    """Exit status 0 for a completed run, 1 for a failed one; the outcome file says more."""
    end_with_parent()
    request_path, outcome_path = map(Path, arguments)
    request = pickle.loads(request_path.read_bytes())  # noqa: S301 - the launcher's own file, in its private folder
    assert isinstance(request, RunRequest)
    request_path.unlink()  # it may hold a password, and a launcher that is killed cannot remove it
    if request.memory < _AMPLE_MEMORY:
        # The usual allocator is a little faster, but keeps what was freed: 300 MiB in a large run.
        pa.set_memory_pool(pa.system_memory_pool())
    logging.basicConfig(level=logging.WARNING)
    try:
        document = execute(request)
    except Exception as error:  # noqa: BLE001 - whatever happened becomes the outcome, the only way out of here
        document = failure(request.run_id, translate(error), traceback.format_exc())
    _write_outcome(outcome_path, document)
    return 0 if document["status"] == "completed" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
