"""Evidence is read page by page, and refused by name when it cannot be read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.evidence import SETS, Evidence, EvidenceError
from pipelines.parts import ROW_GROUP_ROWS, write_part
from tests.pipelines.evidence.samples import edit_manifest


def test_reading_evidence_needs_no_beam():
    code = "import sys; import pipelines.evidence; print('apache_beam' in sys.modules)"
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("set_name", SETS)
def test_pages_put_together_are_the_parts(sample: Path, set_name: str):
    whole = pq.read_table(sample / set_name)
    evidence = Evidence(sample)
    rows: list[list[str | None]] = []
    while page := evidence.rows(set_name, 3, len(rows)).rows:
        rows += page
    expected = [[None if v is None else str(v) for v in row.values()] for row in whole.to_pylist()]
    assert rows == expected
    assert evidence.rows(set_name, 0).total == len(expected) == evidence.total(set_name)
    assert [c.name for c in evidence.rows(set_name, 0).columns] == whole.column_names


def test_a_page_crosses_parts_and_row_groups(mine: Path):
    schema = pq.read_schema(mine / "unmatched_left" / "part-00000.parquet")
    sizes = [ROW_GROUP_ROWS + 5, 2, 7]
    parts: list[dict[str, Any]] = []
    done = 0
    for number, size in enumerate(sizes):
        ids = list(range(done + 1, done + size + 1))
        texts = [pa.array(["no_key"] * size)] + [pa.nulls(size, f.type) for f in list(schema)[2:]]
        table = pa.Table.from_arrays([pa.array(ids), *texts], schema=schema)
        parts.append(write_part(mine, "unmatched_left", number, [table], schema).as_dict())
        done += size
    edit_manifest(mine, lambda m: m.update(parts=[p for p in m["parts"] if "_left" not in p["path"]] + parts))
    evidence = Evidence(mine)
    for start in (0, ROW_GROUP_ROWS - 2, ROW_GROUP_ROWS + 3, done - 3, done, done + 5):
        ids = [int(row[0] or 0) for row in evidence.rows("unmatched_left", 6, start).rows]
        assert ids == list(range(start + 1, min(start + 6, done) + 1))


def test_lists_of_row_ids_are_printed_with_blanks(grouped: Path):
    page = Evidence(grouped).rows("matched")
    assert [c.type for c in page.columns[:3]] == ["rows", "rows", "integer"]
    assert [row[:2] for row in page.rows] == [["1 2", "1"], ["3", "2 3"]]


def refused(folder: Path) -> str:
    with pytest.raises(EvidenceError) as caught:
        evidence = Evidence(folder)
        for name in SETS:
            evidence.rows(name)
    assert caught.value.hint
    return caught.value.code


def test_a_folder_without_a_manifest_holds_no_evidence(mine: Path, tmp_path: Path):
    (mine / "manifest.json").unlink()
    assert refused(mine) == "evidence.not_found"
    assert refused(tmp_path / "nowhere") == "evidence.not_found"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"kalla-evidence/1"', "[" * 100_000, '{"format": 1}', "\xff"])
def test_what_is_no_manifest_is_refused(mine: Path, text: str):
    (mine / "manifest.json").write_text(text, encoding="latin-1")
    assert refused(mine) == "evidence.unreadable"


def test_another_format_is_refused(mine: Path):
    edit_manifest(mine, lambda m: m.update(format="kalla-evidence/2"))
    assert refused(mine) == "evidence.unsupported_format"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["parts"][0].update(path="../../etc/passwd"),
        lambda m: m["parts"][0].update(path="/etc/passwd"),
        lambda m: m["parts"][0].update(rows=-1),
        lambda m: m["counts"].pop("matched_count"),
        lambda m: m["counts"].update(left_record_count="15"),
        lambda m: m["control_totals"]["left"]["amount"]["source"].update(sum="NaN"),
        lambda m: m.pop("recipe"),
        lambda m: m["recipe"].pop("sources"),
    ],
)
def test_a_manifest_of_the_wrong_shape_is_refused(mine: Path, change: Any):
    edit_manifest(mine, change)
    assert refused(mine) == "evidence.unreadable"


def test_missing_and_damaged_parts_are_named(mine: Path):
    part = mine / "matched" / "part-00000.parquet"
    part.write_bytes(b"PAR1 but nothing else")
    assert refused(mine) == "evidence.part_unreadable"
    part.unlink()
    assert refused(mine) == "evidence.part_missing"


def test_members_of_later_versions_do_not_hinder(mine: Path):
    edit_manifest(mine, lambda m: m.update(later={"more": 1}))
    assert Evidence(mine).rows("matched").total == 7


def test_unknown_set(sample: Path):
    with pytest.raises(EvidenceError) as caught:
        Evidence(sample).rows("everything")
    assert caught.value.code == "evidence.unknown_set"


def test_the_recipe_keeps_exact_numbers(mine: Path):
    text = (mine / "manifest.json").read_text(encoding="utf-8")
    document = json.loads(text)
    shutil.copy(mine / "manifest.json", mine / "manifest.bak")
    marked = text.replace(json.dumps(document["recipe"]["name"], ensure_ascii=False), "0.10000000000000000001", 1)
    (mine / "manifest.json").write_text(marked, encoding="utf-8")
    assert str(Evidence(mine).recipe["name"]) == "0.10000000000000000001"
