"""The bundled sample: its rows, its truth, the same rows in CSV and SQL, and a recipe that loads."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from recipe import SideInput, compile_match_sql, load_recipe, parse_file_uri, resolve_paths
from tests.servers import postgres_server
from udfs import signatures

SAMPLE = Path(__file__).parents[1] / "docs" / "sample"
SEED = (SAMPLE / "seed.sql").read_text(encoding="utf-8")
KEYS = {"invoices": "invoice_id", "payments": "payment_id"}
COLUMNS = {
    "invoices": [
        "invoice_id", "customer_id", "customer_name", "invoice_date", "due_date", "amount", "currency",
        "status", "description", "batch_ref",
    ],
    "payments": [
        "payment_id", "payer_id", "payer_name", "payment_date", "paid_amount", "currency", "payment_method",
        "reference_number", "bank_reference", "notes",
    ],
}  # fmt: skip
Row = dict[str, str | None]


def read_csv(name: str) -> list[Row]:
    with (SAMPLE / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [{column: cell or None for column, cell in row.items()} for row in csv.DictReader(file)]


def read_seed(name: str) -> list[Row]:
    for statement in sqlglot.parse(SEED, dialect="postgres"):
        if isinstance(statement, exp.Insert) and statement.this.this.name == name:
            columns = [column.name for column in statement.this.expressions]
            tuples = statement.expression.expressions
            return [dict(zip(columns, map(cell, row.expressions), strict=True)) for row in tuples]
    raise AssertionError(name)


def cell(tree: exp.Expression) -> str | None:
    if isinstance(tree, exp.Null):
        return None
    return f"-{tree.this.this}" if isinstance(tree, exp.Neg) else str(tree.this)


@pytest.mark.parametrize("name", KEYS)
def test_fifteen_rows_with_distinct_keys(name: str) -> None:
    rows = read_csv(name)
    assert list(rows[0]) == COLUMNS[name]
    assert len(rows) == 15
    assert len({row[KEYS[name]] for row in rows}) == 15
    for row in rows:
        amount = Decimal(row["amount" if name == "invoices" else "paid_amount"] or "")
        assert amount.as_tuple().exponent == -2
        assert all(date.fromisoformat(row[c] or "") for c in row if c.endswith("_date"))


@pytest.mark.parametrize("name", KEYS)
def test_csv_and_seed_hold_the_same_rows(name: str) -> None:
    assert read_csv(name) == read_seed(name)


def test_the_files_show_what_csv_can_hold() -> None:
    text = (SAMPLE / "invoices.csv").read_text("utf-8") + (SAMPLE / "payments.csv").read_text("utf-8")
    assert '"Lakeside Dental, PLLC"' in text
    assert "Bäckerei Grünwald" in text
    assert 'transfer.\nSender asked by e-mail on 2 March."' in text
    assert '""Winter light""' in text


Condition = Callable[[Decimal, Decimal], bool]
TRUTH: dict[str, tuple[Condition, tuple[int, int, int]]] = {
    "key only": (lambda a, b: True, (8, 7, 7)),
    "tolerance 0.02": (lambda a, b: abs(a - b) <= Decimal("0.02"), (7, 8, 8)),
    "tolerance 0.01": (lambda a, b: abs(a - b) <= Decimal("0.01"), (7, 8, 8)),
    "equal amounts": (lambda a, b: a == b, (6, 9, 9)),
    "below 2 per cent": (lambda a, b: abs(a - b) / a < Decimal("0.02"), (8, 7, 7)),
}


@pytest.mark.parametrize("name", TRUTH)
def test_the_truth_of_the_sample(name: str) -> None:
    condition, expected = TRUTH[name]
    invoices, payments = read_csv("invoices"), read_csv("payments")
    pairs = [
        (i["invoice_id"], p["payment_id"])
        for i in invoices
        for p in payments
        if i["invoice_id"] == p["reference_number"]
        and condition(Decimal(i["amount"] or ""), Decimal(p["paid_amount"] or ""))
    ]
    left, right = ({pair[side] for pair in pairs} for side in (0, 1))
    assert (len(pairs), len(invoices) - len(left), len(payments) - len(right)) == expected


def test_the_two_pairs_that_decide() -> None:
    amounts = {i["invoice_id"]: i["amount"] for i in read_csv("invoices")}
    pairs = {(amounts[p["reference_number"]], p["paid_amount"])
             for p in read_csv("payments") if p["reference_number"] in amounts}  # fmt: skip
    assert {("4999.99", "5000.00"), ("8500.00", "8485.00")} <= pairs


def test_matching_pairs_agree_in_currency() -> None:
    currency = {i["invoice_id"]: i["currency"] for i in read_csv("invoices")}
    for payment in read_csv("payments"):
        assert payment["currency"] == currency.get(payment["reference_number"], payment["currency"])


def test_the_recipe_loads_and_compiles() -> None:
    loaded, warnings = load_recipe(SAMPLE / "invoice-payment-match.json")
    assert list(warnings) == []
    recipe = resolve_paths(loaded, SAMPLE)
    for side, name in (("left", "invoices"), ("right", "payments")):
        source = getattr(recipe.sources, side)
        assert Path(parse_file_uri(source.uri).path) == SAMPLE / f"{name}.csv"
        assert source.primary_key == (KEYS[name],)
    sides = [SideInput(None, source.primary_key) for source in (recipe.sources.left, recipe.sources.right)]
    plan = compile_match_sql(recipe.match_sql, *sides, signatures())
    assert len(plan.keys) == len(plan.conditions) == 1
    assert "0.02" in recipe.match_description


def test_the_seed_runs_twice_in_postgres() -> None:
    with postgres_server() as server:
        database = server.create_database()
        server.execute(database, SEED)
        server.execute(database, "UPDATE invoices SET status = 'open' WHERE invoice_id = 'INV-2026-0001'")
        server.execute(database, SEED)
        connection = server.connect(database)
        with connection.cursor() as cursor:
            found = {}
            for name, key in KEYS.items():
                cursor.execute(f"SELECT * FROM {name} ORDER BY {key}")
                names = [column.name for column in cursor.description]
                found[name] = [dict(zip(names, map(as_text, row), strict=True)) for row in cursor]
            cursor.execute("SELECT COUNT(*) FROM invoice_aging")
            open_invoices = cursor.fetchone()
            cursor.execute("SELECT SUM(payments), SUM(paid_amount) FROM payment_summary WHERE currency = 'USD'")
            summary = cursor.fetchone()
        connection.close()
    expected = {name: read_csv(name) for name in KEYS}
    expected["invoices"][0]["status"] = "open"  # an edited row stays as it is
    assert found == expected
    assert open_invoices == (sum(i["status"] not in ("paid", "cancelled") for i in expected["invoices"]),)
    paid = [Decimal(p["paid_amount"] or "") for p in expected["payments"] if p["currency"] == "USD"]
    assert summary == (len(paid), sum(paid))


def as_text(value: object) -> str | None:
    return value.isoformat() if isinstance(value, date) else None if value is None else str(value)
