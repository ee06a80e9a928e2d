"""Evidence of runs over HTTP: pages, summary, cards, checks and files; and what is refused."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from flask.testing import FlaskClient

from pipelines.evidence import Evidence
from tests.pipelines.evidence.samples import SAMPLE, edit_manifest, run_recipe
from webapp.context import Kalla
from webapp.settings import Settings

SETS = ("matched", "unmatched_left", "unmatched_right")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence of the bundled sample. Not to be changed."""
    output = tmp_path_factory.mktemp("made") / "evidence"
    run_recipe(SAMPLE, output)
    return output


@pytest.fixture
def new_run(parts: Kalla) -> Callable[..., str]:
    """A run in some state: ``new_run("completed", folder)``."""

    def new(status: str, folder: str | Path | None = None) -> str:
        run_id = str(uuid.uuid4())
        parts.runs.insert(run_id, "invoice-payment-match", "Invoices", {}, "invoices", "payments")
        if status == "completed":
            report: dict[str, Any] = {"matched_count": 7, "unmatched_left_count": 8, "unmatched_right_count": 8}
            report |= {"left_record_count": 15, "right_record_count": 15, "warnings": []}
            report["output_paths"] = {name: f"{folder}/{name}/" for name in SETS}
            assert parts.runs.complete(run_id, report)
        elif status == "failed":
            parts.runs.fail(run_id, "no")
        elif status == "cancelled":
            parts.runs.cancel(run_id)
        elif status == "submitted":
            parts.runs.mark_submitted(run_id)
        return run_id

    return new


@pytest.fixture
def folder(settings: Settings, made: Path) -> Path:
    """Where this run's evidence lies."""
    return Path(shutil.copytree(made, settings.staging_path / "results" / "runs" / "one"))


@pytest.fixture
def run_id(new_run: Callable[..., str], folder: Path) -> str:
    found = new_run("completed", folder)
    edit_manifest(folder, lambda m: m.update(run_id=found))
    return found


@pytest.fixture
def ask(client: FlaskClient, run_id: str) -> Callable[..., Any]:
    """GET below the run; the body of a 200."""

    def get(path: str, **query: Any) -> Any:
        response = client.get(f"/api/runs/{run_id}/{path}", query_string=query)
        assert response.status_code == 200, response.text
        return response.json

    return get


def refused(
    client: FlaskClient, path: str, status: int, code: str, method: str = "GET", **query: Any
) -> dict[str, Any]:
    response = client.open(f"/api/runs/{path}", method=method, query_string=query)
    body = response.json
    assert (response.status_code, body["code"]) == (status, code), response.text
    assert body["error"]
    found: dict[str, Any] = body
    return found


# --- pages ------------------------------------------------------------------------------------------------------------


def test_a_page_is_a_rows_object(ask: Callable[..., Any], folder: Path):
    body = ask("evidence/unmatched_left", limit=3, offset=2)
    assert (body["set"], body["alias"], body["offset"], body["preview_rows"]) == (
        "unmatched_left",
        "invoices_csv",
        2,
        3,
    )
    assert (body["total_rows"], body["set_rows"]) == (8, 8)
    assert body["rows"] == Evidence(folder).rows("unmatched_left", 3, 2).rows
    assert body["columns"][0] == {"name": "_row", "data_type": "integer", "nullable": False, "number": True}
    numbers = {c["name"] for c in body["columns"] if c["number"]}
    assert numbers == {"_row", "amount"}  # a text that the rule reads as a number is one for people


