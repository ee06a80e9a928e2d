"""Runs through the API: what starts one, what is refused, and how it reaches the runner."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.webapp.api.asking import SQL, Document, finish, refused, report, start
from tests.webapp.conftest import FakeDispatcher
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.settings import Settings

# --- start ---------------------------------------------------------------------------------------------


def test_the_job_of_a_stored_recipe(
    client: FlaskClient, document: Document, dispatcher: FakeDispatcher, settings: Settings
):
    client.post("/api/recipes", json=document)
    answer = client.post("/api/runs", json={"recipe_id": "books"})
    assert (answer.status_code, answer.json["status"]) == (200, "submitted")
    run_id = answer.json["run_id"]
    (job,) = dispatcher.jobs
    sources = document["sources"]
    assert job == {
        "run_id": run_id,
        "callback_url": "http://127.0.0.1:3000/api/worker",
        "match_sql": SQL,
        "sources": [
            {"alias": "left_src", "name": "ledger", "type": "csv", "uri": sources["left"]["uri"]},
            {"alias": "right_src", "name": "bank", "type": "csv", "uri": sources["right"]["uri"]},
        ],
        "output_path": f"{settings.staging_path}/results/runs/{run_id}/",
        "primary_keys": {"left_src": ["id"], "right_src": ["no"]},
        "recipe": {
            "recipe_id": "books",
            "name": "Books",
            "description": "all of them",
            "match_description": "same reference",
        },
    }


def test_an_inline_recipe_wins_and_need_not_be_saved(
    client: FlaskClient, document: Document, dispatcher: FakeDispatcher
):
    client.post("/api/recipes", json=document)
    body = {"recipe_id": "books", "recipe": document | {"recipe_id": "draft", "name": "Draft"}}
    assert client.post("/api/runs", json=body).status_code == 200
    assert dispatcher.jobs[0]["recipe"]["name"] == "Draft"
    assert client.get("/api/recipes/draft").status_code == 404


@pytest.mark.parametrize(("alias", "place"), [("left_src", 0), ("right_src", 1), ("ledger", 0), ("bank", 1)])
def test_an_address_for_this_run_only(
    client: FlaskClient, document: Document, dispatcher: FakeDispatcher, data: Path, alias: str, place: int
):
    (data / "other.parquet").touch()
    start(client, document, {"alias": alias, "uri": str(data / "other.parquet")})
    sources = dispatcher.jobs[0]["sources"]
    assert (sources[place]["uri"], sources[place]["type"]) == (str(data / "other.parquet"), "parquet")
    assert sources[1 - place]["type"] == "csv"


def test_filters_of_this_run_replace_those_of_their_side(
    client: FlaskClient, document: Document, dispatcher: FakeDispatcher
):
    for side in ("left", "right"):
        document["sources"][side]["filters"] = [{"column": "ref", "op": "eq", "value": "old"}]
    fresh = [{"column": "amount", "op": "gt", "value": 5}]
    start(client, document, {"alias": "left_src", "uri": document["sources"]["left"]["uri"], "filters": fresh})
    start(client, document, {"alias": "right_src", "filters": []})
    first, second = dispatcher.jobs
    assert [s.get("filters") for s in first["sources"]] == [fresh, [{"column": "ref", "op": "eq", "value": "old"}]]
    assert [s.get("filters") for s in second["sources"]] == [[{"column": "ref", "op": "eq", "value": "old"}], None]


def test_a_table_against_itself_has_no_alias_of_a_side(client: FlaskClient, document: Document):
    document["sources"]["right"]["alias"] = "ledger"
    body = {"recipe": document, "resolved_sources": [{"alias": "ledger", "uri": "/x.csv"}]}
    assert refused(client, body) == (400, "run.unknown_alias")


def test_a_registered_source_is_resolved_at_the_start(
    client: FlaskClient, document: Document, parts: Kalla, dispatcher: FakeDispatcher
):
    del document["sources"]["left"]["uri"]
    parts.sources.put("ledger", "postgres://u:geheim@erp.invalid/books?table=t", "postgres")
    run_id = start(client, document)
    assert dispatcher.jobs[0]["sources"][0]["uri"] == "postgres://u:geheim@erp.invalid/books?table=t"
    assert dispatcher.jobs[0]["sources"][0]["type"] == "postgres"
    shown = client.get(f"/api/runs/{run_id}")
    assert b"geheim" not in shown.data
    assert shown.json["recipe_snapshot"]["sources"]["left"]["uri"] == "postgres://u:***@erp.invalid/books?table=t"


def test_masked_passwords_of_a_run(client: FlaskClient, document: Document, parts: Kalla, dispatcher: FakeDispatcher):
    masked = "postgres://u:***@erp.invalid/books?table=t"
    document["sources"]["left"] |= {"type": "postgres", "uri": masked}
    assert refused(client, {"recipe": document}) == (400, "source.masked_credentials")
    given = {"alias": "left_src", "uri": masked}
    assert refused(client, {"recipe": document, "resolved_sources": [given]}) == (400, "source.masked_credentials")
    parts.sources.put("any", "postgres://u:geheim@erp.invalid/books?table=other", "postgres")
    start(client, document)
    assert dispatcher.jobs[0]["sources"][0]["uri"] == masked.replace("***", "geheim")


def test_a_submission_is_noted(client: FlaskClient, document: Document, parts: Kalla):
    run_id = start(client, document)
    assert [(e.action, e.subject) for e in parts.audit.list(10, 0)] == [("run.submit", run_id)]


# --- files ---------------------------------------------------------------------------------------------


def test_a_disposable_file(
    client: FlaskClient, with_file: Document, upload: Callable[..., str], dispatcher: FakeDispatcher
):
    uri = upload("\ufeffref, amount ,id,more\nA,1,1,x\n")
    run_id = start(client, with_file, {"alias": "ledger", "uri": uri})
    assert dispatcher.jobs[0]["sources"][0] == {
        "alias": "left_src", "name": "ledger", "type": "csv", "uri": uri, "schema": ["id", "ref", "amount"]
    }  # fmt: skip
    assert client.get(f"/api/runs/{run_id}").json["left_source"] == "ledger"


def test_a_file_that_lacks_columns(client: FlaskClient, with_file: Document, upload: Callable[..., str]):
    given = {"alias": "left_src", "uri": upload("ref,Amount,more\nA,1,1\n")}
    answer = client.post("/api/runs", json={"recipe": with_file, "resolved_sources": [given]})
    assert (answer.status_code, answer.json["code"]) == (400, "run.schema_mismatch")
    found = {d["column"]: d["suggestions"] for d in answer.json["details"]}
    assert found == {"id": [], "amount": ["Amount"]}
    assert "'id', 'amount'" in answer.json["error"]
    assert "it has 'Amount', 'more'." in answer.json["error"]
    assert client.get("/api/runs").json == []


@pytest.mark.parametrize(
    "given", [[], [{"alias": "left_src", "filters": []}], [{"alias": "left_src", "uri": "/tmp/x.csv"}]]
)
def test_a_file_is_asked_for(client: FlaskClient, with_file: Document, given: list[Document]):
    assert refused(client, {"recipe": with_file, "resolved_sources": given}) == (400, "run.file_required")


def test_an_upload_that_is_not_there(client: FlaskClient, with_file: Document):
    given = {"alias": "left_src", "uri": f"s3://kalla-uploads/chat/{uuid.uuid4()}/left.csv"}
    assert refused(client, {"recipe": with_file, "resolved_sources": [given]}) == (404, "upload.not_found")


def test_an_upload_that_cannot_be_read(client: FlaskClient, with_file: Document, upload: Callable[..., str]):
    given = {"alias": "left_src", "uri": upload("")}
    assert refused(client, {"recipe": with_file, "resolved_sources": [given]})[0] == 400


def test_an_upload_elsewhere_in_the_bucket(client: FlaskClient, with_file: Document):
    for uri in ("s3://kalla-uploads/a/b/c.csv", "s3://kalla-uploads/../x.csv"):
        given = {"alias": "left_src", "uri": uri}
        assert refused(client, {"recipe": with_file, "resolved_sources": [given]}) == (400, "upload.invalid_uri")


def test_a_kept_upload_may_be_replaced_for_one_run(
    client: FlaskClient, document: Document, upload: Callable[..., str], dispatcher: FakeDispatcher
):
    kept, other = upload("id,ref,amount\n"), upload("id,ref,amount,x\n", "other.csv")
    document["sources"]["left"] |= {"type": "csv_upload", "uri": kept, "schema": ["id", "gone"]}
    start(client, document)
    start(client, document, {"alias": "left_src", "uri": other})
    assert [job["sources"][0]["uri"] for job in dispatcher.jobs] == [kept, other]
    given = {"alias": "left_src", "uri": upload("ref,amount\n")}
    assert refused(client, {"recipe": document, "resolved_sources": [given]}) == (400, "run.schema_mismatch")


# --- refusals ------------------------------------------------------------------------------------------


def test_what_a_run_needs(client: FlaskClient, document: Document):
    assert refused(client, {}) == (400, "run.recipe_required")
    assert refused(client, {"recipe_id": "nowhere"}) == (404, "recipe.not_found")
    assert refused(client, {"recipe_id": 7}) == (400, "request.invalid_body")
    assert refused(client, {"recipe": document | {"name": ""}}) == (400, "recipe.invalid")
    assert refused(client, {"recipe": "books"}) == (400, "recipe.invalid")
    del document["sources"]["left"]["uri"]
    assert refused(client, {"recipe": document}) == (400, "run.source_missing")
    assert client.post("/api/runs", data=b"{").json["code"] == "request.malformed_json"
    assert client.get("/api/runs").json == []


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"alias": "left_src"}, "request.invalid_body"),
        ("left_src", "request.invalid_body"),
        ([5], "request.invalid_body"),
        ([{"alias": "left_src"}], "request.invalid_body"),
        ([{"alias": 5, "uri": "/x.csv"}], "request.invalid_body"),
        ([{"alias": "left_src", "uri": 5}], "request.invalid_body"),
        ([{"alias": "left_src", "filters": []}, {"alias": "ledger", "filters": []}], "request.invalid_body"),
        ([{"alias": "nobody", "uri": "/x.csv"}], "run.unknown_alias"),
        ([{"alias": "left_src", "uri": "nowhere://x"}], "source.invalid_uri"),
        ([{"alias": "left_src", "uri": "/etc/passwd.csv"}], "source.path_forbidden"),
        ([{"alias": "left_src", "uri": "postgres://u@169.254.169.254/d?table=t"}], "source.host_forbidden"),
        ([{"alias": "left_src", "filters": [{"column": "ref", "op": "is", "value": "x"}]}], "filter.unknown_op"),
        ([{"alias": "left_src", "filters": [{"column": "ref", "op": "in", "value": []}]}], "filter.invalid_value"),
        ([{"alias": "left_src", "filters": "none"}], "filter.invalid_value"),
    ],
)
def test_what_a_run_may_be_given(client: FlaskClient, document: Document, given: object, code: str):
    answer = client.post("/api/runs", json={"recipe": document, "resolved_sources": given})
    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert client.get("/api/runs").json == []


def test_paths_of_bad_filters(client: FlaskClient, document: Document):
    given = [
        {"alias": "right_src", "filters": []},
        {"alias": "left_src", "filters": [{"column": "a", "op": "is", "value": 1}]},
    ]
    answer = client.post("/api/runs", json={"recipe": document, "resolved_sources": given})
    assert [d["path"] for d in answer.json["details"]] == ["resolved_sources[1].filters[0].op"]


def test_filters_are_checked_against_an_uploaded_file(
    client: FlaskClient, with_file: Document, upload: Callable[..., str]
):
    filters = [{"column": "colour", "op": "eq", "value": "red"}]
    given = {"alias": "left_src", "uri": upload("id,ref,amount\n"), "filters": filters}
    answer = client.post("/api/runs", json={"recipe": with_file, "resolved_sources": [given]})
    assert (answer.status_code, answer.json["code"]) == (400, "filter.unknown_column")
    assert answer.json["details"][0]["path"] == "resolved_sources[0].filters[0].column"


def test_filters_are_checked_against_a_file_of_this_machine(client: FlaskClient, document: Document, data: Path):
    filters = [{"column": "amnt", "op": "eq", "value": "1"}]
    body = {"recipe": document, "resolved_sources": [{"alias": "left_src", "filters": filters}]}
    assert refused(client, body) == (400, "filter.unknown_column")
    (data / "left.csv").unlink()
    start(client, document, {"alias": "left_src", "filters": filters})  # the run tells what is wrong with the file


# --- dispatch ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["run.dispatch_failed", "runner.unreachable"])
def test_a_job_that_cannot_be_handed_over(
    client: FlaskClient, document: Document, dispatcher: FakeDispatcher, code: str
):
    dispatcher.error = ServiceError("The queue is full.", code=code, hint="Try again.", headers={"Retry-After": "9"})
    answer = client.post("/api/runs", json={"recipe": document})
    assert (answer.status_code, answer.json["code"]) == (502, "run.dispatch_failed")
    assert answer.headers["Retry-After"] == "9"
    run_id = answer.json["details"][0]["run_id"]
    run = client.get(f"/api/runs/{run_id}").json
    assert (run["status"], run["error_message"], run["error_stage"]) == (
        "failed",
        "The queue is full. Try again.",
        "dispatch",
    )
    assert run["completed_at"]


def test_the_run_is_there_before_the_job_is_handed_over(
    client: FlaskClient, document: Document, dispatcher: FakeDispatcher
):
    """Callbacks may overtake the answer to the dispatch."""
    seen = []

    def submit(job: Any) -> None:
        seen.append(client.get(f"/api/runs/{job['run_id']}").json["status"])
        finish(client, job["run_id"])

    dispatcher.submit = submit  # type: ignore[method-assign, assignment]
    run_id = start(client, document)
    assert seen == ["pending"]
    assert client.get(f"/api/runs/{run_id}").json["status"] == "completed"


def test_a_run_cancelled_while_it_is_handed_over_is_stopped(
    client: FlaskClient, document: Document, dispatcher: FakeDispatcher
):
    dispatcher.submit = lambda job: client.post(f"/api/runs/{job['run_id']}/cancel")  # type: ignore[method-assign, assignment, return-value]
    run_id = start(client, document)
    assert dispatcher.cancelled == [run_id, run_id]  # the runner may not have known it the first time
    assert client.get(f"/api/runs/{run_id}").json["status"] == "cancelled"


@pytest.mark.parametrize("fails", ["mark_submitted", "get"])
def test_a_job_that_was_handed_over_is_no_error(
    client: FlaskClient,
    document: Document,
    parts: Kalla,
    dispatcher: FakeDispatcher,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
):
    """The database went away after the hand-over: whoever got an error would start the run a second time."""

    def gone(*_: object) -> bool:
        raise ServiceError("gone", code="database.unavailable")

    if fails == "get":
        monkeypatch.setattr(parts.runs, "mark_submitted", lambda _: False)
    monkeypatch.setattr(parts.runs, fails, gone)
    run_id = start(client, document)
    monkeypatch.undo()
    assert [job["run_id"] for job in dispatcher.jobs] == [run_id]
    assert client.get(f"/api/runs/{run_id}").json["status"] == "pending"
    report(client, "progress", run_id, stage="staging")
    assert client.get(f"/api/runs/{run_id}").json["status"] == "running"


def test_nothing_is_handed_over_that_was_not_noted(
    client: FlaskClient, document: Document, parts: Kalla, dispatcher: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
):
    def gone(*_: object) -> None:
        raise ServiceError("gone", code="database.unavailable")

    monkeypatch.setattr(parts.audit, "record", gone)
    assert refused(client, {"recipe": document}) == (503, "database.unavailable")
    assert dispatcher.jobs == []
