"""The other commands, through the same door."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from pipelines.cli import app
from pipelines.cli.exits import exit_status
from tests.pipelines.cli.conftest import PROGRAM, Called
from tests.pipelines.evidence.samples import SAMPLE, csv_recipe

Kalla = Callable[..., Called]
SQL = "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.id = r.id"


def test_importing_the_program_brings_in_nothing_heavy():
    heavy = ["apache_beam", "duckdb", "pyarrow", "sqlglot", "pydantic", "numpy", "rich"]
    code = f"import sys; import pipelines.cli.app; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_help_lists_every_command(kalla: Kalla):
    found = kalla("--help")
    assert found.status == 0
    assert [name for name in app.COMMANDS if f"  {name} " not in found.out] == []
    assert importlib.metadata.version("kalla") in kalla("--version").out


def test_without_arguments_it_helps(kalla: Kalla):
    found = kalla()
    assert found.status == 2 and "Usage: kalla" in found.out + found.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["run", "x.json", "--strategy", "magic"],
        ["run", "x.json", "--set", "left"],
        ["run", "x.json", "--set", "middle=a.csv"],
        ["run", "x.json", "--set", "left=a.csv", "--set", "left=b.csv", "--output", "o"],
        ["run", "x.json", "--memory-limit", "lots"],
        ["run", "x.json", "--partitions", "0"],
        ["evidence", "show", "x", "--set", "all"],
        ["evidence", "export", "x", "--to", "x.pdf"],
        ["evidence", "export", "x", "--to", "x.csv"],
        ["preview", "x.csv", "--limit", "0"],
    ],
)
def test_wrong_usage_ends_with_2_and_one_object(kalla: Kalla, arguments: list[str]):
    found = kalla(*arguments, "--json")
    assert found.status == 2
    assert found.json["error"]["code"] == "usage.invalid" and found.json["error"]["message"]
    plain = kalla(*arguments)
    assert plain.status == 2 and plain.out == "" and plain.err.startswith("Error usage.invalid")


def test_commands_of_installed_packages(kalla: Kalla, monkeypatch: pytest.MonkeyPatch):
    class Point:
        name = "hello"

        def load(self) -> click.Command:
            return click.Command("hello", callback=lambda: click.echo("hello there"), help="Greets.")

    monkeypatch.setattr(app, "_added", lambda: {"hello": Point()})
    assert kalla("hello").out == "hello there\n"
    assert "Greets." in kalla("--help").out


def test_an_unforeseen_error_shows_no_traceback_and_no_secret(kalla: Kalla, monkeypatch: pytest.MonkeyPatch):
    def broken() -> None:
        raise ValueError("no answer from postgres://u:secret@h/d?table=t")

    monkeypatch.setattr(app, "_added", lambda: {"broken": type("P", (), {"load": lambda self: command})()})
    command = click.Command("broken", callback=broken)
    found = kalla("broken")
    assert found.status == 1 and "internal.error" in found.err
    assert "Traceback" not in found.err and "secret" not in found.err


def test_validate_tells_every_problem(kalla: Kalla, tmp_path: Path):
    recipe = csv_recipe(
        tmp_path, "id,amount\n1,2\n", "id\n1\n", "SELECT l.nope, r.nada FROM left_src l JOIN right_src r ON l.id = r.id"
    )
    found = kalla("validate", recipe, "--json")
    assert found.status == 2 and not found.json["valid"]
    assert {d["path"] for d in found.json["details"]} == {"match_sql"} and len(found.json["details"]) == 2
    assert all(set(d) == {"path", "message", "code"} for d in found.json["details"])
    assert kalla("validate", recipe, "--offline", "--json").json["valid"]
    shown = kalla("validate", recipe)
    assert "nope" in shown.out and "nada" in shown.out and "2 problems" in shown.out


def test_validate_reaches_sources_only_when_it_may(kalla: Kalla, tmp_path: Path):
    recipe = csv_recipe(tmp_path, "id\n1\n", "id\n1\n", SQL)
    assert kalla("validate", recipe).status == 0
    (tmp_path / "right.csv").unlink()
    found = kalla("validate", recipe, "--json")
    assert (found.status, found.json["details"][0]["code"]) == (1, "source.not_found")
    assert found.json["details"][0]["path"] == "sources.right"
    assert kalla("validate", recipe, "--offline").status == 0
    recipe.write_text("{", encoding="utf-8")
    assert kalla("validate", recipe, "--json").json["details"][0]["code"] == "recipe.malformed_json"


def test_validate_finds_missing_key_columns(kalla: Kalla, tmp_path: Path):
    recipe = csv_recipe(
        tmp_path, "idd,k\n1,1\n", "id,k\n1,1\n", "SELECT l.k, r.k FROM left_src l JOIN right_src r ON l.k = r.k"
    )
    found = kalla("validate", recipe, "--json")
    assert found.status == 2 and found.json["details"][0]["code"] == "source.column_missing"


def test_explain_in_words(kalla: Kalla):
    found = kalla("explain", SAMPLE)
    assert found.status == 0
    assert "left invoice_id equals right reference_number" in found.out
    assert "left amount and right paid_amount are at most 0.02 apart" in found.out
    assert "Strategy local" in found.out and "Engine vectorized" in found.out
    document = kalla("explain", SAMPLE, "--json", "--partitions", "3").json
    assert (document["class"], document["strategy"], document["partitions"]) == ("equi", "local", 3)
    assert document["sources"]["left"]["splits"] >= 1
    assert document["control_totals"] == {"left": ["amount"], "right": ["paid_amount"]}
    impossible = kalla("explain", SAMPLE, "--strategy", "shuffle", "--json")
    assert impossible.status == 0


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("percent_match(l.a, r.a, 2)", "left a and right a are at most 2 % apart"),
        ("date_within(l.d, r.d, 5)", "left d and right d are within 5 days"),
        ("l.a <= r.a", "left a is at most right a"),
        ("l.a = 'x'", "left a equals “x”"),
        ("(l.a = '1' OR r.a = '2')", "l.a = '1' OR r.a = '2'"),
    ],
)
def test_conditions_in_words(kalla: Kalla, tmp_path: Path, condition: str, words: str):
    sql = f"{SQL} AND {condition}"
    recipe = csv_recipe(tmp_path, "id,a,d\n1,1,2026-01-01\n", "id,a,d\n1,1,2026-01-01\n", sql)
    found = kalla("explain", recipe, "--json")
    assert words in found.json["conditions"][0]["words"]


def test_preview_of_a_recipe_and_of_a_file(kalla: Kalla):
    found = kalla("preview", SAMPLE, "--side", "right", "--limit", "2", "--json").json
    assert (found["preview_rows"], found["total_rows"]) == (2, 15) and found["alias"] == "payments_csv"
    shown = kalla("preview", SAMPLE.parent / "invoices.csv")
    assert "invoice_id (text)" in shown.out and "10 of 15 records" in shown.out
    assert kalla("preview", SAMPLE.parent / "no.csv", "--json").json["error"]["code"] == "source.not_found"


def test_a_wrong_address_does_not_show_its_password(kalla: Kalla):
    found = kalla("preview", "postgres://kalla:secret@localhost/db", "--debug")
    assert found.status == 2 and "secret" not in found.out + found.err


def test_verify_and_its_exit_status(kalla: Kalla, sample: Path, tmp_path: Path):
    found = kalla("verify", sample)
    assert found.status == 0 and "The evidence is sound." in found.out
    copy = Path(shutil.copytree(sample, tmp_path / "copy"))
    (copy / "matched" / "part-00000.parquet").unlink()
    broken = kalla("verify", copy)
    assert broken.status == 1 and "FAILED" in broken.out and "matched/part-00000.parquet is missing" in broken.out
    assert kalla("verify", copy, "--json").json["ok"] is False
    nothing = kalla("verify", tmp_path, "--json")
    assert (nothing.status, nothing.json["error"]["code"]) == (1, "evidence.not_found")


def test_replay(kalla: Kalla, sample: Path):
    found = kalla("replay", sample, "--json")
    assert found.status == 0 and found.json["ok"] and found.json["output"] is None
    assert "same evidence" in kalla("replay", sample).out


def test_evidence_show(kalla: Kalla, sample: Path):
    assert "15 records = 7 matched + 8 unmatched" in kalla("evidence", "show", sample).out
    page = kalla("evidence", "show", sample, "--set", "unmatched_left", "--limit", "3", "--offset", "6", "--json").json
    assert (page["total_rows"], page["preview_rows"], page["offset"]) == (8, 2, 6)
    assert page["columns"][0] == {"name": "_row", "data_type": "integer"}
    assert "Rows 1 to 7 of 7 in matched" in kalla("evidence", "show", sample, "--set", "matched").out
    assert kalla("evidence", "show", sample, "--json").json["format"] == "kalla-evidence/1"


def test_evidence_export(kalla: Kalla, sample: Path, tmp_path: Path):
    one = kalla("evidence", "export", sample, "--set", "matched", "--to", tmp_path / "x.csv", "--json").json
    assert one["rows"] == 7 and Path(one["file"]).exists()
    assert kalla("evidence", "export", sample, "--to", tmp_path / "all.xlsx").status == 0
    again = kalla("evidence", "export", sample, "--to", tmp_path / "all.xlsx", "--json")
    assert (again.status, again.json["error"]["code"]) == (2, "evidence.target_exists")


def test_a_reader_that_goes_away_is_no_error(sample: Path):
    command = [*PROGRAM, "evidence", "show", str(sample), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


def test_output_survives_a_poor_locale(program: Kalla, sample: Path):
    found = program("evidence", "show", sample, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert found.status == 0 and "matched" in found.out
    assert json.loads(program("verify", sample, "--json", PYTHONIOENCODING="ascii").out)["ok"]


@pytest.mark.parametrize(
    ("code", "status"),
    [("recipe.invalid", 2), ("filter.unknown_op", 2), ("run.invalid_option", 2), ("source.column_missing", 2),
     ("source.unreachable", 1), ("run.memory_exceeded", 1), ("internal.error", 1), ("udf.out_of_range", 1)],
)  # fmt: skip
def test_exit_statuses(code: str, status: int):
    assert exit_status(code) == status
