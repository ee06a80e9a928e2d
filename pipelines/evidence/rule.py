"""The rule that evidence was made by, compiled again from the manifest: what stands beside what, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlglot import exp

from pipelines.errors import EvidenceError
from pipelines.evidence.columns import SIDES, kind_of, number_format, source_places
from pipelines.evidence.reader import Evidence, type_name
from pipelines.relation import localise
from recipe import LEFT, RIGHT, Column, Condition, KallaError, Kind, MatchPlan, Schema, SideInput, compile_match_sql
from udfs import lower, signatures

TABLES = {"left": LEFT, "right": RIGHT}
READERS = ("KALLA_NUMBER", "KALLA_DATE", "KALLA_TIMESTAMP")


def match_plan(evidence: Evidence) -> MatchPlan:
    """The plan of the evidence's recipe over the columns it found.

    Raises EvidenceError ``evidence.rule_unreadable``.
    """
    left, right = (_side_input(evidence, side) for side in SIDES)
    try:
        return compile_match_sql(evidence.manifest["match_sql"], left, right, signatures())
    except KallaError as error:
        raise EvidenceError(
            f"The recipe of this evidence cannot be read by this version: {error.message}",
            code="evidence.rule_unreadable",
            hint="Use the version of Kalla that wrote it.",
        ) from error


def _side_input(evidence: Evidence, side: str) -> SideInput:
    source = evidence.manifest["sources"][side]
    form = evidence.recipe["sources"][side].get("format") or {}
    decimal, thousands = number_format(evidence.recipe, side)
    date_order = str(form.get("date_order", "ymd"))
    return SideInput(source_schema(evidence, side), tuple(source["primary_key"]), decimal, thousands, date_order)


def source_schema(evidence: Evidence, side: str) -> Schema:
    """The columns of a side's source under its own names."""
    schema = evidence.schema(f"unmatched_{side}")
    return tuple(_column(name, schema.field(place)) for name, place in source_places(evidence, side).items())


def _column(name: str, field: Any) -> Column:
    kind = kind_of(field.type)
    precision, scale = (field.type.precision, field.type.scale) if kind is Kind.DECIMAL else (None, None)
    return Column(name, kind, type_name(field.type), field.nullable, precision, scale)


def placed(evidence: Evidence, tree: exp.Expr) -> exp.Expr:
    """A plan's tree over tables ``l`` and ``r`` whose columns are called by their places in the unmatched sets."""
    for side in SIDES:
        places = source_places(evidence, side)
        fixed = [""] * min(places.values(), default=0)  # no column of a source has an empty name
        tree = localise(tree, TABLES[side], [*fixed, *places])
    return lower(tree)


def conditions_of(plan: MatchPlan) -> list[Condition]:
    """Every condition beside the keys, in the order in which a failure is reported."""
    return [*plan.conditions, *plan.left_only, *plan.right_only]


def columns_in(trees: Sequence[exp.Expr], side: str) -> list[str]:
    """The columns of one side that trees name, without repeats."""
    found = (c.name for tree in trees for c in tree.find_all(exp.Column) if c.table == TABLES[side])
    return list(dict.fromkeys(found))


def readings(plan: MatchPlan, side: str) -> dict[str, exp.Anonymous]:
    """For each text column that the rule reads as a number, date or timestamp: how."""
    found: dict[str, exp.Anonymous] = {}
    for tree in trees_of(plan):
        for node in tree.find_all(exp.Anonymous):
            text = node.expressions[0] if node.name in READERS else None
            if isinstance(text, exp.Column) and text.table == TABLES[side]:
                found.setdefault(text.name, node)
    return found


def trees_of(plan: MatchPlan) -> Iterator[exp.Expr]:
    """The trees of all conditions and keys, conditions first."""
    yield from (condition.tree for condition in conditions_of(plan))
    for key in plan.keys:
        yield from (key.left, key.right)


def date_tree(evidence: Evidence, plan: MatchPlan, side: str) -> tuple[str, exp.Expr] | None:
    """The first date that the rule uses of a side: its column, and the plan's tree that gives the date or moment."""
    kinds = {column.name: column.kind for column in source_schema(evidence, side)}
    read = readings(plan, side)
    for tree in trees_of(plan):
        for name in columns_in([tree], side):
            column = exp.column(name, table=TABLES[side], quoted=True)
            if kinds.get(name, Kind.TEXT).is_time:
                return name, column
            if name in read and read[name].name != "KALLA_NUMBER":
                return name, read[name].copy()
    return None
