"""Runs through the API: started, shown, cancelled, started again, followed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import FakeDispatcher
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.services import run_events
from webapp.settings import Settings

SQL = "SELECT l.id, r.no FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.paid, 0.01)"
UNKNOWN = "6f2f4dbe-7f5a-4f6e-9d5c-0d8f5d2b7a11"
Document = dict[str, Any]


@pytest.fixture
def document(data: Path) -> Document:
    (data / "left.csv").write_text("id,ref,amount\n1,A,1.00\n")
    (data / "right.csv").write_text("no,ref,paid\n7,A,1.01\n")
    return {
        "recipe_id": "books",
        "name": "Books",
        "description": "all of them",
        "match_sql": SQL,
        "match_description": "same reference",
        "sources": {
            "left": {"alias": "ledger", "type": "csv", "uri": str(data / "left.csv"), "primary_key": ["id"]},
            "right": {"alias": "bank", "type": "csv", "uri": str(data / "right.csv"), "primary_key": ["no"]},
        },
    }


@pytest.fixture
def with_file(document: Document) -> Document:
    """The left side is a disposable file."""
    changed = deepcopy(document)
    schema = ["id", "ref", "amount"]
    changed["sources"]["left"] = {"alias": "ledger", "type": "file", "schema": schema, "primary_key": ["id"]}
    return changed


@pytest.fixture
def upload(settings: Settings) -> Callable[..., str]:
    """``upload("a,b\\n")``: the s3_uri of a file that was uploaded."""

    def put(text: str, name: str = "left.csv") -> str:
        upload_id = str(uuid.uuid4())
        path = settings.staging_path / "uploads" / "chat" / upload_id / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return f"s3://kalla-uploads/chat/{upload_id}/{name}"

    return put


def start(client: FlaskClient, document: Document, *given: Document) -> str:
    answer = client.post("/api/runs", json={"recipe": document, "resolved_sources": list(given)})
    assert answer.status_code == 200, answer.json
    assert answer.json["status"] == "submitted"
    run_id: str = answer.json["run_id"]
    assert str(uuid.UUID(run_id)) == run_id
    return run_id


def refused(client: FlaskClient, body: object) -> tuple[int, str]:
    answer = client.post("/api/runs", json=body)
    return answer.status_code, answer.json["code"]


def report(client: FlaskClient, kind: str, run_id: str, **body: object) -> Any:
    answer = client.post(f"/api/worker/{kind}", json={"run_id": run_id, **body})
    assert answer.status_code == 200, answer.json
    return answer.json


def finish(client: FlaskClient, run_id: str, left: int = 2, unmatched: int = 1, warnings: tuple[str, ...] = ()) -> None:
    paths = {name: f"/e/{name}/" for name in ("matched", "unmatched_left", "unmatched_right")}
    report(
        client, "complete", run_id, matched_count=3, unmatched_left_count=unmatched, unmatched_right_count=0,
        left_record_count=left, right_record_count=3, output_paths=paths, warnings=list(warnings),
    )  # fmt: skip


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


# --- events --------------------------------------------------------------------------------------------


def read_events(pieces: Any) -> list[tuple[str, Any]]:
    text = "".join(piece if isinstance(piece, str) else piece.decode() for piece in pieces)
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_events_of_an_ended_run(client: FlaskClient, document: Document):
    run_id = start(client, document)
    finish(client, run_id)
    answer = client.get(f"/api/runs/{run_id}/events")
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert answer.headers["Cache-Control"] == "no-cache"
    (first, run), last = read_events([answer.data])
    expected = client.get(f"/api/runs/{run_id}").json
    expected.pop("recipe_snapshot")
    assert (first, run, last) == ("run", expected, ("end", {"status": "completed"}))
    assert answer.text.startswith("retry: ")


def test_events_follow_a_run_to_its_end(client: FlaskClient, document: Document, parts: Kalla):
    run_id = start(client, document)
    stream = run_events.events(parts, run_id, poll_seconds=0.01)
    heard = [next(stream)]
    report(client, "progress", run_id, stage="matching", progress=0.5)
    heard.append(next(stream))
    finish(client, run_id)
    heard += list(stream)
    events = read_events(heard)
    assert [name for name, _ in events] == ["run", "run", "run", "end"]
    assert [run["status"] for name, run in events] == ["submitted", "running", "completed", "completed"]
    assert events[1][1]["latest_progress"]["progress"] == 0.5


def test_a_quiet_stream_beats_and_ends_in_time(client: FlaskClient, document: Document, parts: Kalla):
    run_id = start(client, document)
    pieces = list(run_events.events(parts, run_id, most_seconds=0.1, poll_seconds=0.01, beat_seconds=0.02))
    assert 1 <= pieces.count(": still here\n\n") <= 5
    assert [name for name, _ in read_events(pieces)] == ["run"]


def test_too_many_streams_turn_into_polls(client: FlaskClient, document: Document, parts: Kalla):
    run_id = start(client, document)
    streams = [run_events.events(parts, run_id, poll_seconds=0.01) for _ in range(run_events.MOST_STREAMS)]
    try:
        for stream in streams:
            next(stream)
            report(client, "progress", run_id, stage="matching")
            next(stream)
        assert len(list(run_events.events(parts, run_id))) == 1
    finally:
        for stream in streams:
            stream.close()  # type: ignore[attr-defined]
    assert len(list(run_events.events(parts, run_id, most_seconds=0.05, poll_seconds=0.01, beat_seconds=0.01))) > 1


def test_a_stream_ends_when_the_database_does(
    client: FlaskClient, document: Document, parts: Kalla, monkeypatch: pytest.MonkeyPatch
):
    run_id = start(client, document)
    stream = run_events.events(parts, run_id, poll_seconds=0.01)
    next(stream)

    def gone(_: str) -> None:
        raise ServiceError("gone", code="database.unavailable")

    monkeypatch.setattr(parts.runs, "get", gone)
    assert list(stream) == []


# --- access --------------------------------------------------------------------------------------------


def test_runs_ask_for_the_token(make_app: Callable[..., Flask], document: Document):
    client = make_app(access_token="t", secret_key="s").test_client()
    for answer in (
        client.get("/api/runs"),
        client.post("/api/runs", json={"recipe": document}),
        client.get("/api/recipes"),
    ):
        assert (answer.status_code, answer.json["code"]) == (401, "auth.required")
