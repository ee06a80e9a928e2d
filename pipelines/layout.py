"""Everything the writing passes need to know of a run, as plain data that travels to any worker.

Statements are kept as SQL text in the engine's names: they were made from trees and are only executed from here on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
from sqlglot import exp

from pipelines.exchange import Exchange
from pipelines.matching import (
    NO_KEY,
    NOT_IN_RESULT,
    OTHER_SIDE_EMPTY,
    PREDICATE,
    Sides,
    all_checks,
    lenient,
    other,
    own_checks,
    own_reason_tree,
)
from pipelines.relation import Relation, localise
from pipelines.slices import few_valued
from pipelines.totals import totals_tree
from recipe import LEFT, RIGHT, MatchPlan, PlanClass
from udfs import lower, register_functions

ROW_FIELDS = [
    pa.field("_left_row", pa.int64(), nullable=False),
    pa.field("_right_row", pa.int64(), nullable=False),
    pa.field("_left_partners", pa.int64(), nullable=False),
    pa.field("_right_partners", pa.int64(), nullable=False),
]
REASON_FIELDS = [
    pa.field("_row", pa.int64(), nullable=False),
    pa.field("_reason", pa.string(), nullable=False),
    pa.field("_failed", pa.string()),
    pa.field("_nearest", pa.string()),
    pa.field("_gap", pa.string()),
]


@dataclass(frozen=True)
class PairColumn:
    """A source column, by its place, that matched rows need."""

    source: int


@dataclass(frozen=True)
class OutputColumn:
    """One column of the matched set: the ``place``-th pair column of a side, or computed column when side is None."""

    name: str
    side: str | None
    place: int


@dataclass(frozen=True)
class SideFacts:
    """How unmatched rows of one side are explained and its numbers are added up.

    ``key_place`` is the place of the first primary-key column. ``texts`` holds the conditions in the order of
    ``all_checks``; the side's own ones begin at ``first_own_text``.
    """

    key_place: int
    texts: tuple[str, ...]
    units: tuple[str, ...]
    first_own_text: int
    without_candidate: str
    own_reason_sql: str | None
    totals_sql: str | None
    number_names: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """See the module. ``slice_stops`` are the row ends of the left slices."""

    exchange: Exchange
    left: Relation
    right: Relation
    pairs: bool
    slice_rows: int
    slice_stops: tuple[int, ...]
    right_chunks: int
    left_columns: tuple[PairColumn, ...]
    right_columns: tuple[PairColumn, ...]
    outputs: tuple[OutputColumn, ...]
    computed_sql: str | None
    matched_schema: pa.Schema
    left_schema: pa.Schema
    right_schema: pa.Schema
    left_facts: SideFacts
    right_facts: SideFacts
    matched_few: tuple[str, ...]
    left_few: tuple[str, ...]
    right_few: tuple[str, ...]
    left_repetitive: tuple[int, ...]
    right_repetitive: tuple[int, ...]

    def facts(self, side: str) -> SideFacts:
        return self.left_facts if side == LEFT else self.right_facts

    def unmatched_schema(self, side: str) -> pa.Schema:
        return self.left_schema if side == LEFT else self.right_schema

    def repetitive(self, side: str) -> tuple[int, ...]:
        """Places of the text columns that are read as dictionaries."""
        return self.left_repetitive if side == LEFT else self.right_repetitive

    def unmatched_few(self, side: str) -> tuple[str, ...]:
        return self.left_few if side == LEFT else self.right_few


def make_layout(
    plan: MatchPlan, sides: Sides, schemas: tuple[pa.Schema, pa.Schema], exchange: Exchange,
    slice_rows: int, slice_stops: Sequence[int], right_chunks: int,
) -> Layout:  # fmt: skip
    """``schemas`` are the sides' Arrow schemas as staged."""
    left, right = sides.left, sides.right
    assert isinstance(left, Relation) and isinstance(right, Relation), "the writing passes read files"
    needed = {side: _needed_columns(plan, sides, side) for side in (LEFT, RIGHT)}
    outputs, computed = _outputs(plan, sides, needed)
    few = {LEFT: few_valued(left), RIGHT: few_valued(right)}
    named = {s: {relation.columns[i] for i in few[s]} for s, relation in ((LEFT, left), (RIGHT, right))}
    unmatched = {LEFT: unmatched_schema(schemas[0]), RIGHT: unmatched_schema(schemas[1])}
    fields = _output_fields(plan, outputs, needed, dict(zip((LEFT, RIGHT), schemas, strict=True)), computed)
    return Layout(
        exchange=exchange,
        left=left,
        right=right,
        pairs=plan.kind is not PlanClass.GENERAL,
        slice_rows=slice_rows,
        slice_stops=tuple(slice_stops),
        right_chunks=right_chunks,
        left_columns=tuple(PairColumn(i) for i in needed[LEFT]),
        right_columns=tuple(PairColumn(i) for i in needed[RIGHT]),
        outputs=outputs,
        computed_sql=computed,
        matched_schema=pa.schema([*ROW_FIELDS, *fields]),
        left_schema=unmatched[LEFT],
        right_schema=unmatched[RIGHT],
        left_facts=side_facts(plan, sides, LEFT),
        right_facts=side_facts(plan, sides, RIGHT),
        matched_few=(
            "_left_partners",
            "_right_partners",
            *(o.name for o in plan.outputs if o.side and o.column in named[o.side]),
        ),
        left_few=_few_names(unmatched[LEFT], few[LEFT]),
        right_few=_few_names(unmatched[RIGHT], few[RIGHT]),
        left_repetitive=_texts(few[LEFT], schemas[0]),
        right_repetitive=_texts(few[RIGHT], schemas[1]),
    )


