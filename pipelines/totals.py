"""Control totals: for each numeric column used, what was read equals what was matched plus what was not, to the last
digit, NULLs counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

import duckdb
from sqlglot import exp

_DIGITS = 80  # sums of 38-digit numbers stay exact


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
    """``SELECT count(*), whole, rest, count(x), ...`` over ``rows``; trees already in the engine's terms.

    ``whole`` and ``rest`` are the sums of the integer parts and of what is behind the point: together they have room
    for sums that no single decimal of 38 digits holds.
    """
    selected: list[exp.Expr] = [exp.Count(this=exp.Star())]
    for _, tree in numbers:
        whole = exp.Anonymous(this="trunc", expressions=[tree.copy()])
        rest = exp.Sub(this=exp.paren(tree.copy()), expression=whole.copy())
        wholes = exp.Sum(this=exp.cast(whole, "hugeint", dialect="duckdb"))
        selected += [exp.cast(wholes, "text"), exp.Sum(this=rest), exp.Count(this=tree.copy())]
    return exp.select(*selected).from_(rows)


def total(rows: int, whole: str | None, rest: Decimal | int | None, filled: int) -> Total:
    """A Total from what ``totals_tree`` selects."""
    with localcontext() as context:
        context.prec = _DIGITS
        return Total(Decimal(whole or 0) + Decimal(rest or 0), rows, rows - filled)


def read_totals(connection: duckdb.DuckDBPyConnection, sql: str, names: Iterable[str]) -> Totals:
    """Run a statement made by ``totals_tree``."""
    row = connection.execute(sql).fetchone()
    assert row is not None, "an aggregate without GROUP BY gives one row"
    rows, rest = row[0], row[1:]
    found = Totals()
    for i, name in enumerate(names):
        found.columns[name] = total(rows, *rest[3 * i : 3 * i + 3])
    return found
