"""Small tables for the tests of inference, and a person who knows the true pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.conversation_data import DataSet, Quality, Side, quality
from recipe import CsvFormat, Kind
from webapp.inference import Draft, Table, Verdicts, analyse, choose_samples, draft, next_pair, settled_format
from webapp.inference.engine import bench


def table(columns: Mapping[str, Sequence[str | None]], form: CsvFormat | None = None) -> Table:
    """A CSV's table; its format is found as for a file."""
    cells = list(columns.values())
    rows = [list(row) for row in zip(*cells, strict=True)]
    found = form or settled_format(cells, CsvFormat())
    return Table(tuple(columns), (Kind.TEXT,) * len(columns), rows, found, len(rows))


def side_table(side: Side) -> Table:
    return table({name: [row[at] for row in side.rows] for at, name in enumerate(side.names)})


def ledgers(rows: int = 40) -> tuple[Table, Table]:
    """Invoices, and payments that name them; every fifth payment is two cents short, one is far off."""
    numbers = range(rows)
    left = table(
        {
            "invoice": [f"INV-{1000 + n}" for n in numbers],
            "customer": [f"Customer {n % 7} Ltd" for n in numbers],
            "day": [f"2026-01-{1 + n % 28:02}" for n in numbers],
            "amount": [f"{100 + n * 3}.50" for n in numbers],
            "currency": ["EUR"] * rows,
        }
    )
    right = table(
        {
            "id": [f"P{n}" for n in numbers],
            "text": [f"payment inv {1000 + n} thanks" for n in numbers],
            "paid": [f"{100 + n * 3}.{48 if n % 5 == 0 else 50}" if n != 7 else "99999.00" for n in numbers],
            "booked": [f"2026-02-{1 + n % 28:02}" for n in numbers],
            "currency": ["EUR"] * rows,
        }
    )
    return left, right


def pair(left: Table, right: Table, one: int, other: int) -> dict[str, dict[str, str | None]]:
    return {"left": left.row(one), "right": right.row(other)}


def asked(data: DataSet) -> tuple[Draft, Quality, Verdicts]:
    """Questions answered truthfully until three pairs are confirmed, then the draft and how good its pairs are."""
    left, right = side_table(data.left), side_table(data.right)
    analysis = analyse(left, right)
    lefts, rights = choose_samples(left, right, analysis, 200)
    rows = [left.row(at) for at in lefts], [right.row(at) for at in rights]
    verdicts: dict[bool, list[dict[str, dict[str, str | None]]]] = {True: [], False: []}
    while len(verdicts[True]) < 3 and len(verdicts[True]) + len(verdicts[False]) < 10:
        proposal = next_pair(analysis, *rows, verdicts[True], verdicts[False])
        if proposal is None:
            break
        names = proposal.left_row[data.left.identity], proposal.right_row[data.right.identity]
        verdicts[names in data.truth].append({"left": proposal.left_row, "right": proposal.right_row})
    said = Verdicts(verdicts[True], verdicts[False])
    found = draft(left, right, said, analysis=analysis)
    return found, quality(_named(found, left, right, data), data.truth), said


def _named(found: Draft, left: Table, right: Table, data: DataSet) -> list[tuple[str, str]]:
    with bench(left, right) as opened:
        pairs = opened.pairs(found.match_sql)
    one, other = left.column(data.left.identity), right.column(data.right.identity)
    return [(str(one[i]), str(other[j])) for i, j in pairs]
