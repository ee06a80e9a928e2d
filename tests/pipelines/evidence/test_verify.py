"""verify finds whatever was changed, and says which file and what differs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.evidence import CHECKS, Evidence, verify
from tests.pipelines.evidence.samples import csv_recipe, edit_manifest, rehash, run_recipe

LEFT = Path("unmatched_left", "part-00000.parquet")
MATCHED = Path("matched", "part-00000.parquet")


def failed(folder: Path) -> dict[str, str]:
    """Name -> detail of the checks that fail."""
    return {check.name: check.detail for check in verify(folder).checks if not check.ok}


def rewrite(folder: Path, part: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of a part and forge its hash and rows in the manifest."""
    table = change(pq.read_table(folder / part))
    pq.write_table(table, folder / part)
    rehash(folder)

    def count(document: dict[str, Any]) -> None:
        for entry in document["parts"]:
            if entry["path"] == str(part):
                entry["rows"] = table.num_rows

    edit_manifest(folder, count)


def with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))


def test_sound_evidence_passes_every_check_in_order(sample: Path, grouped: Path):
    for folder in (sample, grouped):
        seen: list[str] = []
        found = verify(folder, on_check=lambda check, seen=seen: seen.append(check.name))
        assert found.ok, found.checks
        assert seen == list(CHECKS) == [check.name for check in found.checks]
    assert "7 matched + 8 unmatched" in next(c.detail for c in verify(sample).checks if c.name == "counts")


def test_a_folder_may_have_any_name(sample: Path, tmp_path: Path):
    folder = tmp_path / "a[b]*? 'c\n"
    shutil.copytree(sample, folder)
    assert failed(folder) == {}
    assert Evidence(folder).rows("matched", 1).total == 7


def test_empty_sides_are_sound(tmp_path: Path):
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND tolerance_match(l.amount, r.amount, 1)"
    recipe = csv_recipe(tmp_path, "id,amount\n", "id,amount\n1,2\n", sql)
    run_recipe(recipe, tmp_path / "out")
    assert failed(tmp_path / "out") == {}


def test_number_formats_and_clashing_names(tmp_path: Path):
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND tolerance_match(l._row, r._row, 1)"
    left = 'id,_row,_reason\n1,"1.234,50",x\n2,"7,25",y\n3,none,z\n'
    right = "id,_row\n1,1234.50\n9,.5\n"
    sources = {
        "left": {"alias": "a", "type": "csv", "uri": "left.csv", "primary_key": ["id"],
                 "format": {"decimal": ",", "thousands": "."}},
        "right": {"alias": "b", "type": "csv", "uri": "right.csv", "primary_key": ["id"]},
    }  # fmt: skip
    run_recipe(csv_recipe(tmp_path, left, right, sql, sources=sources), tmp_path / "out")
    assert failed(tmp_path / "out") == {}
    total = Evidence(tmp_path / "out").manifest["control_totals"]["left"]["_row"]
    assert (float(total["unmatched"]["sum"]), total["unmatched"]["empty"]) == (7.25, 1)


