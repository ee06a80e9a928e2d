"""An unmatched record beside its nearest candidate: field against field, condition by condition."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlglot import exp

from pipelines.errors import EvidenceError
from pipelines.evidence.card import Record, Verdict, comparisons, fields, sentence
from pipelines.evidence.columns import SIDES, source_places
from pipelines.evidence.conditions import Parameters
from pipelines.evidence.reader import Evidence
from pipelines.evidence.rule import TABLES, columns_in, conditions_of, match_plan, placed
from pipelines.evidence.tables import Tables, opened
from pipelines.matching import lenient
from pipelines.workdir import SETS
from recipe import GapUnit, MatchPlan

SECONDS = 20.0
_MOST_LOOKED_AT = 200  # records that share the candidate's key
Row = dict[str, Any]


def candidate(evidence: Evidence, side: str, row: int, seconds: float | None = SECONDS) -> Row:
    """Record ``row`` of ``side`` (``left`` or ``right``), which must be unmatched, and its nearest candidate.

    ``candidate`` is None where there is none. Of a candidate that is matched with other records the evidence holds the
    selected columns alone: ``complete`` is False then, and ``unknown`` names the others. ``comparisons`` are the
    recipe's keys and conditions, ``fields`` all columns, those that belong together side by side.

    Raises EvidenceError ``evidence.unknown_row``, ``evidence.rule_unreadable``, ``evidence.too_slow`` and those of
    the parts.
    """
    plan = match_plan(evidence)
    them = SIDES[1 - SIDES.index(side)]
    with opened(evidence, SETS, seconds) as tables:
        own = _own(tables, side, row)
        near = _nearest(tables, plan, them, own) if own.fixed["_nearest"] is not None else None
        verdicts = _verdicts(tables, plan, own, near)
    return {
        "side": side,
        "row": row,
        "reason": own.fixed["_reason"],
        "failed": own.fixed["_failed"],
        "nearest": own.fixed["_nearest"],
        "gap": own.fixed["_gap"],
        "sentence": sentence(own.fixed),
        "alias": _alias(evidence, side),
        "candidate": None if near is None else _described(evidence, near),
        "comparisons": comparisons(evidence, plan, own, near, verdicts),
        "fields": fields(evidence, plan, own, near),
    }


def _alias(evidence: Evidence, side: str) -> str:
    return str(evidence.manifest["sources"][side]["alias"])


def _described(evidence: Evidence, near: Record) -> Row:
    unknown = [name for name in source_places(evidence, near.side) if name not in near.values]
    note = (
        f"It is matched with another record. Of matched records only what the recipe selects is kept,"
        f" so {len(unknown)} of its columns are not known here."
        if unknown
        else ""
    )
    return {
        "side": near.side,
        "alias": _alias(evidence, near.side),
        "set": near.set_name,
        "row": near.row,
        "complete": not unknown,
        "unknown": unknown,
        "note": note,
    }


# --- finding the two records ----------------------------------------------------------------------------------------


def _own(tables: Tables, side: str, row: int) -> Record:
    parameters = Parameters()
    given = exp.cast(parameters.add(str(row)), "bigint", dialect="duckdb")
    tree = _unmatched(tables, side).where(exp.EQ(this=exp.column("c0"), expression=given))
    found = tables.table(tree, parameters.values) if 0 < row < 1 << 63 else None
    if found is None or not found.num_rows:
        raise EvidenceError(
            f"Record {row} of the {side} side is not among the unmatched ones.",
            code="evidence.unknown_row",
            hint="Take the number from the column Row (_row) of the unmatched records.",
        )
    return _records(tables.evidence, side, found)[0]


def _unmatched(tables: Tables, side: str) -> exp.Select:
    set_name = f"unmatched_{side}"
    names = {i: f"c{i}" for i in range(len(tables.evidence.schema(set_name)))}
    return exp.select("*").from_(tables.scan(set_name, names).subquery("s"))


def _records(evidence: Evidence, side: str, table: pa.Table) -> list[Record]:
    """Records from rows of an unmatched set."""
    places = source_places(evidence, side)
    names = evidence.schema(f"unmatched_{side}").names
    first = min(places.values(), default=len(names))
    cells = [column.to_pylist() for column in table.columns]
    return [
        Record(
            side,
            f"unmatched_{side}",
            cells[0][i],
            {name: cells[place][i] for name, place in places.items()},
            dict(zip(names[:first], (column[i] for column in cells[:first]), strict=True)),
            table.slice(i, 1),
        )
        for i in range(table.num_rows)
    ]


def _nearest(tables: Tables, plan: MatchPlan, side: str, own: Record) -> Record | None:
    """The record of ``side`` that the evidence names as nearest to ``own``; of several with its key the nearest."""
    key = _key_texts(own.fixed["_nearest"], tables.evidence.manifest["sources"][side]["primary_key"])
    if key is None:
        return None
    found = _among_unmatched(tables, side, key)
    found += _among_matched(tables, plan, side, key)
    judged = [(_order(plan, _verdicts(tables, plan, own, near), near), near) for near in found]
    return min(judged, key=lambda pair: pair[0])[1] if judged else None


def _key_texts(nearest: str, names: Sequence[str]) -> dict[str, str | None] | None:
    """The candidate's key as text by column; None for a text that is no such key."""
    if len(names) == 1:
        return {names[0]: nearest}
    try:
        cells = json.loads(nearest)
    except ValueError:
        return None
    return dict(zip(names, cells, strict=True)) if isinstance(cells, list) and len(cells) == len(names) else None


