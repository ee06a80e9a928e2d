"""docs/evidence.md names exactly what evidence holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

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
