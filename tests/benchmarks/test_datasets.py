"""The generated data against plain Python: shares, sums, truth, and the same rows whatever the way out."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import datasets
from benchmarks.mixing import permuted
from benchmarks.patterns import PATTERNS, Spec
from tests.servers import postgres_server

Rows = list[dict[str, Any]]
Key = Callable[[dict[str, Any]], Any]


def make(folder: Path, spec: Spec) -> tuple[Rows, Rows, dict[str, Any]]:
    truth = datasets.write(spec, datasets.parquet_sink(folder))
    left, right = (pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("invoices", "payments"))
    return left, right, truth


def month_group(who: str, when: str) -> Key:
    return lambda row: (row[who], row["currency"], str(row[when])[:7])


def close(left: dict[str, Any], right: dict[str, Any]) -> bool:
    amounts = left["amount"], right["paid_amount"]
    return None not in amounts and abs(amounts[0] - amounts[1]) <= Decimal("0.02")


def anything(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return True


def by(column: str) -> Key:
    return lambda row: row[column]


RECIPES: dict[str, tuple[Key, Key, Callable[..., bool]]] = {
    "A": (by("invoice_id"), by("reference_number"), close),
    "B": (by("invoice_id"), by("reference_number"), anything),
    "C": (by("batch_ref"), by("reference_number"), anything),
    "D": (month_group("customer_id", "invoice_date"), month_group("payer_id", "payment_date"), anything),
}


def joined(left: Rows, right: Rows, recipe: str) -> dict[str, int]:
    left_key, right_key, condition = RECIPES[recipe]
    found: dict[Any, list[int]] = defaultdict(list)
    for place, row in enumerate(right):
        found[right_key(row)].append(place)
    pairs = [(i, j) for i, row in enumerate(left) for j in found[left_key(row)] if condition(row, right[j])]
    return {
        "matched": len(pairs),
        "unmatched_left": len(left) - len({i for i, _ in pairs}),
        "unmatched_right": len(right) - len({j for _, j in pairs}),
    }


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_the_truth_is_what_a_plain_join_finds(tmp_path: Path, pattern: str, shuffle: bool) -> None:
    left, right, truth = make(tmp_path, Spec(1_234, pattern, shuffle=shuffle))
    assert (truth["left_rows"], truth["right_rows"]) == (len(left), len(right))
    assert truth["recipes"] == {name: joined(left, right, name) for name in truth["recipes"]}
    assert truth["recipes"]
    assert len({row["payment_id"] for row in right}) == len(right)
    distinct = len({row["invoice_id"] for row in left})
    assert distinct < len(left) if pattern == "duplicates" else distinct == len(left)


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("rows", [0, 1, 59, 61])
def test_tiny_sizes_work(tmp_path: Path, pattern: str, rows: int) -> None:
    left, right, truth = make(tmp_path, Spec(rows, pattern))
    assert len(left) == rows
    assert truth["recipes"] == {name: joined(left, right, name) for name in truth["recipes"]}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_batches_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, shuffle: bool) -> None:
    spec = Spec(700, pattern, shuffle=shuffle)
    whole = make(tmp_path, spec)
    monkeypatch.setattr(datasets, "BATCH_ROWS", 120)
    left, right, truth = make(tmp_path, spec)
    assert left == whole[0]
    assert truth == whole[2]

    # payments without invoice stand behind those of their batch, so only the order and the running number differ
    def content(rows: Rows) -> Counter[Any]:
        return Counter((r["reference_number"], r["paid_amount"], r["payer_id"], r["payment_date"]) for r in rows)

    assert content(right) == content(whole[1])


def test_another_seed_gives_other_rows_and_the_same_seed_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        (tmp_path / name).mkdir()
        make(tmp_path / name, Spec(300, seed=seed))
        files.append((tmp_path / name / "payments.parquet").read_bytes())
    assert files[0] == files[1] != files[2]


def test_shares_of_one_to_one(tmp_path: Path) -> None:
    left, right, _ = make(tmp_path, Spec(20_000))
    amounts = {row["invoice_id"]: row["amount"] for row in left}
    kinds: Counter[str] = Counter()
    for row in right:
        reference, paid = row["reference_number"], row["paid_amount"]
        if reference in amounts:
            kinds["exact" if paid == amounts[reference] else "off"] += 1
            assert abs(paid - amounts[reference]) <= amounts[reference] * Decimal("0.02")
        else:
            kinds[reference.partition("-")[0]] += 1
    assert kinds["exact"] == pytest.approx(12_000, rel=0.03)
    assert kinds["off"] == pytest.approx(3_000, rel=0.06)
    assert kinds["INV"] == pytest.approx(2_000, rel=0.1)  # two halves of 5 %
    assert kinds["UNK"] == 2_000
    assert len(right) == pytest.approx(19_000, rel=0.02)


def test_halves_and_parts_add_up(tmp_path: Path) -> None:
    for pattern in ("one_to_one", "split"):
        left, right, _ = make(tmp_path, Spec(2_000, pattern))
        sums: dict[str, list[Decimal]] = defaultdict(list)
        for row in right:
            if pattern == "split" or "-PART" in row["reference_number"]:
                sums[row["reference_number"].partition("-PART")[0]].append(row["paid_amount"])
        paid = [(row["amount"], sums[row["invoice_id"]]) for row in left if row["invoice_id"] in sums]
        assert paid
        assert all(amount == sum(parts) and min(parts) > 0 for amount, parts in paid)
        counts = {len(parts) for _, parts in paid}
        assert counts == ({2, 3, 4, 5} if pattern == "split" else {2})


def test_batches_hold_ten_to_fifty_invoices_and_are_paid_whole(tmp_path: Path) -> None:
    left, right, _ = make(tmp_path, Spec(6_000, "batch"))
    sums: dict[str, list[Decimal]] = defaultdict(list)
    for row in left:
        sums[row["batch_ref"]].append(row["amount"])
    assert {len(amounts) for amounts in sums.values()} <= set(range(10, 51))
    paid = {r["reference_number"]: r["paid_amount"] for r in right if r["reference_number"].startswith("BATCH")}
    assert paid == {reference: sum(amounts) for reference, amounts in sums.items()}
    assert len(right) - len(paid) == len(paid) // 10


@pytest.mark.parametrize(("rate", "share"), [(1.0, 1.0), (0.95, 0.95)])
def test_a_match_rate_can_be_asked_for(tmp_path: Path, rate: float, share: float) -> None:
    _, _, truth = make(tmp_path, Spec(10_000, match_rate=rate))
    assert truth["recipes"]["A"]["matched"] == pytest.approx(share * 10_000, rel=0.006)


def test_nulls_stand_on_both_sides(tmp_path: Path) -> None:
    left, right, _ = make(tmp_path, Spec(2_000, "nulls"))
    for rows, column in ((left, "amount"), (right, "paid_amount"), (right, "reference_number")):
        assert 0.02 < sum(row[column] is None for row in rows) / len(rows) < 0.08


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 1_000])
def test_a_shuffled_order_has_every_row_once(size: int) -> None:
    order = permuted(7, np.arange(size, dtype=np.int64), size)
    assert sorted(order.tolist()) == list(range(size))
    if size >= 16:
        assert order.tolist() != list(range(size))


def test_csv_holds_the_same_rows_as_parquet(tmp_path: Path) -> None:
    spec = Spec(500, "nulls", shuffle=True)
    left, right, truth = make(tmp_path, spec)
    assert datasets.write(spec, datasets.csv_sink(tmp_path)) == truth
    for name, rows in (("invoices", left), ("payments", right)):
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        assert found == [{c: "" if v is None else str(v) for c, v in row.items()} for row in rows]


def test_postgres_holds_the_same_rows_and_is_not_overwritten(tmp_path: Path) -> None:
    spec = Spec(500, "nulls")
    left, right, truth = make(tmp_path, spec)
    with postgres_server() as server:
        uri = server.uri(server.create_database())
        assert datasets.write(spec, datasets.postgres_sink(uri, spec)) == truth
        with pytest.raises(Exception, match="already exists"):
            datasets.write(spec, datasets.postgres_sink(uri, spec))
        twice = Spec(500, "duplicates")
        datasets.write(twice, datasets.postgres_sink(uri, twice, replace=True))
        datasets.write(spec, datasets.postgres_sink(uri, spec, replace=True))
        connection = server.connect(uri.rpartition("/")[2])
        with connection.cursor() as cursor:
            for table, key, rows in (("invoices", "invoice_id", left), ("payments", "payment_id", right)):
                cursor.execute(f"SELECT * FROM {table} ORDER BY {key}")
                assert [list(row.values()) for row in rows] == [list(row) for row in cursor]
        connection.close()


def test_amounts_are_exact_decimals_of_two_places(tmp_path: Path) -> None:
    left, _, _ = make(tmp_path, Spec(1_000))
    assert pq.read_schema(tmp_path / "invoices.parquet").field("amount").type == pa.decimal128(18, 2)
    assert all(Decimal(100) <= row["amount"] <= Decimal("50100.00") for row in left)
    assert len({row["amount"] for row in left}) > 950


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "folder"
    given = ["--rows", "50", "--pattern", "split", "--format", "csv", "--out", str(out), "--seed", "3", "--shuffle"]
    assert datasets.main(given) == 0
    truth = json.loads((out / "truth.json").read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out) == truth
    assert truth["left_rows"] == 50
    assert sorted(path.name for path in out.iterdir()) == ["invoices.csv", "payments.csv", "truth.json"]


@pytest.mark.parametrize(
    "given",
    [
        ["--rows", "5"],
        ["--rows", "-1", "--out", "x"],
        ["--rows", "5", "--out", "x", "--match-rate", "2"],
        ["--rows", "5", "--out", "x", "--format", "postgres"],
    ],
)
def test_the_command_line_refuses(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        datasets.main(given)
    assert "error" in capsys.readouterr().err