def _few_names(schema: pa.Schema, places: Sequence[int]) -> tuple[str, ...]:
    """The fixed columns and those source columns of an unmatched set that are worth a dictionary."""
    return ("_reason", "_failed", *(schema.field(len(REASON_FIELDS) + i).name for i in places))


def _texts(places: Sequence[int], schema: pa.Schema) -> tuple[int, ...]:
    return tuple(i for i in places if pa.types.is_string(schema.field(i).type))


def unmatched_schema(source: pa.Schema) -> pa.Schema:
    """The fixed columns, then the source's; a source name that clashes with a fixed one gets ``_src``."""
    taken = {f.name.casefold() for f in REASON_FIELDS}
    fields = list(REASON_FIELDS)
    for field in source:
        name = field.name
        while name.casefold() in taken:
            name += "_src"
        taken.add(name.casefold())
        fields.append(pa.field(name, field.type))
    return pa.schema(fields)


def side_facts(plan: MatchPlan, sides: Sides, side: str) -> SideFacts:
    checks = all_checks(plan)
    first = len(plan.conditions) + (0 if side == LEFT else len(plan.left_only))
    assert checks[first : first + len(own_checks(plan, side))] == own_checks(plan, side)
    numbers = [(n, sides.tree(lenient(t))) for n, t in (plan.left_numbers if side == LEFT else plan.right_numbers)]
    # Without a key every record of the other side is a candidate, if there is one.
    unkeyed = PREDICATE if sides.get(other(side)).rows else OTHER_SIDE_EMPTY
    without = {PlanClass.EQUI: NO_KEY, PlanClass.INEQUALITY: unkeyed, PlanClass.GENERAL: NOT_IN_RESULT}
    table = exp.to_table(side)
    marked = totals_tree(numbers, table)
    alone = exp.column("alone", table=side)
    marked.set("expressions", [alone, *marked.expressions])
    rows = sides.get(side)
    key = sides.left_key if side == LEFT else sides.right_key
    assert isinstance(rows, Relation), "the writing passes read files"
    own = own_reason_tree(plan, sides, side, rows.ragged)
    return SideFacts(
        key_place=rows.columns.index(key[0]),
        texts=tuple(c.sql for c in checks),
        units=tuple(str(c.gap_unit) for c in checks),
        first_own_text=first,
        without_candidate=without[plan.kind],
        own_reason_sql=None if own is None else exp.select(exp.cast(own, "bigint")).from_(table).sql("duckdb"),
        totals_sql=_numbered(marked.group_by(alone.copy())).sql("duckdb") if numbers else None,
        number_names=tuple(n for n, _ in numbers),
    )


def _numbered(tree: exp.Select) -> exp.Select:
    """Give every selected expression a name of its own: equal ones would collapse in a row read by name."""
    tree.set("expressions", [exp.alias_(e, f"v{i}") for i, e in enumerate(tree.expressions)])
    return tree


def _needed_columns(plan: MatchPlan, sides: Sides, side: str) -> list[int]:
    """Places of the source columns of one side that the outputs read, in source order."""
    rows = sides.get(side)
    assert isinstance(rows, Relation)
    names = {o.column for o in plan.outputs if o.side == side}
    names |= {c.name for o in plan.outputs if not o.side for c in o.tree.find_all(exp.Column) if c.table == side}
    return [i for i, name in enumerate(rows.columns) if name in names]


def _outputs(
    plan: MatchPlan, sides: Sides, needed: dict[str, list[int]]
) -> tuple[tuple[OutputColumn, ...], str | None]:
    if plan.kind is PlanClass.GENERAL:
        return (), None
    outputs: list[OutputColumn] = []
    computed: list[exp.Expr] = []
    for output in plan.outputs:
        if output.side and output.column:
            rows = sides.get(output.side)
            assert isinstance(rows, Relation)
            place = needed[output.side].index(rows.columns.index(output.column))
            outputs.append(OutputColumn(output.name, output.side, place))
        else:
            outputs.append(OutputColumn(output.name, None, len(computed)))
            computed.append(exp.alias_(_over_sources(sides, output.tree), f"v{len(computed)}"))
    if not computed:
        return tuple(outputs), None
    aligned = exp.select(*computed).from_(LEFT).sql("duckdb")
    return tuple(outputs), f"{aligned} POSITIONAL JOIN {RIGHT}"


def _over_sources(sides: Sides, tree: exp.Expr) -> exp.Expr:
    """A plan's tree over the sources' own columns alone: outputs are computed from those that are written."""
    for rows in (sides.left, sides.right):
        assert isinstance(rows, Relation)
        tree = localise(tree, rows.side, rows.columns)
    return lower(tree)


def _output_fields(
    plan: MatchPlan, outputs: Sequence[OutputColumn], needed: dict[str, list[int]], schemas: dict[str, pa.Schema],
    computed_sql: str | None,
) -> list[pa.Field]:  # fmt: skip
    computed = _computed_types(computed_sql, schemas, needed) if computed_sql else []
    fields = []
    for output in outputs:
        if output.side:
            kind = schemas[output.side].field(needed[output.side][output.place]).type
        else:
            kind = computed[output.place]
        fields.append(pa.field(output.name, kind))
    return fields


def _computed_types(sql: str, schemas: dict[str, pa.Schema], needed: dict[str, list[int]]) -> list[pa.DataType]:
    """Types of the computed outputs, asked of the engine over empty tables."""
    with duckdb.connect() as connection:
        register_functions(connection)
        for side, schema in schemas.items():
            fields = [pa.field(f"c{i}", schema.field(i).type) for i in needed[side]] or [pa.field("none", pa.int8())]
            connection.register(side, pa.schema(fields).empty_table())
        return list(connection.sql(sql).to_arrow_table().schema.types)
