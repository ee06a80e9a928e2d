"""Each shape of data, small: questions answered truthfully lead to a rule that finds the true pairs."""

from __future__ import annotations

import pytest

from benchmarks.conversation_data import SHAPES, Quality, quality
from tests.webapp.inference.tables import asked

ROWS, SEED = 300, 11


@pytest.mark.parametrize("shape", SHAPES)
def test_the_drafted_rule_finds_the_true_pairs(shape: str) -> None:
    data = SHAPES[shape](ROWS, SEED)
    found, reached, verdicts = asked(data)
    assert reached.f1 >= (0.95 if data.has_key else 0.85), (reached, found.match_description)
    assert len(verdicts.confirmed) == 3
    assert found.figures.left_total == ROWS
    if not data.has_key:  # nothing is paired twice where coincidence is likely
        assert (found.figures.left_many, found.figures.right_many) == (0, 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_seed_makes_the_same_data(shape: str) -> None:
    one, same, other = SHAPES[shape](50, 1), SHAPES[shape](50, 1), SHAPES[shape](50, 2)
    assert (one.left.rows, one.right.rows, one.truth) == (same.left.rows, same.right.rows, same.truth)
    assert one.right.rows != other.right.rows
    names = {row[one.left.names.index(one.left.identity)] for row in one.left.rows}
    assert len(names) == len(one.left.rows)
    assert {left for left, _ in one.truth} <= names


def test_quality() -> None:
    truth = frozenset({("a", "1"), ("b", "2")})
    assert quality([("a", "1"), ("a", "1"), ("c", "3")], truth) == Quality(0.5, 0.5)
    assert quality([], truth).f1 == 0
