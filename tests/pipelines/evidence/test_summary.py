"""A result page's figures: they add up, to the last cent, side by side with the manifest and with plain Python."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.evidence import Evidence, summary, value_rate
from pipelines.evidence.summary import AGES
from recipe import parse_number
from tests.pipelines.evidence.queries import plain_rows
from tests.pipelines.evidence.samples import csv_recipe, edit_manifest, run_recipe

DATED = """
SELECT l.id, r.id FROM left_src l JOIN right_src r
ON l.ref = r.ref AND tolerance_match(l.amount, r.amount, 0.01) AND date_within(l.day, r.day, 3)
"""


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dates and amounts in texts, some of them none."""
    folder = tmp_path_factory.mktemp("dated")
    days = ["2026-01-01", "2026-02-20", "2026-03-01", "", "soon", "2026-03-03", "2027-01-01", "2026-01-31"]
    rows = [f"{i},K{i},{i}.10,{day}" for i, day in enumerate(days, 1)]
    left = "\n".join(["id,ref,amount,day", *rows, "9,,x,2026-03-01", "10,K10,5,2026-03-01"])
    right = "id,ref,amount,day\n1,K10,5.00,2026-03-02\n2,K1,7.10,2026-01-01\n"
    run_recipe(csv_recipe(folder, left + "\n", right, DATED), folder / "evidence")
    edit_manifest(folder / "evidence", lambda m: m["times"].update(completed_at="2026-03-03T10:00:00.000Z"))
    return folder / "evidence"


def test_the_sample(sample: Path):
    found = summary(Evidence(sample))
    assert found["equation"]["left"] == {"source": 15, "matched": 7, "unmatched": 8, "difference": 0, "rate": 7 / 15}
    assert found["match_rate"] == 7 / 15
    total = found["control_totals"]["left"]["amount"]
    parts = [Decimal(total[part]["sum"]) for part in ("source", "matched", "unmatched")]
    assert parts[0] == parts[1] + parts[2]
    assert Decimal(total["difference"]) == 0
    assert total["value_rate"] == float(parts[1] / parts[0])
    assert [(r["reason"], r["rows"]) for r in found["reasons"]["left"]] == [("no_key", 7), ("predicate", 1)]
    assert Decimal(found["reasons"]["left"][1]["values"]["amount"]) == Decimal("8500")
    assert found["sources"]["left"]["rows"] == 15
    assert len(found["sources"]["left"]["snapshot"]["sha256"]) == 64
    assert found["parts"]["matched"]["rows"] == 7
    assert found["recipe"]["match_description"].startswith("An invoice and a payment belong together")
    assert (found["values_known"], found["values_problem"]) == (True, None)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", ["sample", "grouped", "dated"])
def test_reasons_add_up_to_the_unmatched_total(request: pytest.FixtureRequest, name: str):
    found = summary(Evidence(request.getfixturevalue(name)))
    for side in ("left", "right"):
        reasons = found["reasons"][side]
        assert sum(r["rows"] for r in reasons) == found["equation"][side]["unmatched"]
        for column, total in found["control_totals"][side].items():
            assert sum(Decimal(r["values"][column]) for r in reasons) == Decimal(total["unmatched"]["sum"])


def test_sums_that_differ_in_sign_have_no_rate(mine: Path):
    def change(found: dict[str, Any]) -> None:
        total = found["control_totals"]["left"]["amount"]
        total["source"]["sum"], total["matched"]["sum"], total["unmatched"]["sum"] = "5", "10", "-5.5"

    edit_manifest(mine, change)
    total = summary(Evidence(mine))["control_totals"]["left"]["amount"]
    assert (total["value_rate"], total["difference"]) == (None, "0.5")


@pytest.mark.parametrize(
    ("read", "matched", "unmatched", "rate"),
    [
        ("10", "4", "6", "0.4"),
        ("-10", "-5", "-5", "0.5"),
        ("-15.00", "0", "-15.00", "0.0"),
        ("10", "-5", "15", "None"),
        ("0", "0", "0", "None"),
    ],
)
def test_the_matched_share_of_a_total(read: str, matched: str, unmatched: str, rate: str):
    total = {"source": {"sum": read}, "matched": {"sum": matched}, "unmatched": {"sum": unmatched}}
    assert str(value_rate(total)) == rate


def test_ages(dated: Path):
    ages = summary(Evidence(dated))["ages"]["left"]
    expected: dict[str, list[Decimal]] = defaultdict(list)
    names = [
        c["name"]
        for c in json.loads((dated / "manifest.json").read_text(encoding="utf-8"))["sources"]["left"]["columns"]
    ]
    for row in plain_rows(dated, "unmatched_left"):
        cells = dict(zip(names, row[5:], strict=True))
        expected[label(cells["day"])].append(parse_number(cells["amount"]) or Decimal(0))
    assert (ages["column"], ages["as_of"]) == ("day", "2026-03-03")
    found = {b["label"]: (b["rows"], Decimal(b["values"]["amount"])) for b in ages["buckets"]}
    assert found == {name: (len(sums), sum(sums)) for name, sums in expected.items()}
    assert [b["label"] for b in ages["buckets"]] == [
        "dated after the run",
        "0 to 10 days",
        "11 to 30 days",
        "31 to 60 days",
        "61 to 90 days",
        "no date",
    ]


def label(text: str | None) -> str:
    try:
        age = (date(2026, 3, 3) - date.fromisoformat(text or "")).days
    except ValueError:
        return "no date"
    if age < 0:
        return "dated after the run"
    return next(f"{a} to {b} days" if b else f"over {a - 1} days" for a, b in AGES if b is None or age <= b)


def test_a_rule_without_dates_has_no_ages(sample: Path):
    assert summary(Evidence(sample))["ages"] == {"left": None, "right": None}


def test_what_needs_no_rows_is_there_without_them(mine: Path):
    edit_manifest(mine, lambda m: m["times"].update(seconds=99))  # other evidence than any other test's
    (mine / "unmatched_left" / "part-00000.parquet").unlink()
    found = summary(Evidence(mine))
    assert found["values_known"] is False
    assert found["values_problem"]["code"] == "evidence.part_missing"
    assert found["equation"]["left"]["unmatched"] == 8
    assert [r["values"] for r in found["reasons"]["left"]] == [None, None]


def test_evidence_of_nothing(tmp_path: Path):
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND tolerance_match(l.a, r.a, 0)"
    run_recipe(csv_recipe(tmp_path, "id,a\n", "id,a\n", sql), tmp_path / "out")
    found = summary(Evidence(tmp_path / "out"))
    assert (found["match_rate"], found["equation"]["right"]["rate"]) == (None, None)
    assert found["control_totals"]["left"]["a"]["value_rate"] is None
    assert found["reasons"] == {"left": [], "right": []}