def test_a_flipped_byte_is_found(mine: Path):
    content = bytearray((mine / LEFT).read_bytes())
    content[len(content) // 2] ^= 1
    (mine / LEFT).write_bytes(bytes(content))
    found = failed(mine)
    assert str(LEFT) in found["sha256"] and "the manifest says" in found["sha256"]


def test_a_cut_part_is_found(mine: Path):
    os.truncate(mine / LEFT, 100)
    found = failed(mine)
    assert str(LEFT) in found["sha256"] and "bytes" in found["sha256"]
    assert found["counts"].startswith("not checked")


def test_a_dropped_part_is_found(mine: Path):
    (mine / MATCHED).unlink()
    found = failed(mine)
    assert f"{MATCHED} is missing" in found["files"]
    assert "not checked" in found["left_records"]


def test_an_added_file_and_a_link_are_found(mine: Path):
    shutil.copy(mine / LEFT, mine / "unmatched_left" / "part-00001.parquet")
    (mine / "notes.txt").write_text("x")
    assert failed(mine)["files"].count("is not in the manifest") == 2
    moved = mine.parent / "moved.parquet"
    (mine / LEFT).rename(moved)
    (mine / LEFT).symlink_to(moved)
    assert f"{LEFT} is a link" in failed(mine)["files"]


def test_two_swapped_parts_are_found(mine: Path):
    right = mine / "unmatched_right" / "part-00000.parquet"
    left = mine / LEFT
    (mine / "x").write_bytes(left.read_bytes())
    left.write_bytes(right.read_bytes())
    right.write_bytes((mine / "x").read_bytes())
    (mine / "x").unlink()
    assert set(failed(mine)) >= {"sha256"}
    rehash(mine)
    assert set(failed(mine)) >= {"control_totals"}


@pytest.mark.parametrize(
    ("change", "check", "text"),
    [
        (lambda m: m["counts"].update(matched_count=8), "counts", "matched_count is 7 by the rows"),
        (lambda m: m["counts"].update(matched_count=8), "pairs", "matched holds 7 rows"),
        (lambda m: m["counts"].update(left_record_count=16), "left_records", "1 of 16 left records are missing: 16"),
        (lambda m: m["counts"].update(left_record_count=10**15), "left_records", "left records are missing"),
        (lambda m: m["counts"].update(left_record_count=14), "left_records", "is no record"),
        (lambda m: m["counts"].update(match_rate=0.9), "match_rate", "the manifest says 0.9"),
        (lambda m: m["reasons"]["left"].update(no_key=3), "reasons", "left: no_key has 7 rows, the manifest says 3"),
        (lambda m: m["recipe"].update(name="Other"), "recipe", "SHA-256"),
        (lambda m: m.update(match_sql="SELECT 1"), "recipe", "match_sql differs"),
        (lambda m: m["sources"]["left"].update(primary_key=["x"]), "recipe", "primary_key of left"),
        (lambda m: m["parts"].append(m["parts"][0]), "files", "listed twice"),
        (lambda m: m["parts"][0].update(rows=99), "part_rows", "rows, the manifest says 99"),
    ],
)
def test_a_changed_manifest_is_found(mine: Path, change: Any, check: str, text: str):
    edit_manifest(mine, change)
    assert text in failed(mine)[check]


@pytest.mark.parametrize(
    ("part", "member", "value", "text"),
    [
        ("source", "sum", "1", "is not"),
        ("unmatched", "empty", 3, "the empty values do not add up"),
        ("matched", "rows", 3, "matched covers 3 rows"),
    ],
)
def test_changed_control_totals_are_found(mine: Path, part: str, member: str, value: Any, text: str):
    edit_manifest(mine, lambda m: m["control_totals"]["left"]["amount"][part].update({member: value}))
    assert text in failed(mine)["control_totals"]


def test_an_amount_changed_in_the_rows_is_found(mine: Path):
    rewrite(mine, LEFT, lambda t: with_column(t, "amount", ["0.01"] * t.num_rows))
    assert set(failed(mine)) == {"control_totals"}
    assert "the unmatched rows add up to 0.08" in failed(mine)["control_totals"]


def test_an_amount_changed_in_the_matched_rows_is_found(mine: Path):
    rewrite(mine, MATCHED, lambda t: with_column(t, "amount", ["0.01"] * t.num_rows))
    assert set(failed(mine)) == {"control_totals"}
    assert "left amount: the matched rows add up to 0.07" in failed(mine)["control_totals"]


def test_outputs_that_are_not_the_columns_are_found(mine: Path):
    edit_manifest(mine, lambda m: m["outputs"].reverse())
    assert "outputs are not the columns" in failed(mine)["control_totals"]


def test_matched_records_add_up_once_however_many_pairs_they_are_in(tmp_path: Path):
    left = "id,ref,amount\n1,a,10.00\n2,b,0.50\n3,c,\n"
    right = "id,ref,amount\n1,a,10.00\n2,a,10.00\n3,a,7\n4,b,0.50\n"
    sql = (
        "SELECT l.amount AS due, r.id, {} FROM left_src l JOIN right_src r ON l.ref = r.ref "
        "AND tolerance_match(l.amount, r.amount, 5)"
    )
    run_recipe(csv_recipe(tmp_path, left, right, sql.format("r.amount AS paid")), tmp_path / "both")
    outputs = Evidence(tmp_path / "both").manifest["outputs"]
    assert outputs[0] == {"name": "due", "side": "left", "column": "amount"}
    assert {"name": "paid", "side": "right", "column": "amount"} in outputs
    found = {check.name: check for check in verify(tmp_path / "both").checks}
    assert found["control_totals"].ok
    assert "do not hold it" not in found["control_totals"].detail
    rewrite(tmp_path / "both", MATCHED, lambda t: with_column(t, "due", ["10.00"] * t.num_rows))
    text = failed(tmp_path / "both")["control_totals"]
    assert text == "left amount: the matched rows add up to 20.0000000000, the manifest says 10.5000000000"
    run_recipe(csv_recipe(tmp_path, left, right, sql.format("1 AS one")), tmp_path / "one")
    found = {check.name: check for check in verify(tmp_path / "one").checks}
    assert found["control_totals"].ok
    assert "right amount 27.50 (matched rows do not hold it)" in found["control_totals"].detail


def test_a_removed_a_repeated_and_a_doubly_judged_record_are_found(mine: Path, sample: Path):
    ids = pq.read_table(sample / LEFT)["_row"].to_pylist()
    rewrite(mine, LEFT, lambda t: t.slice(1))
    assert failed(mine)["left_records"] == f"1 of 15 left records are missing: {ids[0]}"
    shutil.copy(sample / LEFT, mine / LEFT)
    rewrite(mine, LEFT, lambda t: pa.concat_tables([t, t.slice(0, 1)]))
    assert failed(mine)["left_records"] == f"left record {ids[0]} stands in unmatched more than once"
    matched = pq.read_table(sample / MATCHED)["_left_row"].to_pylist()
    shutil.copy(sample / LEFT, mine / LEFT)
    rewrite(mine, LEFT, lambda t: with_column(t, "_row", [*t["_row"].to_pylist()[1:], matched[0]]))
    assert f"left record {matched[0]} is both matched and unmatched" in failed(mine)["left_records"]


def test_wrong_partners_a_repeated_pair_and_unknown_reasons_are_found(mine: Path, sample: Path):
    rewrite(mine, MATCHED, lambda t: with_column(t, "_right_partners", [2] * t.num_rows))
    assert "_right_partners is wrong in 7 matched rows" in failed(mine)["partners"]
    shutil.copy(sample / MATCHED, mine / MATCHED)
    rewrite(mine, MATCHED, lambda t: pa.concat_tables([t, t.slice(0, 1)]))
    assert "1 pairs stand there twice" in failed(mine)["pairs"]
    rewrite(mine, LEFT, lambda t: with_column(t, "_reason", ["because"] * t.num_rows))
    assert "left: because is no known reason" in failed(mine)["reasons"]


def test_wrong_partners_of_lists_are_found(grouped: Path, tmp_path: Path):
    mine = Path(shutil.copytree(grouped, tmp_path / "evidence"))
    rewrite(mine, MATCHED, lambda t: with_column(t, "_left_partners", [5, 1]))
    assert "_left_partners is wrong in 1 matched rows, first for left record 1" in failed(mine)["partners"]


def test_other_columns_are_found(mine: Path):
    rewrite(mine, LEFT, lambda t: t.drop_columns(["_reason"]))
    assert "column 2 must be _reason (string)" in failed(mine)["part_rows"]
    rewrite(mine, MATCHED, lambda t: t.set_column(0, "_left_row", pc.cast(t["_left_row"], pa.string())))
    assert "column 1 must be _left_row (int64)" in failed(mine)["part_rows"]