def test_sort_search_filters_and_reason(ask: Callable[..., Any]):
    rows = ask("evidence/unmatched_left", sort="amount", order="desc")["rows"]
    amounts = [float(row[10]) for row in rows]
    assert amounts == sorted(amounts, reverse=True) and len(set(map(len, map(str, amounts)))) > 1
    body = ask("evidence/unmatched_left", q=" harbour ")
    assert (body["total_rows"], body["set_rows"], body["rows"][0][7]) == (1, 8, "Harbour & Sons Ltd")
    conditions = json.dumps(
        [{"column": "amount", "op": "gt", "value": 1000}, {"column": "currency", "op": "eq", "value": "EUR"}]
    )
    body = ask("evidence/unmatched_left", conditions=conditions, limit=1)
    assert (body["total_rows"], body["preview_rows"]) == (2, 1)
    assert ask("evidence/unmatched_left", reason="predicate")["rows"][0][5] == "INV-2026-0003"
    assert ask("evidence/unmatched_left", reason="predicate,no_key")["total_rows"] == 8
    assert ask("evidence/matched", limit=5000)["limit"] == 1000


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": 0}, "request.invalid_parameter"),
        ({"limit": "ten"}, "request.invalid_parameter"),
        ({"offset": -1}, "request.invalid_parameter"),
        ({"order": "up"}, "request.invalid_parameter"),
        ({"q": "x" * 201}, "request.invalid_parameter"),
        ({"reason": "because"}, "request.invalid_parameter"),
        ({"conditions": "{"}, "request.invalid_parameter"),
        ({"conditions": "{}"}, "request.invalid_parameter"),
        ({"conditions": '[{"column": "x", "op": "eq", "value": 1}]'}, "filter.unknown_column"),
        ({"conditions": '[{"column": "amount", "op": "is", "value": 1}]'}, "filter.unknown_op"),
        ({"conditions": '[{"column": "_row", "op": "eq", "value": "x"}]'}, "filter.invalid_value"),
        ({"sort": "nothing"}, "evidence.unknown_column"),
    ],
)
def test_parameters_that_do_not_fit(client: FlaskClient, run_id: str, query: dict[str, Any], code: str):
    refused(client, f"{run_id}/evidence/unmatched_left", 400, code, **query)


def test_a_place_far_behind_the_end_is_empty(ask: Callable[..., Any]):
    body = ask("evidence/matched", offset=10**17, sort="amount")
    assert (body["rows"], body["total_rows"]) == ([], 7)


# --- which runs have evidence -------------------------------------------------------------------------------------------

PATHS = ["evidence", "evidence/matched", "evidence/matched/download", "manifest", "evidence/unmatched_left/1/candidate"]


@pytest.mark.parametrize("path", PATHS)
def test_runs_without_evidence(client: FlaskClient, new_run: Callable[..., str], path: str):
    refused(client, f"{uuid.uuid4()}/{path}", 404, "run.not_found")
    refused(client, f"no-uuid/{path}", 404, "run.not_found")
    for status in ("pending", "submitted"):
        refused(client, f"{new_run(status)}/{path}", 409, "evidence.not_ready")
    for status in ("failed", "cancelled"):
        refused(client, f"{new_run(status)}/{path}", 404, "evidence.not_found")


def test_verify_of_runs_without_evidence(client: FlaskClient, new_run: Callable[..., str]):
    refused(client, f"{uuid.uuid4()}/verify", 404, "run.not_found", "POST")
    refused(client, f"{new_run('submitted')}/verify", 409, "evidence.not_ready", "POST")


def test_unknown_sets(client: FlaskClient, run_id: str):
    refused(client, f"{run_id}/evidence/everything", 404, "evidence.unknown_set")
    refused(client, f"{run_id}/evidence/everything/download", 404, "evidence.unknown_set")
    refused(client, f"{run_id}/evidence/matched/1/candidate", 404, "evidence.unknown_set")


@pytest.mark.parametrize(
    "place", ["/etc", "../../..", "s3://elsewhere/runs/one", "gs://kalla-results/runs/one", "relative/one"]
)
def test_folders_outside_are_never_read(
    client: FlaskClient, new_run: Callable[..., str], made: Path, tmp_path: Path, place: str
):
    copy = Path(shutil.copytree(made, tmp_path / "outside"))
    for address in (place, copy):
        found = new_run("completed", address)
        edit_manifest(copy, lambda m, found=found: m.update(run_id=found))
        body = refused(client, f"{found}/evidence/matched", 404, "evidence.not_found")
        assert str(tmp_path) not in json.dumps(body)


def test_links_do_not_lead_outside(client: FlaskClient, new_run: Callable[..., str], made: Path, settings: Settings):
    place = settings.staging_path / "results" / "runs" / "linked"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(made)
    refused(client, f"{new_run('completed', place)}/evidence/matched", 404, "evidence.not_found")


@pytest.mark.parametrize("form", ["s3://kalla-results/runs/one", "file://{folder}"])
def test_other_addresses_of_the_same_folder(client: FlaskClient, new_run: Callable[..., str], folder: Path, form: str):
    found = new_run("completed", form.format(folder=folder))
    edit_manifest(folder, lambda m: m.update(run_id=found))
    assert client.get(f"/api/runs/{found}/evidence/matched").status_code == 200


