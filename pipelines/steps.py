"""What each step of a run does, as functions from element to elements. No Beam here: ``build`` wires them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from sqlglot import exp

from pipelines import engine, hot, progress
from pipelines.assemble import Chunk, Written, assembler, let_go
from pipelines.beam_sql.rows import Batch, check_whole, explain_rows, keep_pairs, sql_rows
from pipelines.beam_sql.statement import passes_of
from pipelines.buckets import bucket_rows, frequent_keys, from_bytes, split_batches
from pipelines.exchange import Exchange
from pipelines.general import RESULT, found_schema, match_whole, write_matched
from pipelines.keys import KeyFacts, all_rising, count_keys
from pipelines.layout import make_layout
from pipelines.matching import Sides, lenient, other, unparsed_tree
from pipelines.parts import Part
from pipelines.relation import RAGGED, Relation
from pipelines.run_state import Made, RunState, SideSummary, SourceFacts, Summary, keep, kept
from pipelines.shards import PAIRS_BY_LEFT, match_shard, merge_shards, shard_files
from pipelines.slices import PairFile, paired_chunks, row_chunks, slice_rows
from pipelines.stage import Staged, StageTask, stage_split, staged_relation
from pipelines.totals import Totals, read_totals, totals_tree
from recipe import LEFT, RIGHT, PlanClass

_STATE, _MADE, _ROUTED, _SUMMARY = "state.pickle", "made.pickle", "routed.pickle", "summary.pickle"
_HOT, _PAIRED = "hot.pickle", "paired.pickle"
Files: TypeAlias = tuple[str, ...]  # names of the scratch files that a step leaves for the merge


def stage(task: StageTask) -> Staged:
    """Read one split."""
    progress.emit("progress", stage="staging", source=task.alias, progress=0.0)
    staged = stage_split(task)
    progress.emit("staged", source=task.alias, rows=staged.file.rows)
    return staged


def with_relations(state: RunState, staged: Iterable[Staged]) -> RunState:
    """The state once all splits are read; sides that are read in place were in it before.

    A bucket of the shuffle is one element to the cluster, which holds it in memory: large sides get more of them.
    """
    found = list(staged)
    relations = dict(state.relations)
    for side in (LEFT, RIGHT):
        if side not in relations:
            relations[side] = staged_relation(side, state.columns[side], state.readings[side], found)
        progress.emit("side", source=state.aliases[side], side=side, rows=relations[side].rows)
    rows = sum(relation.rows for relation in relations.values())
    buckets = max(state.buckets, math.ceil(rows / hot.MOST_ROWS))
    ready = dataclasses.replace(state, relations=relations, buckets=buckets)
    keep(state.exchange, _STATE, ready)
    return ready


def match_local(state: RunState) -> Files:
    """Judge all candidates in one place."""
    progress.emit("progress", stage="matching", source=None, progress=0.0)
    sides = state.sides()
    state.bring()
    with engine.connect(state.folder, engine.engine_memory(state.memory), state.files()) as connection:
        if state.plan.kind is PlanClass.GENERAL:
            match_whole(connection, state.plan, state.relations[LEFT], state.relations[RIGHT], state.folder)
            return RESULT, PAIRS_BY_LEFT
        match_shard(connection, state.plan, sides, state.folder, 0)
    return shard_files(state.folder, 0)


@dataclass(frozen=True)
class FilePart:
    """One file of one side, to be matched or keyed by itself; ``number`` names what is left for it."""

    exchange: Exchange
    number: int
    rows: Relation

    def files(self) -> list[str]:
        """Its rows are here then."""
        self.rows.bring()
        return [f.path for f in self.rows.files]

    def beside(self, state: RunState) -> Sides:
        """Its rows and the whole other side, all of them here."""
        side = self.rows.side
        for rows in (self.rows, state.relations[other(side)]):
            rows.bring()
        return state.sides(left=self.rows) if side == LEFT else state.sides(right=self.rows)


def side_files(state: RunState, side: str) -> list[FilePart]:
    """One side, file by file."""
    return [FilePart(state.exchange, n, part) for n, part in enumerate(state.relations[side].each_file())]


def large_parts(state: RunState) -> list[FilePart]:
    """The larger side, file by file; the other is sent whole to each."""
    larger = max(state.relations.values(), key=lambda r: (r.rows, r.side))
    return side_files(state, larger.side)


def match_part(part: FilePart) -> Files:
    """Judge the candidates of one part of the larger side."""
    state = kept(part.exchange, _STATE, RunState)
    sides = part.beside(state)
    with engine.connect(state.folder, engine.engine_memory(state.memory), state.files()) as connection:
        match_shard(connection, state.plan, sides, state.folder, part.number)
    return shard_files(state.folder, part.number)


def countable_files(state: RunState) -> list[FilePart]:
    """The files of the sides that have room for a hot key."""
    return [
        FilePart(state.exchange, number, part)
        for side in (LEFT, RIGHT)
        if state.relations[side].rows > hot.MOST_ROWS
        for number, part in enumerate(state.relations[side].each_file())
    ]


def count_keys_of(part: FilePart) -> tuple[str, hot.Counts]:
    """A file's frequent keys, with its side."""
    state = kept(part.exchange, _STATE, RunState)
    least = hot.least_count(len(state.relations[part.rows.side].files))
    with engine.connect(state.folder, engine.engine_memory(state.memory), part.files()) as connection:
        return part.rows.side, frequent_keys(connection, state.plan, state.sides(), part.rows, least)


