"""docs/evidence.md names exactly what evidence holds."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import duckdb

from pipelines.evidence import CHECKS, FORMATS, REASONS
from pipelines.layout import REASON_FIELDS, ROW_FIELDS
from tests.pipelines.evidence.samples import ROOT

PAGE = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> list[str]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.M)


def test_columns_reasons_checks_and_formats():
    assert first_cells("Columns of matched") == [field.name for field in ROW_FIELDS]
    assert first_cells("Columns of unmatched_left and unmatched_right") == [f.name for f in REASON_FIELDS]
    assert first_cells("Reasons") == list(REASONS)
    assert first_cells("Checks of `kalla verify`") == list(CHECKS)
    assert first_cells("Exports") == list(FORMATS)


def test_members_of_the_manifest(sample: Path):
    manifest = json.loads((sample / "manifest.json").read_text(encoding="utf-8"))
    assert first_cells("The manifest") == list(manifest)
    for name in ("counts", "plan", "times"):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        assert [member for member in manifest[name] if f"`{member}`" not in row] == []


def test_every_code_is_documented():
    sources = [*(ROOT / "pipelines" / "evidence").glob("*.py"), ROOT / "pipelines" / "errors.py"]
    code = r'"(evidence\.[a-z_]+)"'
    raised = {c for path in sources for c in re.findall(code, path.read_text(encoding="utf-8"))}
    assert set(first_cells("Errors")) == raised


def test_the_commands_for_other_tools_work(sample: Path):
    section = PAGE.split("\n## Checking with other tools\n", 1)[1].split("\n## ", 1)[0]
    hashes, *queries = re.findall(r"```sh\n(.*?)\n```", section, re.S)
    found = subprocess.run(hashes, shell=True, cwd=sample, capture_output=True, text=True, check=True)
    assert found.stdout.count(": OK") == 3
    results = []
    with duckdb.connect() as connection:
        for query in queries:
            sql = re.search(r'duckdb -c "(.*)"', query, re.S)
            assert sql is not None
            placed = re.sub(r"'((?:un)?matched[a-z_]*/)", rf"'{sample}/\1", sql[1])
            results.append(connection.execute(placed).fetchall())
    assert results == [[(7, 8)], [("no_key", 7), ("predicate", 1)]]
