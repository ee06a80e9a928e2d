"""Each file under fixtures/match_sql is a statement, a line ``---``, and the plan it must give.

Run with KALLA_UPDATE_FIXTURES=1 to write the plans anew; read the difference before keeping it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recipe.compiler import compile_match_sql
from tests.recipe.compiler.engine import FUNCTIONS, LEFT, RIGHT, render

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures" / "match_sql").glob("*.sql"))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.stem)
def test_statement_gives_its_plan(path: Path) -> None:
    sql, _, expected = path.read_text(encoding="utf-8").partition("\n---\n")
    plan = render(compile_match_sql(sql, LEFT, RIGHT, FUNCTIONS))
    if os.environ.get("KALLA_UPDATE_FIXTURES"):
        path.write_text(f"{sql}\n---\n{plan}", encoding="utf-8")
    else:
        assert plan == expected


def test_there_are_fixtures() -> None:
    assert len(FIXTURES) >= 20
