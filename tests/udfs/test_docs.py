"""docs/functions.md names every function, and its examples hold in Python and in DuckDB."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from tests.udfs.conftest import Evaluate
from udfs import REGISTRY, errors

PAGE = (Path(__file__).parents[2] / "docs" / "functions.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
EXAMPLES = re.findall(r"^\| `([a-z_]+\(.*\))` \| (.+) \|$", PAGE, re.MULTILINE)


def value_of(tree: exp.Expression) -> Any:
    tree = tree.unnest()
    if isinstance(tree, exp.Cast):
        return date.fromisoformat(tree.this.this)
    if isinstance(tree, exp.Neg):
        return -value_of(tree.this)
    if isinstance(tree, exp.Literal) and not tree.is_string:
        return int(tree.this) if tree.this.isdigit() else Decimal(tree.this)
    return {exp.Null: None, exp.Boolean: tree.this}.get(type(tree), tree.this)


def shown(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value).lower() if isinstance(value, bool) else f"'{value}'" if isinstance(value, str) else str(value)


def test_every_function_has_a_section_with_signature_null_rule_and_examples() -> None:
    documented = {name.upper() for name in SECTIONS} - {"ERRORS"}
    assert documented == set(REGISTRY)
    for name in documented:
        section = SECTIONS[name.lower()]
        assert f"`{name.lower()}(" in section
        assert "NULL if " in section
        assert sum(call.startswith(f"{name.lower()}(") for call, _ in EXAMPLES) >= 4


def test_every_code_is_documented() -> None:
    for code in (errors.INVALID_ARGUMENT, errors.INVALID_PATTERN, errors.OUT_OF_RANGE):
        assert f"`{code}`" in SECTIONS["Errors"]


@pytest.mark.parametrize(("call", "result"), EXAMPLES, ids=[call for call, _ in EXAMPLES])
def test_an_example_holds(evaluate: Evaluate, call: str, result: str) -> None:
    assert [shown(value) for value in evaluate(call, [], [[]])] == [result]
    tree = sqlglot.parse_one(call, dialect="duckdb")
    assert isinstance(tree, exp.Anonymous)
    assert shown(REGISTRY[tree.name.upper()](*map(value_of, tree.expressions))) == result
