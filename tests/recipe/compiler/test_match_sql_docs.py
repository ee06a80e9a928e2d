"""docs/match-sql.md names every code, function and limit, and its examples compile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recipe.columns import Column, Kind
from recipe.compiler import BUILTINS, CODES, SideInput, compile_match_sql
from recipe.compiler.builtins import ALIASES
from recipe.compiler.parse import MAX_LENGTH, MAX_NESTING, MAX_TREE_DEPTH
from tests.recipe.compiler.engine import FUNCTIONS

TEXT = (Path(__file__).parents[3] / "docs" / "match-sql.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_documented(code: str) -> None:
    assert re.search(rf"^\| `{re.escape(code)}` \|", TEXT, re.MULTILINE)


def test_no_unknown_code_is_documented() -> None:
    assert set(re.findall(r"`(recipe\.sql\.\w+)`", TEXT)) == set(CODES)


@pytest.mark.parametrize("name", [*BUILTINS, *ALIASES])
def test_every_builtin_is_documented(name: str) -> None:
    assert re.search(rf"`{name}\b", TEXT)


def test_limits_are_documented() -> None:
    assert f"{MAX_LENGTH:,} characters, {MAX_NESTING} levels of nesting, {MAX_TREE_DEPTH} operators" in TEXT


def _side(*names: str) -> SideInput:
    amounts = ("amount", "paid_amount")
    columns = [Column(n, Kind.DECIMAL if n in amounts else Kind.TEXT, precision=12, scale=2) for n in names]
    return SideInput(tuple(columns), (names[0],))


@pytest.mark.parametrize("example", re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL))
def test_examples_compile(example: str) -> None:
    left = _side("entry_no", "reference", "amount", "batch_ref")
    right = _side("txn_id", "end_to_end_id", "amount", "payment_id", "reference_number", "paid_amount")
    assert compile_match_sql(example, left, right, FUNCTIONS)
