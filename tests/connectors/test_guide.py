"""The connector in the guide is what the guide says: its text is executed and held to the contract."""

from __future__ import annotations

import itertools
import json
import re
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connectors import Connector, SourceDataError
from connectors.base import Access
from recipe import Column, format_cell
from tests.connectors.contract import ConnectorContract, Make, Row

GUIDE = Path(__file__).resolve().parents[2] / "docs/connectors-new.md"


@pytest.fixture(scope="module")
def example() -> Any:
    """The class, in a module that can be imported by name, as pickle wants it."""
    (text,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.S)
    module = types.ModuleType("guide_example")
    sys.modules[module.__name__] = module
    exec(compile(text, str(GUIDE), "exec"), module.__dict__)
    return module.__dict__["JsonLinesConnector"]


def over(example: Any, path: Path) -> Connector:
    found: Connector = example.from_source(SimpleNamespace(uri=str(path)), Access())
    return found


class TestTheGuidesConnector(ConnectorContract):
    typed = False
    test_typed_filters_mean_the_same = None  # every cell is text
    identity_keys = frozenset({"size", "mtime_ns"})

    @pytest.fixture
    def make(self, example: Any, tmp_path: Path) -> Make:
        numbers = itertools.count(1)

        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            path = tmp_path / f"{next(numbers)}.jsonl"
            lines = [[c.name for c in columns], *([format_cell(v) for v in row] for row in rows)]
            path.write_text("\n".join(map(json.dumps, lines)))
            return over(example, path)

        return build

    @pytest.fixture
    def missing(self, example: Any, tmp_path: Path) -> Connector:
        return over(example, tmp_path / "gone.jsonl")


def test_a_damaged_line_is_named(example: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('["v"]\n["1"]\n["2\n')
    with pytest.raises(SourceDataError, match="Line 3"):
        over(example, tmp_path / "a.jsonl").count()
