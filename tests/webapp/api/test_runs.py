"""Runs through the API: shown, listed, cancelled, started again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.api.asking import UNKNOWN, Document, finish, report, start
from tests.webapp.conftest import FakeDispatcher
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.settings import Settings

# --- show ----------------------------------------------------------------------------------------------


def test_the_run_object(client: FlaskClient, document: Document):
    run_id = start(client, document)
    run = client.get(f"/api/runs/{run_id}").json
    times = {name: run.pop(name) for name in ("created_at", "updated_at")}
    assert all(time.endswith("Z") for time in times.values())
    assert run.pop("recipe_snapshot") == document
    assert run == {
        "run_id": run_id, "recipe_id": "books", "status": "submitted",
        "matched_count": 0, "unmatched_left_count": 0, "unmatched_right_count": 0,
        "output_matched": None, "output_unmatched_left": None, "output_unmatched_right": None, "error_message": None,
        "latest_progress": None, "recipe_name": "Books", "started_at": None, "completed_at": None, "error_stage": None,
        "left_source": "ledger", "right_source": "bank", "left_record_count": 0, "right_record_count": 0,
        "matched_left_count": 0, "matched_right_count": 0, "match_rate": None, "warnings": [], "retry_of": None,
    }  # fmt: skip


def test_the_rate_is_of_records(client: FlaskClient, document: Document):
    """One invoice with three payments and one unpaid one: half of them matched (D9)."""
    run_id = start(client, document)
    finish(client, run_id, left=2, unmatched=1)
    run = client.get(f"/api/runs/{run_id}").json
    assert (run["matched_count"], run["matched_left_count"], run["match_rate"]) == (3, 1, 0.5)
    empty = start(client, document)
    finish(client, empty, left=0, unmatched=0)
    assert client.get(f"/api/runs/{empty}").json["match_rate"] is None


def test_lists(client: FlaskClient, document: Document):
    first = start(client, document)
    second = start(client, document | {"recipe_id": "other", "name": "Other"})
    finish(client, first)
    listed = client.get("/api/runs").json
    assert [r["run_id"] for r in listed] == [second, first]
    assert set(listed[0]) == {
        "run_id", "recipe_id", "status", "matched_count", "unmatched_left_count", "unmatched_right_count", "created_at",
        "updated_at", "recipe_name", "started_at", "completed_at", "match_rate",
    }  # fmt: skip
    for query, expected in [
        ("recipe_id=books", [first]),
        ("status=completed", [first]),
        ("status=submitted", [second]),
        ("recipe_id=books&status=failed", []),
        ("limit=1", [second]),
        ("limit=1&offset=1", [first]),
        ("recipe_id=nowhere", []),
    ]:
        assert [r["run_id"] for r in client.get(f"/api/runs?{query}").json] == expected, query
    assert listed[1]["match_rate"] == 0.5


@pytest.mark.parametrize("query", ["status=done", "status=", "limit=0", "limit=1001", "offset=x"])
def test_lists_refuse_what_they_do_not_know(client: FlaskClient, query: str):
    answer = client.get(f"/api/runs?{query}")
    assert (answer.status_code, answer.json["code"]) == (400, "request.invalid_parameter")


@pytest.mark.parametrize("run_id", [UNKNOWN, "7", "not-a-uuid", UNKNOWN.replace("-", "")])
def test_runs_that_are_not_there(client: FlaskClient, run_id: str):
    for answer in (
        client.get(f"/api/runs/{run_id}"),
        client.get(f"/api/runs/{run_id}/events"),
        client.post(f"/api/runs/{run_id}/cancel"),
        client.post(f"/api/runs/{run_id}/retry"),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "run.not_found")


# --- cancel, retry -------------------------------------------------------------------------------------


def test_cancel(client: FlaskClient, document: Document, dispatcher: FakeDispatcher, parts: Kalla):
    run_id = start(client, document)
    answer = client.post(f"/api/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json) == (200, {"run_id": run_id, "status": "cancelled"})
    assert dispatcher.cancelled == [run_id]
    assert report(client, "progress", run_id, stage="matching") == {"ok": True, "ignored": True}
    run = client.get(f"/api/runs/{run_id}").json
    assert (run["status"], run["latest_progress"]) == ("cancelled", None)
    again = client.post(f"/api/runs/{run_id}/cancel")
    assert (again.status_code, again.json["code"]) == (409, "run.final")
    assert [e.action for e in parts.audit.list(10, 0)] == ["run.cancel", "run.submit"]


def test_cancel_stands_when_the_runner_cannot_be_told(
    client: FlaskClient, document: Document, dispatcher: FakeDispatcher
):
    run_id = start(client, document)
    dispatcher.error = ServiceError("gone", code="runner.unreachable")
    answer = client.post(f"/api/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert "ignored" in answer.json["warning"]


def test_retry_runs_the_same_again(
    client: FlaskClient, with_file: Document, upload: Callable[..., str], dispatcher: FakeDispatcher, parts: Kalla
):
    secret = "postgres://u:geheim@erp.invalid/books?table=t"
    with_file["sources"]["right"] |= {"type": "postgres", "uri": secret, "alias": "erp"}
    client.post("/api/recipes", json=with_file)
    filters = [{"column": "amount", "op": "gt", "value": 5}]
    body = {
        "recipe_id": "books",
        "resolved_sources": [{"alias": "left_src", "uri": upload("id,ref,amount\n"), "filters": filters}],
    }
    first = client.post("/api/runs", json=body).json["run_id"]
    early = client.post(f"/api/runs/{first}/retry")
    assert (early.status_code, early.json["code"]) == (409, "run.not_final")
    finish(client, first)
    answer = client.post(f"/api/runs/{first}/retry")
    assert answer.status_code == 200, answer.json
    again = answer.json["run_id"]
    assert (again != first, answer.json["status"]) == (True, "submitted")
    one, two = dispatcher.jobs
    assert two["sources"] == one["sources"]
    assert two["sources"][1]["uri"] == secret
    assert (two["run_id"], two["output_path"] != one["output_path"]) == (again, True)
    assert client.get(f"/api/runs/{again}").json["retry_of"] == first
    assert parts.audit.list(1, 0)[0].action == "run.retry"


def test_retry_without_the_password(client: FlaskClient, document: Document):
    document["sources"]["left"] |= {"type": "postgres", "uri": "postgres://u:geheim@erp.invalid/books?table=t"}
    run_id = start(client, document)
    finish(client, run_id)
    answer = client.post(f"/api/runs/{run_id}/retry")
    assert (answer.status_code, answer.json["code"]) == (400, "source.masked_credentials")


def test_retry_without_the_file(
    client: FlaskClient, with_file: Document, upload: Callable[..., str], settings: Settings
):
    uri = upload("id,ref,amount\n")
    run_id = start(client, with_file, {"alias": "left_src", "uri": uri})
    finish(client, run_id)
    Path(settings.staging_path, "uploads", *uri.split("/")[3:]).unlink()
    answer = client.post(f"/api/runs/{run_id}/retry")
    assert (answer.status_code, answer.json["code"]) == (404, "upload.not_found")


# --- access --------------------------------------------------------------------------------------------


def test_runs_ask_for_the_token(make_app: Callable[..., Flask], document: Document):
    client = make_app(access_token="t", secret_key="s").test_client()
    for answer in (
        client.get("/api/runs"),
        client.post("/api/runs", json={"recipe": document}),
        client.get("/api/recipes"),
    ):
        assert (answer.status_code, answer.json["code"]) == (401, "auth.required")
