"""One run, from recipe to committed evidence. ``process`` gives it a process of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from connectors import Connector, Snapshot
from pipelines import engine, outcome, progress
from pipelines.beam_sql.service import sql_failure, sql_service
from pipelines.errors import recorded_failure
from pipelines.exchange import Exchange, SharedFolders
from pipelines.manifest import (
    SourceFacts,
    check_counts,
    describe_columns,
    empty_parts,
    manifest,
    run_warnings,
    write_manifest,
)
from pipelines.options import Choice, RunRequest
from pipelines.outputs import output_of
from pipelines.prepare import Prepared, prepare
from pipelines.relation import DataFile, Relation, usable_in_place
from pipelines.run_state import RunState, Summary
from pipelines.runners.choice import SET_UP, on_this_machine
from pipelines.stage import Readings, StageTask
from pipelines.steps import read_summary
from pipelines.workdir import WorkDir
from recipe import LEFT, RIGHT, KallaError, Kind


def execute(request: RunRequest) -> dict[str, Any]:
    """Run from recipe to committed evidence; returns the outcome. Raises KallaError; then nothing is committed."""
    try:
        return _execute(request)
    except KallaError as error:
        if request.runner != "auto" or error.code not in SET_UP:
            raise
        return _execute(request, on_this_machine(error))


def _execute(request: RunRequest, runner: Choice | None = None) -> dict[str, Any]:
    started = time.time()
    output = output_of(request.output, request.staging)
    prepared = prepare(request, runner)
    output.check(request.overwrite)
    progress.emit("planned", **prepared.run_plan.as_dict())
    with output.work(request.run_id) as work:
        with contextlib.ExitStack() as stack:
            stack.callback(engine.let_go)
            snapshots = open_snapshots(stack, prepared.connectors)
            hashes = stack.enter_context(content_hashes(prepared.connectors))
            exchange = stack.enter_context(_exchange(request, prepared, work))
            state, tasks = plan_steps(request, prepared, snapshots, exchange)
            try:
                if prepared.runner.runner == "direct":
                    _run_pipeline(state, tasks)
                else:
                    _run_on_cluster(request, prepared.runner, state, tasks)
            except KallaError:
                # A file that was rewritten meanwhile reads as a damaged one: closing the snapshots says what happened.
                stack.close()
                raise
            summary = read_summary(state.exchange)
            state.exchange.collect(summary.parts)
            snapshots = {side: with_hash(snapshot, hashes[side].result()) for side, snapshot in snapshots.items()}
        # The snapshots are closed: every source still was what the run had read.
        check_counts(summary)
        summary.parts += empty_parts(work.evidence, summary)
        work.seal(part.path for part in summary.parts)
        document = _manifest(request, prepared, snapshots, state, summary, started)
        write_manifest(work.evidence, document)
        work.commit(request.overwrite)
    return outcome.completed(document, output.shown, time.time() - started)


def _exchange(request: RunRequest, prepared: Prepared, work: WorkDir) -> contextlib.AbstractContextManager[Exchange]:
    """How the run's steps hand files on: through folders, or through the store that a run on a cluster may name."""
    if prepared.runner.runner == "direct" or request.exchange is None:
        return contextlib.nullcontext(SharedFolders(str(work.scratch), str(work.evidence)))
    from pipelines.stored_exchange import stored_exchange

    return stored_exchange(request.exchange, request.run_id, work)


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
    request: RunRequest, prepared: Prepared, snapshots: dict[str, Snapshot], exchange: Exchange
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
            and prepared.runner.runner == "direct"  # a worker elsewhere checks the file's state when it stages it
            and not readings[side].texts
            and prepared.run_plan.strategy == "local"
            and not _reads_doubles(prepared, side)
            and usable_in_place(path)
        ):
            relations[side] = Relation(side, (DataFile.at(path),), names)
            continue
        tasks += [
            StageTask(side, source.alias, connector, snapshots[side], split, source.filters, readings[side], exchange)
            for split in connector.plan_splits(snapshots[side], request.partitions)
        ]
    state = RunState(
        plan=prepared.plan,
        columns={side: tuple(c.name for c in prepared.schemas[side]) for side in prepared.sources},
        keys={side: source.primary_key for side, source in prepared.sources.items()},
        schemas=schemas,
        readings=readings,
        aliases={side: source.alias for side, source in prepared.sources.items()},
        exchange=exchange,
        memory=request.memory,
        strategy=prepared.run_plan.strategy,
        buckets=max(request.partitions, 1),
        sql=prepared.run_plan.sql,
        sql_service=request.cluster.sql_service,
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
    # Beam takes half a second to import: everything that can go wrong before it is needed has been checked by now.
    from pipelines import direct
    from pipelines.build import build

    try:
        with _service(state) as service:
            # Each worker of ours would get one of Java's, all in one program: a second gains nothing there.
            workers = {"workers": 1} if state.sql else {}
            direct.run(lambda pipeline: build(pipeline, state, tasks, service), **workers)
    except Exception as error:
        raise _cause(state, error) from error


def _run_on_cluster(request: RunRequest, choice: Choice, state: RunState, tasks: list[StageTask]) -> None:
    from pipelines.build import build
    from pipelines.runners.submit import run_on_cluster

    with _service(state) as service:
        run_on_cluster(request, choice, lambda pipeline: build(pipeline, state, tasks, service), state.exchange)


def _service(state: RunState) -> contextlib.AbstractContextManager[str | None]:
    """The service of engine beam-sql; None for the other engine."""
    if not state.sql:
        return contextlib.nullcontext()
    return sql_service(state.sql_service, state.folder, state.memory)


def _cause(state: RunState, error: Exception) -> KallaError:
    known = recorded_failure(str(state.folder), error)
    return known if not state.sql or known.code != "internal.error" else sql_failure(state.folder, known.message)


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


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