def find_hot_keys(exchange: Exchange, counted: list[tuple[str, hot.Counts]]) -> RunState:
    """Leave the hot keys for those who spread the rows; gives the state on."""
    state = kept(exchange, _STATE, RunState)
    keep(exchange, _HOT, hot.hot_keys(counted, state.buckets))
    return state


def keyed_rows(part: FilePart) -> Iterator[tuple[int, bytes]]:
    """One file's rows as (bucket, Arrow stream)."""
    state = kept(part.exchange, _STATE, RunState)
    with engine.connect(state.folder, engine.engine_memory(state.memory), part.files()) as connection:
        keys = kept(part.exchange, _HOT, tuple)
        yield from split_batches(connection, state.plan, state.sides(), part.rows, state.buckets, keys)


def match_bucket(exchange: Exchange, bucket: int, left: Iterable[bytes], right: Iterable[bytes]) -> Files:
    """Judge the candidates of one bucket; one that holds rows of one side only has none."""
    state = kept(exchange, _STATE, RunState)
    tables = {LEFT: from_bytes(left), RIGHT: from_bytes(right)}
    if tables[LEFT] is None or tables[RIGHT] is None:
        return ()
    with engine.connect(state.folder, engine.engine_memory(state.memory)) as connection:
        rows = {s: bucket_rows(connection, state.relations[s], t) for s, t in tables.items() if t is not None}
        match_shard(connection, state.plan, state.sides(rows[LEFT], rows[RIGHT]), state.folder, bucket)
    return shard_files(state.folder, bucket)


def rows_for_sql(part: FilePart, number: int) -> Iterator[Batch]:
    """One file's rows as Beam SQL gets them for the statement of this number."""
    state = kept(part.exchange, _STATE, RunState)
    progress.emit("progress", stage="matching", source=None, progress=0.0)
    with engine.connect(state.folder, engine.engine_memory(state.memory), part.files()) as found:
        yield from sql_rows(found, passes_of(state.plan)[number], state.sql[number], state.sides(), part.rows)


def keep_found(exchange: Exchange, place: int, pairs: Iterable[tuple[int, int]]) -> Files:
    """Leave the pairs of one place that Beam SQL found."""
    keep_pairs(exchange.scratch, place, pairs)
    return shard_files(exchange.scratch, place)


def explainable_files(exchange: Exchange, shards: Iterable[Files]) -> list[FilePart]:
    """Both sides, file by file, once all pairs are kept."""
    state = kept(exchange, _STATE, RunState)
    keep(exchange, _PAIRED, tuple(chain.from_iterable(shards)))
    return [part for side in (LEFT, RIGHT) for part in side_files(state, side)]


def match_checked(exchange: Exchange, shards: Iterable[Files]) -> Files:
    """Judge all candidates of a statement that runs whole; the pairs that Beam SQL found are to be the same."""
    state = kept(exchange, _STATE, RunState)
    found = match_local(state)
    exchange.bring(*chain.from_iterable(shards))
    with engine.connect(state.folder, engine.engine_memory(state.memory), state.files()) as connection:
        check_whole(connection, state.plan, state.folder)
    return found


def explain_part(part: FilePart) -> Files:
    """Find the nearest candidates of a file's rows that are in no pair."""
    state = kept(part.exchange, _STATE, RunState)
    side, sides = part.rows.side, part.beside(state)
    part.exchange.bring(*kept(part.exchange, _PAIRED, tuple))
    with engine.connect(state.folder, engine.engine_memory(state.memory), state.files()) as connection:
        explain_rows(connection, state.plan, sides, side, state.folder, part.number)
    return (f"nearest_{side}-{part.number}.parquet",)


