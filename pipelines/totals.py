"""Control totals: for each numeric column used, what was read equals what was matched plus what was not, to the last
digit, NULLs counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

from sqlglot import exp

_DIGITS = 80  # sums of 38-digit numbers stay exact
_SELECTED = 4  # values a number
_Sum = Decimal | int | None


@dataclass
class Total:
    """Sum and counts over some rows of one column. ``empty`` counts NULLs and texts that are no number."""

    sum: Decimal = Decimal(0)
    rows: int = 0
    empty: int = 0

    def add(self, other: Total) -> None:
        with localcontext() as context:
            context.prec = _DIGITS
            self.sum += other.sum
        self.rows += other.rows
        self.empty += other.empty

    def as_dict(self) -> dict[str, str | int]:
        return {"sum": format(self.sum, "f"), "rows": self.rows, "empty": self.empty}


@dataclass
class Totals:
    """Totals of several columns by name."""

    columns: dict[str, Total] = field(default_factory=dict)

    def add(self, other: Totals) -> None:
        for name, total in other.columns.items():
            self.columns.setdefault(name, Total()).add(total)


def totals_tree(numbers: Sequence[tuple[str, exp.Expr]], rows: exp.Expr) -> exp.Select:
    """``SELECT count(*), usual, whole, rest, count(x), ...`` over ``rows``; trees already in the engine's terms.

    ``usual`` is the sum of numbers up to a hundred million. ``whole`` and ``rest`` are those of the larger ones'
    integer parts and of what is behind their points: together they have room for sums that no single decimal of 38
    digits holds, but take ten times as long.
    """
    selected: list[exp.Expr] = [exp.Count(this=exp.Star())]
    for _, tree in numbers:
        whole = exp.Anonymous(this="trunc", expressions=[tree.copy()])
        rest = exp.Sub(this=exp.paren(tree.copy()), expression=whole.copy())
        # As a double, which every number is compared with: it need not be exact, for both ways are.
        usual = exp.LTE(
            this=exp.Abs(this=exp.cast(tree.copy(), "double", dialect="duckdb")), expression=exp.Literal.number("1e8")
        )
        selected += [
            exp.Sum(this=exp.Case(ifs=[exp.If(this=usual, true=tree.copy())])),
            exp.cast(_sum_unless(usual, exp.cast(whole, "hugeint", dialect="duckdb")), "text"),
            _sum_unless(usual, rest),
            exp.Count(this=tree.copy()),
        ]
    return exp.select(*selected).from_(rows)


def _sum_unless(test: exp.Expr, value: exp.Expr) -> exp.Sum:
    return exp.Sum(this=exp.Case(ifs=[exp.If(this=exp.not_(test), true=value)]))


def total(rows: int, usual: _Sum, whole: str | None, rest: _Sum, filled: int) -> Total:
    """A Total from what ``totals_tree`` selects."""
    with localcontext() as context:
        context.prec = _DIGITS
        return Total(Decimal(usual or 0) + Decimal(whole or 0) + Decimal(rest or 0), rows, rows - filled)


def read_totals(row: Sequence[Any], names: Iterable[str]) -> Totals:
    """Totals of all names from a row that begins with what ``totals_tree`` selects."""
    found = Totals()
    for i, name in enumerate(names):
        found.columns[name] = total(row[0], *row[1 + _SELECTED * i : 1 + _SELECTED * (i + 1)])
    return found
