"""The truth table of the sample data, from every kind of source and by every strategy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

from pipelines.evidence import verify
from tests.helpers import beam, document, drive, source
from tests.servers import PostgresServer

SAMPLE = Path(__file__).parents[2] / "docs" / "sample"
TRUTH = {
    "": (8, 7, 7),
    "AND tolerance_match(l.amount, r.paid_amount, 0.02)": (7, 8, 8),
    "AND tolerance_match(l.amount, r.paid_amount, 0.01)": (7, 8, 8),
    "AND CAST(l.amount AS numeric(12, 2)) = CAST(r.paid_amount AS numeric(12, 2))": (6, 9, 9),
    "AND ABS(CAST(l.amount AS numeric(12, 2)) - CAST(r.paid_amount AS numeric(12, 2))) / NULLIF(CAST(l.amount AS numeric(12, 2)), 0) < 0.02": (
        8, 7, 7,
    ),
}  # fmt: skip
KEYS = {"invoices": "invoice_id", "payments": "payment_id"}


@pytest.fixture(scope="module")
def sample_database(run_database: PostgresServer) -> Iterator[str]:
    name = run_database.create_database()
    run_database.execute(name, (SAMPLE / "seed.sql").read_text(encoding="utf-8"))
    yield name
    run_database.drop_database(name)


@pytest.fixture(params=["csv", "parquet", "postgres"])
def sides(request: pytest.FixtureRequest, tmp_path: Path) -> list[dict[str, Any]]:
    kind = request.param
    if kind == "csv":
        return [source(SAMPLE / f"{name}.csv", [key]) for name, key in KEYS.items()]
    if kind == "postgres":
        server, name = request.getfixturevalue("run_database"), request.getfixturevalue("sample_database")
        return [source(server.uri(name, table), [key], "postgres") for table, key in KEYS.items()]
    found = []
    for name, key in KEYS.items():
        table = pcsv.read_csv(SAMPLE / f"{name}.csv")
        amount = next(c for c in table.column_names if c.endswith("amount"))
        exact = table[amount].cast(pa.string()).cast(pa.decimal128(12, 2))
        path = tmp_path / f"{name}.parquet"
        pq.write_table(table.set_column(table.column_names.index(amount), amount, exact), path)
        found.append(source(path, [key]))
    return found


@pytest.mark.parametrize("strategy", ["local", "broadcast", "shuffle"])
def test_truth_table(strategy: str, sides: list[dict[str, Any]], tmp_path: Path) -> None:
    for number, (condition, counts) in enumerate(TRUTH.items()):
        sql = f"SELECT l.invoice_id, r.payment_id FROM left_src l JOIN right_src r ON l.invoice_id = r.reference_number {condition}"
        out = tmp_path / str(number)
        found = drive(document(sql, *sides), out, strategy=strategy, partitions=3)
        assert (found["matched_count"], found["unmatched_left_count"], found["unmatched_right_count"]) == counts, (
            condition
        )
        assert found["matched_left_count"] == 15 - counts[1]
        for totals in found["control_totals"].values():
            assert all(three["source"]["rows"] == 15 for three in totals.values())


def test_the_bundled_recipe_through_beam(tmp_path: Path) -> None:
    recipe = json.loads((SAMPLE / "invoice-payment-match.json").read_text(encoding="utf-8"))
    for side in recipe["sources"].values():
        side["uri"] = str(SAMPLE / side["uri"])
    found = beam(recipe, tmp_path / "out")
    assert (found["matched_count"], found["unmatched_left_count"], found["unmatched_right_count"]) == (7, 8, 8)
    assert found["match_rate"] == 7 / 15
    assert verify(tmp_path / "out").ok