def merge(exchange: Exchange, shards: Iterable[Files]) -> Made:
    """Put together what the steps before have left, all of it, and cut what is to be written into chunks."""
    state = kept(exchange, _STATE, RunState)
    sides = state.sides()
    general = state.plan.kind is PlanClass.GENERAL
    found = kept(exchange, _PAIRED, tuple) if state.sql and not general else ()
    exchange.bring(*found, *chain.from_iterable(shards))
    with engine.connect(state.folder, engine.engine_memory(state.memory), state.files()) as connection:
        pairs = 0 if general else merge_shards(connection, state.folder)
        facts = {side: _source_facts(connection, state, side) for side in (LEFT, RIGHT)}
    engine.let_go()  # writing decodes whole rows and needs the memory
    left, right = state.relations[LEFT], state.relations[RIGHT]
    most = slice_rows(left, right)
    pair_file = PairFile(state.folder / PAIRS_BY_LEFT, "lr")
    slices = paired_chunks(left, pair_file, most)
    pair_file.close()
    chunks = row_chunks(right, most)
    stops = [stop for _, stop in slices]
    schemas = (state.schemas[LEFT], state.schemas[RIGHT])
    layout = make_layout(state.plan, sides, schemas, exchange, most, stops, len(chunks))
    parts: list[Part] = []
    if general:
        parts = write_matched(state.folder, exchange.evidence, state.plan, most)
        layout = dataclasses.replace(layout, matched_schema=found_schema(state.folder, state.plan))
        pairs = sum(p.rows for p in parts)
    progress.emit("pairs", matched_count=pairs, chunks=len(slices) + len(chunks))
    made = Made(layout, _numbered(chunks), _numbered(slices), facts, tuple(parts), pairs)
    keep(exchange, _MADE, made)
    return made


def route(exchange: Exchange, chunk: Chunk) -> Written:
    """Write a right chunk's unmatched rows and file the others."""
    written = assembler(kept(exchange, _MADE, Made).layout).route_right(chunk)
    progress.emit("chunk", rows=written.rows)
    return written


def left_slices(exchange: Exchange, routed: list[Written]) -> tuple[Chunk, ...]:
    """What is left to write once all right rows are filed."""
    keep(exchange, _ROUTED, routed)
    return kept(exchange, _MADE, Made).left


def assemble(exchange: Exchange, chunk: Chunk) -> Written:
    """Write a left slice's unmatched rows and its pairs."""
    written = assembler(kept(exchange, _MADE, Made).layout).assemble_left(chunk)
    progress.emit("chunk", rows=written.rows)
    return written


def summarise(exchange: Exchange, left: list[Written]) -> Summary:
    """Add up what was written, and leave it for the driver to commit."""
    state, made, right = kept(exchange, _STATE, RunState), kept(exchange, _MADE, Made), kept(exchange, _ROUTED, list)
    summary = Summary(made.layout, made.pairs, list(made.matched), SideSummary(), SideSummary())
    for name, side, chunks in ((LEFT, summary.left, left), (RIGHT, summary.right, right)):
        side.keys = _key_facts(state, name, chunks)
        side.source, side.unparsed, side.ragged = made.facts[name]
        for written in chunks:
            side.rows += written.rows
            side.unmatched += written.unmatched_rows
            side.reasons.update(written.reasons)
            side.matched_totals.add(written.matched)
            side.unmatched_totals.add(written.unmatched)
            summary.parts.extend(written.parts)
    summary.parts.sort(key=lambda part: part.path)
    keep(exchange, _SUMMARY, summary)
    return summary


def read_summary(exchange: Exchange) -> Summary:
    """What ``summarise`` left."""
    return kept(exchange, _SUMMARY, Summary)


def _key_facts(state: RunState, side: str, chunks: Iterable[Written]) -> KeyFacts:
    if all_rising(written.keys for written in chunks if written.keys):
        return KeyFacts(0, 0)
    let_go()
    relation = state.relations[side]
    relation.bring()
    memory = engine.engine_memory(state.memory)
    with engine.connect(state.folder, memory, state.files()) as connection:
        return count_keys(connection, relation, state.keys[side], memory // 4)


def _source_facts(connection: engine.Connection, state: RunState, side: str) -> SourceFacts:
    numbers = state.plan.left_numbers if side == LEFT else state.plan.right_numbers
    parses = [p for p in state.plan.parses if p.side == side]
    relation = state.relations[side]
    if not numbers and not parses and not relation.ragged:
        return SourceFacts(Totals(), {}, 0)
    relation.bring()
    sides = state.sides()
    rows = relation.scan_all().subquery(side)
    asked = totals_tree([(name, sides.tree(lenient(tree))) for name, tree in numbers], rows)
    ragged = exp.column(RAGGED, table=side) if relation.ragged else exp.false()
    asked = asked.select(*(_count_where(test) for test in (*(unparsed_tree(sides, p) for p in parses), ragged)))
    row = connection.execute(asked.sql("duckdb")).fetchone()
    assert row is not None, "an aggregate without GROUP BY gives one row"
    *counts, ragged_rows = row[len(row) - len(parses) - 1 :]
    unparsed: dict[str, int] = {}
    for parse, number in zip(parses, counts, strict=True):
        unparsed[parse.column] = max(unparsed.get(parse.column, 0), number)
    totals = read_totals(row, [name for name, _ in numbers])
    return SourceFacts(totals, {name: number for name, number in unparsed.items() if number}, ragged_rows)


def _count_where(test: exp.Expr) -> exp.Count:
    return exp.Count(this=exp.Case(ifs=[exp.If(this=test, true=exp.Literal.number(1))]))


def _numbered(ranges: Iterable[tuple[int, int]]) -> tuple[Chunk, ...]:
    return tuple(Chunk(number, start, stop) for number, (start, stop) in enumerate(ranges))
