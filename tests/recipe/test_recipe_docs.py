"""docs/recipe.md tells the truth: its examples load, and its tables name exactly what the code knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recipe import (
    SOURCE_CLASSES,
    CsvFormat,
    FilterOp,
    Recipe,
    SourceBase,
    dump_recipe,
    parse_recipe,
    read_json,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(\{\n.*?)```", PAGE, re.S)
MODULES = [p for p in (ROOT / "recipe").glob("*.py") if p.name != "__init__.py"]


def first_cells(heading: str) -> list[str]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.sub(r"^\|.*\n\|-.*\n", "", section, flags=re.M)
    return re.findall(r"^\| `([^`]+)` \|", rows, re.M)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text[20:40])
def test_examples_load_without_a_warning(text: str):
    checked = parse_recipe(read_json(text))
    assert (checked.problems, checked.warnings) == ((), ())
    assert parse_recipe(dump_recipe(checked.require())).recipe == checked.recipe


def test_there_are_examples():
    assert len(EXAMPLES) == 2


def test_tables_name_every_member_type_operator_and_option():
    assert first_cells("Members of the document") == [*Recipe.model_fields, "version"]
    members = [field.alias or name for name, field in SourceBase.model_fields.items()]
    assert sorted(first_cells("Members of a source")) == sorted([*members, "format"])
    assert first_cells("Source types") == list(SOURCE_CLASSES)
    assert first_cells("CSV format") == list(CsvFormat.model_fields)
    assert first_cells("Filters")[: len(FilterOp)] == list(FilterOp)


def test_every_code_is_documented_and_raised_and_tested():
    code = r'"((?:recipe|source|filter)\.[a-z0-9_]+)"'
    raised = {found for path in MODULES for found in re.findall(code, path.read_text(encoding="utf-8"))}
    tested = {
        found
        for path in Path(__file__).parent.glob("test_*.py")
        for found in re.findall(code, path.read_text(encoding="utf-8"))
    }
    assert set(first_cells("Error codes")) == raised
    assert raised <= tested