def test_evidence_of_another_run_is_not_shown(client: FlaskClient, new_run: Callable[..., str], folder: Path):
    refused(client, f"{new_run('completed', folder)}/evidence", 404, "evidence.not_found")


def test_lost_evidence(client: FlaskClient, run_id: str, folder: Path):
    (folder / "matched" / "part-00000.parquet").unlink()
    body = refused(client, f"{run_id}/evidence/matched", 500, "evidence.part_missing", sort="amount")
    assert str(folder) not in json.dumps(body) and "matched/part-00000.parquet" in body["error"]
    (folder / "manifest.json").write_text("{", encoding="utf-8")
    refused(client, f"{run_id}/evidence", 500, "evidence.unreadable")
    shutil.rmtree(folder)
    body = refused(client, f"{run_id}/evidence", 404, "evidence.not_found")
    assert str(folder) not in json.dumps(body)


# --- summary, cards, checks ---------------------------------------------------------------------------------------------


def test_summary(ask: Callable[..., Any], run_id: str):
    body = ask("evidence")
    assert body["run_id"] == run_id
    assert body["equation"]["left"]["difference"] == 0
    assert body["reasons"]["left"][0]["rows"] == 7
    assert body["control_totals"]["left"]["amount"]["difference"].startswith("0")


def test_candidate(client: FlaskClient, ask: Callable[..., Any], run_id: str):
    body = ask("evidence/unmatched_left/3/candidate")
    assert (body["gap"], body["candidate"]["row"]) == ("15.00", 3)
    refused(client, f"{run_id}/evidence/unmatched_left/1/candidate", 404, "evidence.unknown_row")
    refused(client, f"{run_id}/evidence/unmatched_left/{1 << 70}/candidate", 404, "evidence.unknown_row")
    refused(client, f"{run_id}/evidence/unmatched_left/x/candidate", 404, "route.not_found")


def test_verify(client: FlaskClient, run_id: str, folder: Path):
    body = client.post(f"/api/runs/{run_id}/verify").json
    assert body["ok"] is True
    assert body["manifest_sha256"] == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    (folder / "matched" / "more.parquet").write_bytes(b"")
    body = client.post(f"/api/runs/{run_id}/verify").json
    assert body["ok"] is False
    assert [c["name"] for c in body["checks"] if not c["ok"]] == ["files"]
    assert all(c["words"] and c["message"] for c in body["checks"])
    assert client.get(f"/api/runs/{run_id}/verify").status_code == 405


# --- files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_name", SETS)
def test_downloads(client: FlaskClient, run_id: str, folder: Path, set_name: str):
    page = Evidence(folder).rows(set_name, 1000)
    base = f"/api/runs/{run_id}/evidence/{set_name}/download"
    found = {name: client.get(base, query_string={"format": name}) for name in ("parquet", "csv", "xlsx")}
    for name, response in found.items():
        assert response.status_code == 200
        disposition = response.headers["Content-Disposition"]
        assert disposition == f'attachment; filename="invoice-payment-match-{run_id[:8]}-{set_name}.{name}"'
    assert client.get(base).data == found["parquet"].data
    assert pq.read_table(io.BytesIO(found["parquet"].data)).num_rows == page.total
    rows = list(csv.reader(io.StringIO(found["csv"].data.decode("utf-8-sig"), newline="")))
    assert rows[1:] == [[cell or "" for cell in row] for row in page.rows]
    sheet = openpyxl.load_workbook(io.BytesIO(found["xlsx"].data)).active
    assert sheet is not None and sheet.max_row == page.total + 1


def test_download_in_an_unknown_format(client: FlaskClient, run_id: str):
    refused(client, f"{run_id}/evidence/matched/download", 400, "request.invalid_parameter", format="pdf")


def test_manifest_byte_for_byte(client: FlaskClient, run_id: str, folder: Path):
    response = client.get(f"/api/runs/{run_id}/manifest")
    assert response.data == (folder / "manifest.json").read_bytes()
    assert response.mimetype == "application/json"


# --- around it ----------------------------------------------------------------------------------------------------------


def test_all_of_it_asks_for_the_token(guarded: FlaskClient):
    for path in PATHS:
        assert guarded.get(f"/api/runs/{uuid.uuid4()}/{path}").status_code == 401


def test_the_engine_is_not_loaded_with_the_app():
    code = (
        "import sys, webapp.api.evidence; print([m for m in ('duckdb', 'pyarrow', 'apache_beam') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
