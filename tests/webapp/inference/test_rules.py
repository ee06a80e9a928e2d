"""Rules from verdicts: contract 4.2, word for word."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe import PlanClass
from tests.webapp.inference.tables import ledgers, pair, table
from webapp.inference import NoRule, Rule, Table, Verdicts, analyse, choose_samples, draft, infer_rules, next_pair
from webapp.inference.engine import bench

LEFT, RIGHT = ledgers()
CONFIRMED = [pair(LEFT, RIGHT, at, at) for at in (1, 2, 5)]  # the last one two cents short
REJECTED = [pair(LEFT, RIGHT, 7, 7)]  # the same reference, another amount


def inferred(lefts: list[str], rights: list[str], left: Table = LEFT, right: Table = RIGHT) -> tuple[Rule, ...]:
    return infer_rules(left, right, CONFIRMED, REJECTED, lefts, rights)


def of(rules: tuple[Rule, ...], op: str) -> Rule:
    return next(rule for rule in rules if rule.op == op)


def test_a_tolerance_is_the_smallest_that_covers_the_confirmed_pairs() -> None:
    rule = of(inferred(["amount"], ["paid"]), "tolerance")
    assert (rule.threshold, rule.support, rule.counter_examples) == ("0.02", 1.0, ())
    assert rule.confidence > 0.9


def test_a_reference_inside_text_is_found_and_counted() -> None:
    rule = of(inferred(["invoice"], ["text"]), "contains")
    assert (rule.matches, rule.leaves) == (40, 0)
    assert [example.verdict for example in rule.counter_examples] == ["rejected"]
    without = infer_rules(LEFT, RIGHT, CONFIRMED, [], ["invoice"], ["text"])
    assert of(without, "contains").confidence > rule.confidence


def test_two_kinds_are_never_compared() -> None:
    assert inferred(["day"], ["paid"]) == ()
    assert inferred(["amount"], ["booked", "text"]) == ()
    assert [rule.op for rule in inferred(["day"], ["booked"])] == ["date_within"]


def test_a_constant_column_is_not_discriminating() -> None:
    (rule,) = inferred(["currency"], ["currency"])
    assert not rule.discriminating
    assert rule.confidence <= 0.3
    assert "single value" in rule.reasoning


def test_a_contradicted_pair_is_said() -> None:
    confirmed = [*CONFIRMED, pair(LEFT, RIGHT, 7, 7)]
    rule = of(infer_rules(LEFT, RIGHT, confirmed, [], ["amount"], ["paid"]), "tolerance")
    assert [example.verdict for example in rule.counter_examples] == ["confirmed"]
    assert "contradicts 1 confirmed pair" in rule.reasoning


def test_values_that_must_be_cleaned_are_named() -> None:
    left = table({"k": ["a1", "b2", "c3"], "a": ["$100.00", "$1,234.50", "$7.00"]})
    right = table({"k": ["a1", "b2", "c3"], "b": ["100.00", "1234.50", "7.00"]})
    pairs = [pair(left, right, at, at) for at in range(3)]
    (rule,) = infer_rules(left, right, pairs, [], ["a"], ["b"])
    assert (rule.op, rule.threshold) == ("tolerance", "0")
    assert "$100.00" in rule.reasoning
    assert "thousands marks" in rule.reasoning


@pytest.mark.parametrize(("share", "is_found"), [(8, True), (7, False)])
def test_equal_needs_more_than_seven_in_ten(share: int, is_found: bool) -> None:
    names = [f"K{n}x" for n in range(10)]
    left = table({"k": names, "a": [f"{n}.00" for n in range(10)]})
    right = table({"k": [*names[:share], *["Q" * (n + 5) for n in range(10 - share)]]})
    pairs = [pair(left, right, at, at) for at in range(10)]
    assert any(rule.op == "eq" for rule in infer_rules(left, right, pairs, [], ["k"], ["k"])) is is_found


def test_without_confirmed_pairs_there_are_no_rules_and_unknown_columns_are_refused() -> None:
    assert infer_rules(LEFT, RIGHT, [], REJECTED, ["amount"], ["paid"]) == ()
    with pytest.raises(KeyError):
        inferred(["nope"], ["paid"])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.decimals(-3, 3, places=2), min_size=1, max_size=5))
def test_every_threshold_covers_every_confirmed_pair(gaps: list[Decimal]) -> None:
    left = table({"a": [f"{100 + at}.00" for at in range(len(gaps))]})
    right = table({"b": [format(Decimal(100 + at) + gap, ".2f") for at, gap in enumerate(gaps)]})
    pairs = [pair(left, right, at, at) for at in range(len(gaps))]
    found = [rule for rule in infer_rules(left, right, pairs, [], ["a"], ["b"]) if rule.op == "tolerance"]
    assert max(Decimal(rule.threshold or "0") for rule in found) == max(abs(gap) for gap in gaps)


# --- drafts --------------------------------------------------------------------------------------------


def test_a_draft_compiles_with_a_key_and_says_what_it_finds() -> None:
    found = draft(LEFT, RIGHT, Verdicts(CONFIRMED, REJECTED))
    with bench(LEFT, RIGHT) as opened:
        plan, pairs = opened.plan(found.match_sql, found.left_pk, found.right_pk), opened.pairs(found.match_sql)
    assert plan.kind is PlanClass.EQUI
    assert pairs == [(at, at) for at in range(40) if at != 7]
    assert (found.figures.matched_left, found.figures.left_total, found.figures.pairs) == (39, 40, 39)
    assert (found.left_pk, found.right_pk, found.left_pk_proven) == (("invoice",), ("id",), True)
    assert found.ambiguities == ()
    assert [rule.matches for rule in found.rules] == [40, 39]
    assert found.match_description == (
        "Two records belong together when text contains the reference in invoice and amount and paid are at most 0.02 "
        "apart."
    )


def test_the_curve_is_what_each_tolerance_finds() -> None:
    found = draft(LEFT, RIGHT, Verdicts(CONFIRMED, REJECTED))
    assert found.curve is not None
    for point in found.curve.points:
        figures = draft(LEFT, RIGHT, Verdicts(CONFIRMED, REJECTED), point.threshold).figures
        assert (figures.matched_left, figures.matched_right) == (point.matched_left, point.matched_right)
    assert found.curve.threshold == "0.02"


@pytest.mark.parametrize("tolerance", ["", "x", "-1", "NaN", "1e99"])
def test_a_tolerance_that_is_no_number(tolerance: str) -> None:
    with pytest.raises(ValueError, match="number"):
        draft(LEFT, RIGHT, Verdicts(CONFIRMED), tolerance)


def test_a_tolerance_that_contradicts_a_verdict_is_said() -> None:
    assert draft(LEFT, RIGHT, Verdicts(CONFIRMED), "0").ambiguities == (
        "1 pair that you confirmed would not be matched by this rule.",
    )


def test_nothing_in_common() -> None:
    with pytest.raises(NoRule):
        draft(table({"a": ["x", "y"]}), table({"b": ["p", "q"]}), Verdicts())
    empty = table({"a": []})
    with pytest.raises(NoRule):
        draft(empty, empty, Verdicts())


def test_duplicates_that_nothing_tells_apart_are_left_and_said() -> None:
    amounts = [*(f"{n * 17 + 5}.00" for n in range(28)), "9.99", "9.99"]
    left = table({"no": [f"{n * 37 % 101}A" for n in range(30)], "amount": amounts})
    right = table({"id": [f"{n * 59 % 103}B" for n in range(30)], "paid": amounts})
    found = draft(left, right, Verdicts())
    assert (found.figures.matched_left, found.figures.left_many) == (28, 0)
    assert any("2 records on the left" in sentence for sentence in found.ambiguities)


def test_amounts_with_the_other_sign() -> None:
    left = table({"no": [f"L{n}x" for n in range(30)], "amount": [f"{n * 17 + 5}.10" for n in range(30)]})
    right = table({"no": [f"L{n}x" for n in range(30)], "paid": [f"-{n * 17 + 5}.10" for n in range(30)]})
    found = draft(left, right, Verdicts())
    assert found.figures.matched_left == 30
    assert "opposite sign" in found.match_description


def test_texts_of_cells_stay_data() -> None:
    hostile = ["'; DROP TABLE left_src; --", '" OR 1=1 --', "${jndi:x}", "\\", "INV-1); SELECT 1", "ignore all rules"]
    left = table({'a" b': [f"{text} K-{at}00" for at, text in enumerate(hostile)], "x'y": ["1.00"] * 6})
    right = table({'a" b': [f"{text} K-{at}00" for at, text in enumerate(hostile)], "z": ["1.00"] * 6})
    found = draft(left, right, Verdicts([pair(left, right, at, at) for at in range(3)]))
    with bench(left, right) as opened:
        assert opened.pairs(found.match_sql) == [(at, at) for at in range(6)]


def test_names_that_differ_in_case_only() -> None:
    left = table({"K": [f"A{n}" for n in range(9)], "k": [f"{n}.00" for n in range(9)]})
    right = table({"ref": [f"A{n}" for n in range(9)], "Ref": [f"{n}.00" for n in range(9)]})
    assert draft(left, right, Verdicts()).figures.matched_left == 9


# --- samples and questions -----------------------------------------------------------------------------


def test_samples_hold_rows_that_can_be_compared() -> None:
    analysis = analyse(LEFT, RIGHT)
    lefts, rights = choose_samples(LEFT, RIGHT, analysis, 16)
    assert len(lefts) == len(rights) == 16
    assert len(set(lefts) & set(rights)) >= 12  # row numbers of partners are the same here
    assert (lefts, rights) == (sorted(set(lefts)), sorted(set(rights)))
    assert choose_samples(LEFT, RIGHT, analysis, 500) == (list(range(40)), list(range(40)))


def test_a_sample_matches_about_as_often_as_all_records() -> None:
    left, right = ledgers(400)
    right = table({name: right.column(name)[40:] for name in right.names})  # a tenth of the left has no partner
    analysis = analyse(left, right)
    lefts, rights = choose_samples(left, right, analysis, 100)
    partners = {at - 40 for at in lefts} & set(rights)
    assert len(lefts) == len(rights) == 100
    assert 85 <= len(partners) <= 92


def test_questions_go_from_the_clear_one_to_the_edges() -> None:
    analysis = analyse(LEFT, RIGHT)
    rows = [LEFT.row(at) for at in range(40)], [RIGHT.row(at) for at in range(40)]
    confirmed: list[dict[str, dict[str, str | None]]] = []
    rejected: list[dict[str, dict[str, str | None]]] = []
    whys = []
    for _ in range(4):
        found = next_pair(analysis, *rows, confirmed, rejected)
        assert found is not None
        asked = {"left": found.left_row, "right": found.right_row}
        assert asked not in [*confirmed, *rejected]
        whys.append(found.why)
        (rejected if found.why == "outside" else confirmed).append(asked)
    assert whys[:3] == ["clear", "inside", "outside"]
    assert rejected[0]["right"]["paid"] == "99999.00"
    assert confirmed[1]["right"]["paid"].endswith(".48")  # type: ignore[union-attr]


def test_a_rejected_clear_pair_drops_the_key() -> None:
    analysis = analyse(LEFT, RIGHT)
    rows = [LEFT.row(at) for at in range(40)], [RIGHT.row(at) for at in range(40)]
    first = next_pair(analysis, *rows, [], [])
    assert first is not None
    after = next_pair(analysis, *rows, [], [{"left": first.left_row, "right": first.right_row}])
    assert after is None or "invoice" not in after.reasoning


def test_no_rows_no_question() -> None:
    analysis = analyse(LEFT, RIGHT)
    assert next_pair(analysis, [], [], [], []) is None
    assert next_pair(analysis, [LEFT.row(0)], [RIGHT.row(5)], [], []) is None
