"""An unmatched record beside its nearest candidate says what differs, by how much, and what is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evidence import Evidence, EvidenceError, candidate
from pipelines.evidence.differences import difference, differing
from tests.pipelines.evidence.queries import plain_rows
from tests.pipelines.evidence.samples import csv_recipe, edit_manifest, run_recipe


def card(folder: Path, row: int, side: str = "left") -> dict[str, Any]:
    found = candidate(Evidence(folder), side, row)
    json.dumps(found, allow_nan=False)
    return found


def evidence(folder: Path, left: str, right: str, sql: str, **members: Any) -> Path:
    run_recipe(csv_recipe(folder, left, right, sql, **members), folder / "out")
    return folder / "out"


def field(found: dict[str, Any], column: str, side: str = "left") -> dict[str, Any]:
    return next(f for f in found["fields"] if f[side] is not None and f[side]["column"] == column)


def test_the_pair_that_fifteen_keep_apart(sample: Path):
    found = card(sample, 3)
    assert (found["reason"], found["nearest"], found["gap"]) == ("predicate", "PAY-000103", "15.00")
    assert found["candidate"] == {
        "side": "right", "alias": "payments_csv", "set": "unmatched_right", "row": 3, "complete": True, "unknown": [], "note": "",
    }  # fmt: skip
    key, condition = found["comparisons"]
    assert (key["role"], key["holds"], key["equal"], key["gap"]) == ("key", True, True, None)
    assert (condition["holds"], condition["equal"], condition["gap"], condition["difference"]) == (
        False,
        False,
        "15.00",
        "15.00",
    )
    amount = field(found, "amount")
    assert (amount["role"], amount["left"]["value"], amount["right"]["value"]) == ("compared", "8500.00", "8485.00")
    assert [amount["left"]["marks"], amount["right"]["marks"]] == [[[1, 4]], [[1, 4]]]
    assert field(found, "invoice_id")["right"]["column"] == "reference_number"
    assert field(found, "currency")["role"] == "same_name"
    assert field(found, "bank_reference", "right")["left"] is None
    assert found["sentence"].endswith("It fails tolerance_match(l.amount, r.paid_amount, 0.02) by 15.00.")
    other = card(sample, 3, "right")
    assert (other["nearest"], other["candidate"]["set"]) == ("INV-2026-0003", "unmatched_left")
    assert other["comparisons"] == found["comparisons"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_every_unmatched_record_has_a_card(sample: Path, grouped: Path, side: str):
    for folder in (sample, grouped):
        for row in plain_rows(folder, f"unmatched_{side}"):
            found = card(folder, row[0], side)
            assert (found["candidate"] is None) == (row[3] is None)
            source = {f[side]["column"]: f[side]["value"] for f in found["fields"] if f[side] is not None}
            assert list(source.values()).count(None) == row[5:].count(None)
            if row[3] is None:
                assert all(
                    f["equal"] is None and c["holds"] is None for f in found["fields"] for c in found["comparisons"]
                )


def test_a_matched_candidate_is_known_in_part(tmp_path: Path):
    left = "id,ref,amount,note\n1,A,10,x\n2,A,20,y\n"
    right = "id,ref,amount,note,more\n7,A,10,z,w\n"
    sql = "SELECT l.note, r.note, r.amount FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.amount, 1)"
    found = card(evidence(tmp_path, left, right, sql), 2)
    assert (found["candidate"]["set"], found["candidate"]["row"], found["candidate"]["complete"]) == (
        "matched",
        1,
        False,
    )
    assert found["candidate"]["unknown"] == ["ref", "more"]
    assert found["candidate"]["note"]
    key, condition = found["comparisons"]
    assert (key["holds"], key["equal"]) == (None, None)  # its reference was not selected
    assert (condition["holds"], condition["gap"]) == (False, "10.00")
    assert field(found, "ref")["right"] == {
        "column": "ref",
        "side": "right",
        "value": None,
        "known": False,
        "marks": [],
    }
    assert field(found, "note")["right"]["value"] == "z"


def test_composite_keys_with_empty_parts_and_repeated_ones(tmp_path: Path):
    key = {"primary_key": ["a", "b"]}
    left = "a,b,ref,n\n1,,K,10\n"
    right = 'a,b,ref,n\n"q""[",,K,90\n"q""[",,K,13\n"q""[",,other,10\n'
    sql = "SELECT l.ref FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.n, r.n, 1)"
    path = csv_recipe(tmp_path, left, right, sql)
    document = json.loads(path.read_text(encoding="utf-8"))
    for source in document["sources"].values():
        source.update(key)
    path.write_text(json.dumps(document), encoding="utf-8")
    run_recipe(path, tmp_path / "out")
    found = card(tmp_path / "out", 1)
    assert found["nearest"] == '["q\\"[",null]'
    assert (found["candidate"]["row"], found["gap"], found["comparisons"][1]["gap"]) == (2, "3.00", "3.00")


def test_dates_and_numbers_in_texts_are_compared_as_the_rule_reads_them(tmp_path: Path):
    left = "id;ref;day;amount\n1;A;05.03.2026;1.000,50\n"
    right = "id,ref,paid,amount\n1,A,2026-03-12,1000.5\n"
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.ref = r.ref AND date_within(l.day, r.paid, 3) AND tolerance_match(l.amount, r.amount, 0.01)"
    path = csv_recipe(tmp_path, left, right, sql)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["sources"]["left"]["format"] = {"delimiter": ";", "decimal": ",", "thousands": ".", "date_order": "dmy"}
    path.write_text(json.dumps(document), encoding="utf-8")
    run_recipe(path, tmp_path / "out")
    found = card(tmp_path / "out", 1)
    assert [(c["holds"], c["equal"], c["gap"], c["difference"]) for c in found["comparisons"]] == [
        (True, True, None, None), (False, False, "7 days", "7 days"), (True, True, None, None),
    ]  # fmt: skip
    assert field(found, "day")["left"]["value"] == "05.03.2026"


def test_conditions_on_one_side(tmp_path: Path):
    left = "id,ref,state\n1,A,open\n2,B,void\n"
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.ref = r.ref AND l.state <> 'void'"
    found = card(evidence(tmp_path, left, "id,ref\n1,A\n2,B\n", sql), 2)
    assert (found["reason"], found["candidate"]) == ("excluded", None)
    assert [(c["role"], c["holds"]) for c in found["comparisons"]] == [("key", None), ("condition", False)]


@pytest.mark.parametrize("row", [0, -1, 1, 99, 1 << 63, 1 << 70])
def test_records_that_are_not_unmatched(sample: Path, row: int):
    with pytest.raises(EvidenceError) as caught:
        candidate(Evidence(sample), "left", row)
    assert caught.value.code == "evidence.unknown_row"


def test_a_rule_of_another_version(mine: Path):
    edit_manifest(mine, lambda m: m.update(match_sql="SELECT newer_function(l.x) FROM left_src l, right_src r"))
    with pytest.raises(EvidenceError) as caught:
        candidate(Evidence(mine), "left", 3)
    assert caught.value.code == "evidence.rule_unreadable"


# --- texts and figures ------------------------------------------------------------------------------------------------


TEXTS = st.one_of(st.text(max_size=12), st.text("0159.", min_size=6, max_size=7))


@given(left=TEXTS, right=TEXTS)
def test_what_is_not_marked_is_the_same_in_both(left: str, right: str):
    spans = differing(left, right)
    rest = [strip(text, marks) for text, marks in zip((left, right), spans, strict=True)]
    assert rest[0] == rest[1]
    assert left != right or spans == ([], [])
    assert all(0 <= a < b <= len(text) for text, marks in zip((left, right), spans, strict=True) for a, b in marks)


def strip(text: str, marks: list[list[int]]) -> str:
    return "".join(c for i, c in enumerate(text) if not any(a <= i < b for a, b in marks))


def test_long_texts_are_compared_quickly():
    left, right = "a" * 5 + "x" * 40_000 + "end", "a" * 5 + "y" * 40_000 + "end"
    assert differing(left, right) == ([[5, 40_005]], [[5, 40_005]])


@pytest.mark.parametrize(
    ("left", "right", "apart"),
    [(1, 3, "2"), (0.1, 0.3, "0.2"), (float("nan"), 1, None), (True, 2, None), ("a", "b", None), (None, 1, None)],
)
def test_distances(left: object, right: object, apart: str | None):
    assert difference(left, right) == apart
