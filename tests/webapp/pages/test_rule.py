"""The rule of the recipe form: its SQL is what the compiler reads as the same rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe import Column, Kind, PlanClass, SideInput, compile_match_sql
from udfs import signatures
from webapp.pages.rule import KeyRow, Rule, build_match_sql, limit_problem, rule_in_words
from webapp.pages.words import GENERAL, condition_words, rule_sentences

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12)
FULL = Rule((KeyRow("invoice_id", "reference", loose=True),), ("amount", "paid"), "0.02", ("due", "booked"), "5")


def compiled(rule: Rule, left: list[str], right: list[str]):
    sides = [
        SideInput(tuple(Column(name, Kind.TEXT, "string") for name in dict.fromkeys(names)), (names[0],))
        for names in (left, right)
    ]
    return compile_match_sql(build_match_sql(rule, (left[0],), (right[0],)), sides[0], sides[1], signatures())


def test_the_statement() -> None:
    plan = compiled(FULL, ["invoice_id", "amount", "due"], ["pid", "reference", "paid", "booked"])
    assert plan.kind is PlanClass.EQUI
    assert [key.sql for key in plan.keys] == ["normalize_ref(l.invoice_id) = normalize_ref(r.reference)"]
    assert [c.sql for c in plan.conditions] == [
        "tolerance_match(l.amount, r.paid, 0.02)",
        "date_within(l.due, r.booked, 5)",
    ]
    names = [output.name for output in plan.outputs]
    assert names == ["invoice_id", "amount", "due", "pid", "reference", "paid", "booked"]


@given(NAMES, NAMES, NAMES, NAMES)
def test_any_column_name_is_taken_literally(left: str, right: str, amount: str, paid: str) -> None:
    rule = Rule((KeyRow(left, right),), (amount, paid), "1", (amount, paid), "0")
    plan = compiled(rule, [left, amount], [right, paid])
    assert plan.key_columns("l") == (left,)
    assert plan.key_columns("r") == (right,)
    assert set(plan.left_columns) == {left, amount}
    assert set(plan.right_columns) == {right, paid}


def test_words() -> None:
    assert rule_in_words(FULL) == (
        "Two records belong together when invoice_id equals reference by letters and digits alone, "
        "amount and paid are at most 0.02 apart and due and booked are within 5 days of each other."
    )
    same = Rule((KeyRow("a", "b"),), ("x", "y"), "0.00", ("d", "e"), "0")
    assert rule_in_words(same) == (
        "Two records belong together when a equals b, x and y are the same amount and d and e are the same day."
    )
    assert rule_in_words(Rule((KeyRow("a", "b"),))) == "Two records belong together when a equals b."


def test_sentences_of_a_statement() -> None:
    assert rule_sentences(build_match_sql(FULL, ("invoice_id",), ("pid",))) == [
        "left invoice_id (letters and digits only) equals right reference (letters and digits only)",
        "left amount and right paid are at most 0.02 apart",
        "left due and right booked are within 5 days",
    ]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("l.kind = 'invoice'", "left kind equals “invoice”"),
        ("l.amount <= r.paid", "left amount is at most right paid"),
        ("percent_match(l.amount, r.paid, 2)", "left amount and right paid are at most 2 % apart"),
        ("abs(l.x - r.x) < 1", "abs(l.x - r.x) < 1"),
        ("date_within(l.d, r.d, 1)", "left d and right d are within 1 day"),
    ],
)
def test_conditions_in_words(condition: str, words: str) -> None:
    found = condition_words(f"SELECT l.a FROM left_src l JOIN right_src r ON l.a = r.a AND {condition}")
    assert found[condition] == words


def test_statements_that_only_sql_says() -> None:
    grouped = "SELECT l.a FROM left_src l JOIN right_src r ON l.a = r.a GROUP BY l.a"
    assert rule_sentences(grouped) == [GENERAL]
    assert rule_sentences("DROP TABLE left_src") == []
    assert rule_sentences("") == []


@pytest.mark.parametrize(
    ("text", "whole", "fine"),
    [
        ("0.02", False, True), ("5", False, True), ("", False, False), ("-1", False, False), ("1e3", False, False),
        ("1,5", False, False), ("nan", False, False), ("5", True, True), ("0", True, True), ("0.5", True, False), ("999999", True, False),
    ],
)  # fmt: skip
def test_limits(text: str, whole: bool, fine: bool) -> None:
    assert (limit_problem(text, whole) is None) is fine
