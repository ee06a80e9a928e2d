"""A replay gives the same bytes, or says why it cannot be compared."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipelines.evidence import EvidenceError, replay, verify
from tests.pipelines.evidence.samples import SAMPLE, csv_recipe, edit_manifest, run_recipe

SQL = "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.id = r.id"
FILTER = [{"column": "amount", "op": "gt", "value": 0.05}]


@pytest.fixture
def moved(tmp_path: Path) -> tuple[Path, Path]:
    """The sample's files in a folder of their own, and evidence made from them."""
    folder = tmp_path / "data"
    shutil.copytree(SAMPLE.parent, folder)
    run_recipe(folder / SAMPLE.name, tmp_path / "evidence", partitions=2)
    return folder, tmp_path / "evidence"


def test_the_same_sources_give_the_same_bytes(sample: Path, tmp_path: Path):
    events: list[str] = []
    found = replay(sample, tmp_path / "again", on_event=lambda event: events.append(event["event"]))
    assert found.ok and found.versions == {} and "planned" in events
    assert {"counts", "matched", "unmatched_left", "unmatched_right"} <= {c.name for c in found.checks}
    assert found.run_id != found.replay_run_id
    assert verify(tmp_path / "again").ok


def test_numbers_in_filters_stay_exact(tmp_path: Path):
    sources = {
        "left": {"alias": "a", "type": "csv", "uri": "left.csv", "primary_key": ["id"], "filters": FILTER},
        "right": {"alias": "b", "type": "csv", "uri": "right.csv", "primary_key": ["id"]},
    }
    recipe = csv_recipe(tmp_path, "id,amount\n1,0.05\n2,0.06\n", "id\n2\n", SQL, sources=sources)
    run_recipe(recipe, tmp_path / "out")
    assert replay(tmp_path / "out").ok and verify(tmp_path / "out").ok


def test_a_changed_source_is_refused_and_compared_when_asked(moved: tuple[Path, Path]):
    folder, evidence = moved
    path = folder / "payments.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(EvidenceError) as caught:
        replay(evidence)
    assert caught.value.code == "evidence.source_changed" and "right size was" in caught.value.message
    found = replay(evidence, allow_changed=True)
    assert not found.ok
    details = {check.name: check.detail for check in found.checks if not check.ok}
    assert "right_record_count was 15, is 14" in details["counts"]


def test_a_file_that_came_back_from_a_backup_is_the_same_one(moved: tuple[Path, Path]):
    folder, evidence = moved
    os.utime(folder / "payments.csv", (1_000_000_000, 1_000_000_000))
    found = replay(evidence)
    assert found.ok and found.checks[0].detail == "the same files"


def test_other_content_of_the_same_size_and_time_is_a_change(moved: tuple[Path, Path]):
    folder, evidence = moved
    path = folder / "payments.csv"
    was = path.stat()
    path.write_bytes(path.read_bytes().replace(b"PAY-000101", b"PAY-000901"))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    with pytest.raises(EvidenceError, match="right sha256 was"):
        replay(evidence)


def test_a_moved_source_is_given_anew(moved: tuple[Path, Path]):
    folder, evidence = moved
    elsewhere = folder / "elsewhere.csv"
    os.rename(folder / "invoices.csv", elsewhere)
    assert replay(evidence, sources={"left": str(elsewhere)}).ok


def test_a_masked_address_must_be_given(mine: Path):
    uri = "postgres://kalla:***@db/books?table=t"
    edit_manifest(mine, lambda m: m["recipe"]["sources"]["right"].update(type="postgres", uri=uri))
    with pytest.raises(EvidenceError) as caught:
        replay(mine)
    assert caught.value.code == "evidence.masked_source"
    assert "--set right=URI" in caught.value.hint


def test_evidence_that_is_not_what_the_recipe_gives_is_told(mine: Path):
    edit_manifest(mine, lambda m: m["parts"][0].update(sha256="0" * 64))
    found = replay(mine)
    assert not found.ok
    assert "matched/part-00000.parquet has other bytes" in next(c.detail for c in found.checks if not c.ok)


def test_another_version_is_named(mine: Path):
    edit_manifest(mine, lambda m: m["versions"].update(duckdb="1.0"))
    assert replay(mine).versions["duckdb"][0] == "1.0"