def _among_unmatched(tables: Tables, side: str, key: dict[str, str | None]) -> list[Record]:
    places = source_places(tables.evidence, side)
    parameters = Parameters()
    tests = [_has_text(f"c{places[name]}", text, parameters) for name, text in key.items()]
    tree = _unmatched(tables, side).where(*tests).order_by("c0").limit(_MOST_LOOKED_AT)
    return _records(tables.evidence, side, tables.table(tree, parameters.values))


def _has_text(column: str, text: str | None, parameters: Parameters) -> exp.Expr:
    if text is None:
        return exp.Is(this=exp.column(column), expression=exp.null())
    return exp.EQ(this=exp.cast(exp.column(column), "text"), expression=parameters.add(text))


def _among_matched(tables: Tables, plan: MatchPlan, side: str, key: dict[str, str | None]) -> list[Record]:
    """Matched records with this key, as far as the recipe selects their columns."""
    evidence = tables.evidence
    schema = evidence.schema("matched")
    if pa.types.is_list(schema.field(0).type):
        return []
    outputs = {
        output.column: place + len(schema) - len(plan.outputs)
        for place, output in enumerate(plan.outputs)
        if output.side == TABLES[side] and output.column
    }
    if not set(key) <= set(outputs):
        return []
    row = SIDES.index(side)
    wanted = {row: "id"} | {place: f"c{place}" for place in outputs.values()}
    parameters = Parameters()
    tests = [_has_text(f"c{outputs[name]}", text, parameters) for name, text in key.items()]
    rows = tables.scan("matched", wanted).subquery("s")
    tree = exp.select("*").distinct().from_(rows).where(*tests).order_by("id").limit(_MOST_LOOKED_AT)
    found = tables.table(tree, parameters.values)
    return [_matched_record(evidence, side, found.slice(i, 1), outputs) for i in range(found.num_rows)]


def _matched_record(evidence: Evidence, side: str, one: pa.Table, outputs: dict[str, int]) -> Record:
    """A matched record in the columns of its side's unmatched set; what the evidence does not hold of it is NULL."""
    schema = evidence.schema(f"unmatched_{side}")
    known = {f"c{source_places(evidence, side)[name]}": one[f"c{place}"] for name, place in outputs.items()}
    columns = [known.get(f"c{i}", pa.nulls(1, field.type)) for i, field in enumerate(schema)]
    values = {name: one[f"c{place}"][0].as_py() for name, place in outputs.items()}
    table = pa.table(columns, names=[f"c{i}" for i in range(len(schema))])
    return Record(side, "matched", one["id"][0].as_py(), values, {}, table)


# --- judging them -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """A key or condition of the plan: what it is over, its test and how far apart its values are."""

    trees: tuple[exp.Expr, ...]
    test: exp.Expr
    gap: exp.Expr | None = None
    unit: GapUnit = GapUnit.NONE


def _questions(plan: MatchPlan) -> list[_Asked]:
    keys = [
        _Asked((k.left, k.right), exp.EQ(this=exp.paren(k.left.copy()), expression=exp.paren(k.right.copy())))
        for k in plan.keys
    ]
    return keys + [_Asked((c.tree,), c.tree, c.gap, c.gap_unit) for c in conditions_of(plan)]


def _verdicts(tables: Tables, plan: MatchPlan, own: Record, near: Record | None) -> list[Verdict]:
    """For each key, then each condition: whether it holds, and the gap as text. None where a column is not known."""
    questions = _questions(plan)
    both = {record.side: record for record in (own, near) if record is not None}
    selected: list[exp.Expr] = []
    for asked in questions:
        needed = [(side, name) for side in SIDES for name in columns_in(asked.trees, side)]
        known = all(side in both and name in both[side].values for side, name in needed)
        selected += _trees(tables.evidence, asked) if known else [exp.null(), exp.null()]
    if not selected:
        return []
    tree = exp.select(*(exp.alias_(e, f"v{i}") for i, e in enumerate(selected))).from_(TABLES[own.side])
    if near is not None:
        tree = tree.join(TABLES[near.side], join_type="cross")
    for side, record in both.items():
        tables.connection.register(TABLES[side], record.table)
    values = tables.rows(tree)[0]
    return [(values[2 * i], _with_unit(values[2 * i + 1], asked.unit)) for i, asked in enumerate(questions)]


def _trees(evidence: Evidence, asked: _Asked) -> list[exp.Expr]:
    test = exp.Is(this=exp.paren(placed(evidence, asked.test.copy())), expression=exp.true())
    if asked.gap is None:
        return [test, exp.null()]
    return [test, exp.cast(exp.paren(placed(evidence, lenient(asked.gap))), "text")]


def _with_unit(gap: str | None, unit: GapUnit) -> str | None:
    """The gap as ``_gap`` writes it."""
    if gap is None:
        return None
    if unit is GapUnit.DAYS:
        return f"{gap} day" if gap == "1" else f"{gap} days"
    whole, point, fraction = gap.partition(".")
    return whole + point + fraction[:2] + fraction[2:].rstrip("0") if "e" not in gap else gap


def _order(plan: MatchPlan, verdicts: list[Verdict], near: Record) -> tuple[Any, ...]:
    """What makes a candidate nearer, as the run judged it: the keys hold, fewer failed conditions, an earlier one
    first, a smaller gap, a lower row id."""
    keys, checks = verdicts[: len(plan.keys)], verdicts[len(plan.keys) :]
    failed = [i for i, (holds, _) in enumerate(checks) if holds is False]
    gap = checks[failed[0]][1] if failed else None
    far = Decimal("Infinity") if gap is None else Decimal(gap.split(" ")[0])
    return (sum(holds is False for holds, _ in keys), len(failed), failed[:1], far, near.row)
