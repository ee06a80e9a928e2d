"""kalla run: what people and programs get to see, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.cli.conftest import PROGRAM, Called
from tests.pipelines.evidence.samples import SAMPLE, csv_recipe

Kalla = Callable[..., Called]
SQL = "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.id = r.id"


def test_people_get_the_equation_first(program: Kalla, tmp_path: Path):
    found = program("run", SAMPLE, "--output", tmp_path / "out dir")
    assert (found.status, found.err) == (0, "")
    lines = found.out.splitlines()
    equations = [line for line in lines if "15 records = 7 matched + 8 unmatched" in line]
    assert [line[:6] for line in equations] == ["Left: ", "Right:"]
    assert lines.index(equations[0]) < min(i for i, line in enumerate(lines) if "no_key" in line)
    assert "46.7 % of left records" in found.out
    assert "15.00 apart" in found.out and "no record on the other side has this key" in found.out
    assert f"kalla verify '{tmp_path / 'out dir'}'" in found.out
    assert "\x1b" not in found.out


def test_programs_get_one_object(program: Kalla, tmp_path: Path):
    found = program("run", SAMPLE, "--output", tmp_path / "out", "--json")
    assert found.status == 0 and found.err == ""
    document = found.json
    assert document["status"] == "completed" and document["evidence"] == str(tmp_path / "out")
    counts = ("matched_count", "unmatched_left_count", "unmatched_right_count")
    assert [document[name] for name in counts] == [7, 8, 8]
    assert (document["strategy"], document["engine"]) == ("local", "vectorized")
    assert document["run_id"] and document["seconds"] > 0


def test_options_from_the_environment_and_another_source(program: Kalla, tmp_path: Path):
    (tmp_path / "few.csv").write_text(
        "payment_id,reference_number,paid_amount,currency,payment_date\n", encoding="utf-8"
    )
    found = program(
        "run", SAMPLE, "--output", tmp_path / "out", "--json", "--set", f"right={tmp_path / 'few.csv'}",
        "--strategy", "broadcast", KALLA_PARTITIONS="2", KALLA_MEMORY_LIMIT="600MiB", KALLA_RUNNER="direct",
    )  # fmt: skip
    assert found.json["right_record_count"] == 0 and found.json["strategy"] == "broadcast"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["plan"]["partitions"] == 2


@pytest.mark.parametrize(
    ("staging", "code"),
    [
        ("s3://bucket/folder", "run.staging_denied"),
        ("s3://bucket", "storage.invalid_address"),
        ("s3a://me:my-password@bucket/folder", "storage.invalid_address"),
        ("gs://me:my-password@bucket/folder", "storage.invalid_address"),
    ],
)
def test_a_store_for_scratch_data_is_checked_first(staging: str, code: str, program: Kalla, tmp_path: Path):
    """Nobody asks it, and no folder is called as its address."""
    found = program("run", SAMPLE, "--output", tmp_path / "out", "--json", KALLA_STAGING=staging)
    assert found.status and found.json["error"]["code"] == code
    assert "my-password" not in found.out + found.err
    assert not list(tmp_path.iterdir())


def test_the_default_output_is_named_after_the_recipe(kalla: Kalla, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert kalla("run", SAMPLE, "--json").status == 0
    assert (tmp_path / "kalla-evidence" / "invoice-payment-match" / "manifest.json").exists()


def test_evidence_is_replaced_only_when_asked(kalla: Kalla, sample: Path):
    before = (sample / "manifest.json").read_bytes()
    found = kalla("run", SAMPLE, "--output", sample, "--json")
    assert (found.status, found.json["error"]["code"]) == (2, "run.output_exists")
    assert "--overwrite" in found.json["error"]["message"]
    assert (sample / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"match_sql": "SELECT * FROM left_src, read_csv('/etc/passwd')"}, 2, "recipe."),
        ({"match_sql": SQL, "recipe_id": ""}, 2, "recipe."),
        ({"match_sql": SQL.replace("l.id = r.id", "l.id = r.idd")}, 2, "recipe."),
        ({"match_rules": []}, 2, "recipe."),
    ],
)
def test_an_invalid_recipe_ends_with_2(kalla: Kalla, tmp_path: Path, members: dict[str, Any], status: int, code: str):
    recipe = csv_recipe(tmp_path, "id\n1\n", "id\n1\n", **{"match_sql": SQL, **members})
    found = kalla("run", recipe, "--output", tmp_path / "out", "--json")
    assert found.status == status
    assert found.json["status"] == "failed" and found.json["run_id"]
    assert found.json["error"]["code"].startswith(code) and found.json["error"]["message"]
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_gone_ends_with_1_and_leaves_nothing(kalla: Kalla, tmp_path: Path):
    recipe = csv_recipe(tmp_path, "id\n1\n", "id\n1\n", SQL)
    (tmp_path / "left.csv").unlink()
    found = kalla("run", recipe, "--output", tmp_path / "out")
    assert found.status == 1 and found.out == ""
    assert found.err.splitlines()[0] == "Error source.not_found"
    assert "Traceback" not in found.err
    assert "Traceback" in kalla("run", recipe, "--output", tmp_path / "out", "--debug").err
    assert {p.name for p in tmp_path.iterdir()} == {"left.csv", "right.csv", "recipe.json"} - {"left.csv"}


def test_a_column_that_the_source_lacks_is_invalid(kalla: Kalla, tmp_path: Path):
    recipe = csv_recipe(tmp_path, "idd\n1\n", "id\n1\n", SQL)
    found = kalla("run", recipe, "--output", tmp_path / "out", "--json")
    assert found.status == 2
    assert found.json["error"]["details"][0]["code"] == "source.column_missing"


def test_a_missing_recipe(kalla: Kalla, tmp_path: Path):
    for more in (["--output", tmp_path / "out"], []):
        found = kalla("run", tmp_path / "no.json", "--json", *more)
        assert (found.status, found.json["error"]["code"]) == (2, "recipe.not_found")


def test_hostile_cells_and_names_reach_no_terminal(program: Kalla, tmp_path: Path):
    evil = "\x1b]0;owned\x07[red]x[/red]\x9b2J\u202e"
    folder = tmp_path / "a\x1b]2Jb"
    folder.mkdir()
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.k = r.k AND tolerance_match(l.v, r.v, 0)"
    left = f"id,k,v\n{evil},1,1\n"
    recipe = csv_recipe(folder, left, f"id,k,v\n{evil},1,2\n", sql, name=f"N{evil}", match_description=evil)
    found = program("run", recipe, "--output", folder / "out", FORCE_COLOR="1", TERM="xterm")
    shown = program("evidence", "show", folder / "out", "--set", "unmatched_left")
    assert found.status == shown.status == 0
    for text in (found.out, shown.out):
        assert "\\x1b]0;owned\\x07[red]x[/red]\\x9b2J\\u202e" in text
        assert not set("\x07\x9b\u202e") & set(text) and "\x1b]" not in text and "\x1b[2J" not in text


@pytest.mark.parametrize(
    ("sent", "status", "code"), [(signal.SIGINT, 130, "run.interrupted"), (signal.SIGTERM, 143, "run.terminated")]
)
def test_an_interrupt_ends_cleanly(tmp_path: Path, sent: signal.Signals, status: int, code: str):
    fifo_free = "".join(f"{i},{i % 7}\n" for i in range(200_000))
    recipe = csv_recipe(tmp_path, f"id,k\n{fifo_free}", f"id,k\n{fifo_free}", SQL)
    work = tmp_path / "work"
    work.mkdir()
    process = subprocess.Popen(
        [*PROGRAM, "run", str(recipe), "--output", str(work / "out"), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ},
    )  # fmt: skip
    deadline = time.time() + 60
    while not any(work.iterdir()) and time.time() < deadline:
        time.sleep(0.02)
    assert any(work.iterdir()), "the run has begun"
    if sent is signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does: to the whole group
    else:
        process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    error = json.loads(out)["error"]
    assert error["code"] == code and json.loads(out)["status"] == "cancelled"
    assert error["message"].endswith("; nothing was committed.")
    assert "Traceback" not in err
    assert list(work.iterdir()) == []
