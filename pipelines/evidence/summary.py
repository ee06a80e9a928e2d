"""Everything a result page tells of a run, from the manifest and, where it has no figure, from the unmatched rows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from sqlglot import exp

from pipelines.errors import EvidenceError
from pipelines.evidence.columns import SIDES, control_number, kind_of, source_places
from pipelines.evidence.reader import Evidence
from pipelines.evidence.rule import TABLES, date_tree, match_plan, placed
from pipelines.evidence.tables import Tables, opened
from pipelines.matching import REASONS
from pipelines.totals import read_totals, totals_tree
from pipelines.workdir import SETS
from recipe import KallaError

SECONDS = 20.0
# Days since the date of a record, at the end of the run: from, to (None: without end).
AGES: tuple[tuple[int, int | None], ...] = ((0, 10), (11, 30), (31, 60), (61, 90), (91, None))
_DIGITS = 80
_KEPT = 64
Row = dict[str, Any]


def summary(evidence: Evidence, seconds: float | None = SECONDS) -> Row:
    """The run in one plain dict: exact sums are texts, counts and rates numbers.

    ``values_known`` is False when the unmatched rows could not be added up within ``seconds`` or are damaged: then
    reasons have no ``values``, there are no ages, and ``values_problem`` says why. The rest comes from the manifest
    alone.
    """
    stated = evidence.manifest
    scanned = _scanned(evidence, seconds)
    return {
        "run_id": stated["run_id"],
        "recipe": _recipe(evidence),
        "counts": dict(evidence.counts),
        "match_rate": evidence.counts["match_rate"],
        "equation": {side: _equation(evidence.counts, side) for side in SIDES},
        "control_totals": {side: _totals(stated["control_totals"][side]) for side in SIDES},
        "reasons": {side: _reasons(evidence, side, scanned["values"].get(side, {})) for side in SIDES},
        "ages": {side: scanned["ages"].get(side) for side in SIDES},
        "values_known": scanned["problem"] is None,
        "values_problem": scanned["problem"],
        "warnings": stated["warnings"],
        "times": stated["times"],
        "sources": {side: _source(evidence, side) for side in SIDES},
        "plan": stated["plan"],
        "parts": {name: _parts(evidence, name) for name in SETS},
        "versions": stated["versions"],
        "manifest_sha256": evidence.manifest_sha256,
    }


# --- from the manifest --------------------------------------------------------------------------------------------


def _recipe(evidence: Evidence) -> Row:
    names = ("name", "description", "match_description")
    texts = {name: str(evidence.recipe.get(name) or "") for name in names}
    stated = {"recipe_id": evidence.manifest["recipe_id"], "match_sql": evidence.manifest["match_sql"]}
    return stated | texts | {"sha256": evidence.manifest["recipe_hash"]}


def _equation(counts: Row, side: str) -> Row:
    """Records read = matched + unmatched; ``difference`` is what is left over, 0 in sound evidence."""
    read, matched, unmatched = (
        counts[name] for name in (f"{side}_record_count", f"matched_{side}_count", f"unmatched_{side}_count")
    )
    rate = matched / read if read else None
    return {
        "source": read,
        "matched": matched,
        "unmatched": unmatched,
        "difference": read - matched - unmatched,
        "rate": rate,
    }


def _totals(stated: Row) -> Row:
    return {name: _total(total) for name, total in stated.items()}


def _total(total: Row) -> Row:
    with localcontext() as context:
        context.prec = _DIGITS
        read, matched, unmatched = (Decimal(total[part]["sum"]) for part in ("source", "matched", "unmatched"))
        difference = format(read - matched - unmatched, "f")
    parts = {part: total[part] for part in ("source", "matched", "unmatched")}
    return {**parts, "difference": difference, "value_rate": value_rate(total)}


def value_rate(total: Row) -> float | None:
    """The matched share of a control total; None where sums of both signs leave no share that means anything."""
    read, matched, unmatched = (Decimal(total[part]["sum"]) for part in ("source", "matched", "unmatched"))
    same = len({number > 0 for number in (read, matched, unmatched) if number}) == 1
    return float(abs(matched / read)) if same and read else None  # nothing of a negative sum would be -0


def _reasons(evidence: Evidence, side: str, values: dict[str, dict[str, str]]) -> list[Row]:
    counts = evidence.manifest["reasons"][side]
    whole = sum(counts.values())
    return [
        {
            "reason": reason,
            "text": REASONS.get(reason, reason),
            "rows": rows,
            "share": rows / whole if whole else None,
            "values": values.get(reason),
        }
        for reason, rows in counts.items()
    ]


def _source(evidence: Evidence, side: str) -> Row:
    source = evidence.manifest["sources"][side]
    names = ("alias", "type", "uri", "primary_key", "snapshot", "columns")
    return {name: source[name] for name in names} | {"rows": evidence.counts[f"{side}_record_count"]}


def _parts(evidence: Evidence, set_name: str) -> Row:
    parts = evidence.parts(set_name)
    return {"rows": sum(p.rows for p in parts), "parts": len(parts), "bytes": sum(p.bytes for p in parts)}


# --- from the unmatched rows: once per evidence -----------------------------------------------------------------------

_scans: OrderedDict[str, Row] = OrderedDict()
_scans_lock = threading.Lock()


def _scanned(evidence: Evidence, seconds: float | None) -> Row:
    """``values``: for each side and reason the exact sum of each control column; ``ages`` of both sides."""
    key = evidence.manifest_sha256
    with _scans_lock:
        if key in _scans:
            _scans.move_to_end(key)
            return _scans[key]
    try:
        with opened(evidence, SETS[1:], seconds) as tables:
            found = {
                "values": {side: _values(tables, side) for side in SIDES},
                "ages": _ages(tables),
                "problem": None,
            }
    except KallaError as error:
        return {"values": {}, "ages": {}, "problem": {"message": error.message, "code": error.code}}
    with _scans_lock:
        _scans[key] = found
        if len(_scans) > _KEPT:
            _scans.popitem(last=False)
    return found


def _values(tables: Tables, side: str) -> dict[str, dict[str, str]]:
    numbers = _numbers(tables.evidence, side)
    grouped = _grouped(tables, side, exp.column("c1", table=TABLES[side]), numbers)
    return {str(reason): values for reason, (_, values) in grouped.items()}


def _numbers(evidence: Evidence, side: str) -> list[tuple[str, exp.Expr]]:
    """Each control column of a side as the exact number that the run read."""
    places = source_places(evidence, side)
    schema = evidence.schema(f"unmatched_{side}")
    names = [name for name in evidence.manifest["control_totals"][side] if name in places]
    found = []
    for name in names:
        cell = exp.column(f"c{places[name]}", table=TABLES[side])
        kind = kind_of(schema.field(places[name]).type)
        found.append((name, control_number(evidence.recipe, side, kind, cell)))
    return found


def _grouped(
    tables: Tables, side: str, group: exp.Expr, numbers: Sequence[tuple[str, exp.Expr]]
) -> dict[Any, tuple[int, dict[str, str]]]:
    """For each value of ``group`` the unmatched rows of a side and their sums."""
    set_name = f"unmatched_{side}"
    every = {i: f"c{i}" for i in range(len(tables.evidence.schema(set_name)))}
    tree = totals_tree(numbers, tables.scan(set_name, every).subquery(TABLES[side]))
    tree.set("expressions", [exp.alias_(e, f"v{i}") for i, e in enumerate([group.copy(), *tree.expressions])])
    names = [name for name, _ in numbers]
    found = {}
    for row in tables.rows(tree.group_by(group.copy())):
        totals = read_totals(row[1:], names)
        found[row[0]] = (int(row[1]), {name: format(total.sum, "f") for name, total in totals.columns.items()})
    return found


# --- ages -------------------------------------------------------------------------------------------------------------


def _ages(tables: Tables) -> dict[str, Row | None]:
    """How old unmatched records are, by the first date that the rule uses of their side; None without one."""
    try:
        plan = match_plan(tables.evidence)
    except EvidenceError:  # written by a version whose rules this one cannot read: everything else still stands
        return dict.fromkeys(SIDES)
    dates = {side: date_tree(tables.evidence, plan, side) for side in SIDES}
    return {side: None if found is None else _side_ages(tables, side, *found) for side, found in dates.items()}


def _side_ages(tables: Tables, side: str, column: str, tree: exp.Expr) -> Row:
    evidence = tables.evidence
    as_of = datetime.fromisoformat(evidence.manifest["times"]["completed_at"]).date()
    # The microseconds first: a moment with a zone has no date of its own in the engine.
    micros = exp.Anonymous(this="epoch_us", expressions=[placed(evidence, tree)])
    moment = exp.Anonymous(this="make_timestamp", expressions=[micros])
    day = exp.cast(moment, "date")
    until = exp.cast(exp.Literal.string(as_of.isoformat()), "date")
    age = exp.Anonymous(this="date_diff", expressions=[exp.Literal.string("day"), day, until])
    found = _grouped(tables, side, _bucket(age), _numbers(evidence, side))
    buckets = [_bucket_row(number, *found[number]) for number in sorted(found, key=_bucket_order)]
    return {"column": column, "as_of": as_of.isoformat(), "buckets": buckets}


def _bucket(age: exp.Expr) -> exp.Case:
    """The index in ``AGES``; -1 for a date after the run, NULL without a date."""
    cases = [exp.If(this=exp.LT(this=age.copy(), expression=exp.Literal.number(0)), true=exp.Literal.number(-1))]
    for number, (_, last) in enumerate(AGES):
        test = exp.LTE(this=age.copy(), expression=exp.Literal.number(last or 10**7))
        cases.append(exp.If(this=test, true=exp.Literal.number(number)))
    return exp.Case(ifs=cases)


def _bucket_order(number: int | None) -> int:
    return len(AGES) if number is None else number


def _bucket_row(number: int | None, rows: int, values: dict[str, str]) -> Row:
    if number is None:
        return {"from": None, "to": None, "label": "no date", "rows": rows, "values": values}
    if number < 0:
        return {"from": None, "to": -1, "label": "dated after the run", "rows": rows, "values": values}
    first, last = AGES[number]
    label = f"over {first - 1} days" if last is None else f"{first} to {last} days"
    return {"from": first, "to": last, "label": label, "rows": rows, "values": values}
