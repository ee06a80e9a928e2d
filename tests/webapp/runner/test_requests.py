"""What the runner takes and refuses, and how it says so."""

from __future__ import annotations

import csv
import json
import os
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.webapp.runner.helpers import SAMPLE, FakeLaunch, Receiver, job, until
from webapp.runner import runner_of
from webapp.signatures import sign

Start = Callable[..., FlaskClient]
BASE = "http://127.0.0.1:9/api/worker"


def source(alias: str = "left_src", **changes: Any) -> dict[str, Any]:
    return {"alias": alias, "uri": str(SAMPLE / "invoices.csv"), "type": "csv"} | changes


def with_left(**changes: Any) -> dict[str, Any]:
    return {"sources": [source(**changes), source("right_src", uri=str(SAMPLE / "payments.csv"))]}


def refused(client: FlaskClient, body: dict[str, Any], status: int, code: str) -> list[dict[str, Any]]:
    answer = client.post("/api/jobs", json=body)
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    assert answer.json["error"].endswith(".")
    details: list[dict[str, Any]] = answer.json.get("details", [])
    return details


def test_health_ready_metrics(runners: Start):
    client = runners()
    assert client.get("/health").json == {"status": "ok"}
    assert client.get("/ready").json == {"status": "ready"}
    text = client.get("/metrics").text
    for name in (
        "kalla_runner_active_jobs 0.0", "kalla_runner_queued_jobs 0.0", "kalla_runner_jobs_completed_total 0.0",
        "kalla_runner_jobs_failed_total 0.0", 'kalla_runner_rows_read_total{side="right"} 0.0',
        'kalla_runner_callbacks_failed_total{kind="progress"} 0.0',
        'kalla_runner_job_duration_seconds_count{stage="staging"} 0.0',
    ):  # fmt: skip
        assert name in text


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"run_id": "7"}, ["run_id"]),
        ({"run_id": 7, "match_sql": None, "output_path": ""}, ["run_id", "match_sql", "output_path"]),
        ({"callback_url": "ftp://h/x"}, ["callback_url"]),
        ({"callback_url": "http:///x"}, ["callback_url"]),
        ({"callback_url": "http://h:99999/x"}, ["callback_url"]),
        ({"callback_url": "http://h/a b"}, ["callback_url"]),
        ({"match_sql": "x" * 65_537}, ["match_sql"]),
        ({"match_sql": "SELECT FROM left_src"}, None),
        ({"sources": "both"}, ["sources"]),
        ({"sources": [source()]}, ["sources"]),
        ({"sources": [source(), source()]}, ["sources[1].alias"]),
        (with_left(uri=None), ["sources[0].uri"]),
        (with_left(uri=7), ["sources[0].uri"]),
        (with_left(uri="nowhere.csv"), ["sources[0].uri"]),
        (with_left(uri="postgres://h/d", type="postgres"), ["sources[0].uri"]),
        (with_left(type="oracle"), ["sources[0].type"]),
        (with_left(uri="/etc/passwd.csv"), ["sources[0].uri"]),
        (with_left(uri=f"{SAMPLE}/../../../../etc/x.csv"), ["sources[0].uri"]),
        (with_left(uri="s3://kalla-uploads/only-two/parts.csv"), ["sources[0].uri"]),
        (with_left(uri="s3://kalla-uploads/a/../b/c.csv"), ["sources[0].uri"]),
        (with_left(uri="mysql://u:pw@169.254.169.254/d?table=t", type="mysql"), ["sources[0].uri"]),
        (with_left(uri="postgres://u:pw@169.254.169.254/d?table=t", type="postgres"), ["sources[0].uri"]),
        (with_left(uri="sqlite:///etc/books.db?table=t", type="sqlite"), ["sources[0].uri"]),
        (with_left(filters=[{"column": "amount", "op": "is", "value": 1}]), ["sources[0].filters[0].op"]),
        (with_left(filters=[{"column": "amount", "op": "in", "value": []}]), ["sources[0].filters[0].value"]),
        (with_left(schema=["amount"]), ["sources[0].schema"]),
        (with_left(name="no blanks"), ["sources[0].name"]),
        ({"primary_keys": ["id"]}, ["primary_keys"]),
        ({"primary_keys": {"left_src": ["a"]}}, ["primary_keys.right_src"]),
        ({"primary_keys": {"left_src": [], "right_src": ["a", "a"]}}, ["primary_keys.left_src", "primary_keys.right_src[1]"]),
        ({"primary_keys": {"left_src": [str(n) for n in range(17)], "right_src": ["a"]}}, ["primary_keys.left_src"]),
    ],
)  # fmt: skip
def test_invalid_jobs(runners: Start, fake: FakeLaunch, changes: dict[str, Any], paths: list[str] | None):
    details = refused(runners(), job(BASE) | changes, 400, "job.invalid")
    if paths is not None:
        assert [d["path"] for d in details] == paths
    assert "pw" not in json.dumps(details) and not fake.requests


def test_paths_follow_the_order_of_the_sources(runners: Start):
    left, right = source(uri="/etc/a.csv"), source("right_src", uri=str(SAMPLE / "payments.csv"))
    details = refused(runners(), job(BASE, sources=[right, left]), 400, "job.invalid")
    assert [(d["path"], d["code"]) for d in details] == [("sources[1].uri", "source.path_forbidden")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sources": [source("invoices"), source("right_src")]}, "job.unknown_alias"),
        ({"sources": [source(None), source("right_src")]}, "job.unknown_alias"),  # type: ignore[arg-type]
        ({"primary_keys": {"left_src": ["a"], "right_src": ["a"], "bank": ["a"]}}, "job.unknown_alias"),
        ({"match_sql": "DROP TABLE left_src"}, "job.sql_forbidden"),
        ({"match_sql": "SELECT * FROM left_src l, right_src r, read_csv('/etc/passwd') p"}, "job.sql_forbidden"),
        ({"match_sql": "SELECT * FROM left_src l JOIN right_src r ON l.a = r.a; SELECT 1"}, "job.sql_forbidden"),
        ({"match_sql": "SELECT * FROM left_src l JOIN invoices r ON l.a = r.a"}, "job.sql_forbidden"),
        ({"output_path": "s3://elsewhere/runs/x/"}, "job.output_forbidden"),
        ({"output_path": "s3://kalla-results/../x"}, "job.output_forbidden"),
        ({"output_path": "s3://kalla-results/%2e%2e/x"}, "job.output_forbidden"),
        ({"output_path": "s3://kalla-results/"}, "job.output_forbidden"),
        ({"output_path": "s3://kalla-results/runs"}, "job.output_forbidden"),
        ({"output_path": "gs://kalla-results/runs/x"}, "job.output_forbidden"),
        ({"output_path": "/tmp"}, "job.output_forbidden"),
        ({"output_path": "file:///etc/kalla"}, "job.output_forbidden"),
        ({"output_path": "../outside"}, "job.output_forbidden"),
        ({"output_path": "."}, "job.output_forbidden"),
        ({"output_path": "runner/x"}, "job.output_forbidden"),
        ({"output_path": "runner"}, "job.output_forbidden"),
        ({"output_path": "uploads/x"}, "job.output_forbidden"),
        ({"output_path": "results"}, "job.output_forbidden"),
        ({"output_path": "a\0b"}, "job.output_forbidden"),
        ({"callback_url": "http://169.254.169.254/latest"}, "job.callback_forbidden"),
        ({"callback_url": "http://0.0.0.0:3000/x"}, "job.callback_forbidden"),
        ({"callback_url": "http://[fe80::1]/x"}, "job.callback_forbidden"),
        ({"callback_url": "http://u:p@127.0.0.1/x"}, "job.callback_forbidden"),
        ({"callback_url": "http://127.0.0.1/x?y=1"}, "job.callback_forbidden"),
    ],
)  # fmt: skip
def test_forbidden_jobs(runners: Start, fake: FakeLaunch, changes: dict[str, Any], code: str):
    refused(runners(), job(BASE) | changes, 400, code)
    assert not fake.requests


def test_a_link_leads_no_output_outside(runners: Start, tmp_path: Path):
    client = runners()
    (tmp_path / "staging" / "results").mkdir(parents=True)
    (tmp_path / "staging" / "results" / "link").symlink_to(tmp_path)
    refused(client, job(BASE, output_path="s3://kalla-results/link/x"), 400, "job.output_forbidden")
    refused(client, job(BASE, output_path="results/link/x"), 400, "job.output_forbidden")


def test_evidence_of_another_run_is_not_replaced(runners: Start, tmp_path: Path):
    client, theirs = runners(), tmp_path / "staging" / "mine"
    theirs.mkdir(parents=True)
    (theirs / "manifest.json").write_text(json.dumps({"run_id": str(uuid.uuid4())}))
    refused(client, job(BASE, output_path="mine"), 400, "job.output_forbidden")
    (theirs / "manifest.json").write_text("{")
    refused(client, job(BASE, output_path="mine"), 400, "job.output_forbidden")


@pytest.mark.parametrize("place", ["mine/run", "{staging}/mine/run", "file://{staging}/mine/run/"])
def test_local_outputs(runners: Start, fake: FakeLaunch, receiver: Receiver, tmp_path: Path, place: str):
    staging = tmp_path / "staging"
    body = job(receiver.url, output_path=place.format(staging=staging))
    assert runners().post("/api/jobs", json=body).status_code == 202
    final = receiver.wait_final(body["run_id"])
    assert fake.requests[0].output == str(staging / "mine" / "run")
    assert final.body["output_paths"]["matched"] == f"{staging}/mine/run/matched/"


def test_callback_origins(runners: Start, receiver: Receiver):
    client = runners(callback_origins=(f"http://127.0.0.1:{receiver.port}",))
    assert client.post("/api/jobs", json=job(receiver.url)).status_code == 202
    refused(client, job("http://127.0.0.1:1/x"), 400, "job.callback_forbidden")
    refused(client, job(f"http://localhost:{receiver.port}/x"), 400, "job.callback_forbidden")
    refused(client, job(f"https://127.0.0.1:{receiver.port}/x"), 400, "job.callback_forbidden")


def test_allowed_hosts_govern_callbacks(runners: Start, receiver: Receiver):
    client = runners(allowed_hosts=("127.0.0.1",))
    body = job(receiver.url)
    assert client.post("/api/jobs", json=body).status_code == 202
    assert receiver.wait_final(body["run_id"]).kind == "complete"
    refused(client, job("http://127.0.0.2/x"), 400, "job.callback_forbidden")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"a": NaN}', b'{"a": 1, "a": 2}'])
def test_no_json_object(runners: Start, data: bytes):
    answer = runners().post("/api/jobs", data=data)
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (400, "request.malformed_json")


def test_other_requests(runners: Start):
    client = runners()
    big = client.post("/api/jobs", data=b" " * (4 << 20) + b"{}")
    assert (big.status_code, big.json and big.json["code"]) == (413, "request.too_large")
    wrong = client.get("/api/jobs")
    assert (wrong.status_code, wrong.json and wrong.json["code"]) == (405, "route.method_not_allowed")
    assert "POST" in wrong.headers["Allow"]
    nowhere = client.get("/api/nowhere")
    assert (nowhere.status_code, nowhere.json and nowhere.json["code"]) == (404, "route.not_found")
    for run_id in (str(uuid.uuid4()), "x"):
        missing = client.get(f"/api/jobs/{run_id}")
        assert (missing.status_code, missing.json and missing.json["code"]) == (404, "job.not_found")
        assert client.post(f"/api/jobs/{run_id}/cancel").status_code == 404


def test_signatures(runners: Start, fake: FakeLaunch):
    client = runners(callback_secrets=("new", "old"))
    data = json.dumps(job(BASE)).encode()
    wrong = [None, "", sign("other", data), sign("new", data + b" "), sign("new", data, 1_000_000_000.0)]
    for value in wrong:
        headers = {} if value is None else {"X-Kalla-Signature": value}
        answer = client.post("/api/jobs", data=data, headers=headers)
        assert (answer.status_code, answer.json and answer.json["code"]) == (401, "callback.bad_signature")
    for path in ("/api/sources/x/load-scoped", f"/api/jobs/{uuid.uuid4()}/cancel"):
        assert client.post(path, json={}).status_code == 401
    assert client.get(f"/api/jobs/{uuid.uuid4()}").status_code == 401
    assert not fake.requests
    for secret in ("new", "old"):
        assert client.post("/api/jobs", data=data, headers={"X-Kalla-Signature": sign(secret, data)}).status_code == 202
    assert client.get("/health").status_code == client.get("/ready").status_code == 200


def test_the_same_job_is_executed_once(runners: Start, fake: FakeLaunch, receiver: Receiver):
    client, body = runners(), job(receiver.url)
    for _ in range(3):
        assert client.post("/api/jobs", json=body).status_code == 202
    receiver.wait_final(body["run_id"])
    again = client.post("/api/jobs", json=dict(reversed(body.items())))
    assert (again.status_code, again.json) == (202, {"run_id": body["run_id"], "status": "accepted"})
    refused(client, body | {"match_sql": body["match_sql"] + " "}, 409, "job.conflict")
    refused(client, body | {"run_id": body["run_id"].upper()}, 409, "job.conflict")
    assert fake.started(body["run_id"]) == 1 and len(receiver.finals(body["run_id"])) == 1


def test_runs_are_told_what_the_runner_knows_of_the_cluster(runners: Start, fake: FakeLaunch, receiver: Receiver):
    client = runners(runner="auto", job_endpoint="127.0.0.1:1")

    def known() -> bool:
        """Soon after the start, in the background; a run that starts before looks itself."""
        body = job(receiver.url)
        assert client.post("/api/jobs", json=body).status_code == 202
        receiver.wait_final(body["run_id"])
        choice = fake.requests[-1].choice
        return choice is not None and choice.runner == "direct" and choice.warning is not None

    until(known)


def test_at_most_so_many_at_once_and_a_full_queue(runners: Start, fake: FakeLaunch, receiver: Receiver):
    fake.hold.clear()
    client = runners(max_jobs=2, queue_size=3)
    jobs = [job(receiver.url) for _ in range(6)]
    for body in jobs[:2]:
        assert client.post("/api/jobs", json=body).status_code == 202
    until(lambda: len(fake.requests) == 2)
    for body in jobs[2:5]:
        assert client.post("/api/jobs", json=body).status_code == 202
    full = client.post("/api/jobs", json=jobs[5])
    assert (full.status_code, full.json and full.json["code"]) == (503, "runner.queue_full")
    assert int(full.headers["Retry-After"]) > 0
    assert client.post("/api/jobs", json=jobs[4]).status_code == 202
    not_ready = client.get("/ready")
    assert (not_ready.status_code, not_ready.json and not_ready.json["code"]) == (503, "runner.not_ready")
    text = client.get("/metrics").text
    assert "kalla_runner_active_jobs 2.0" in text and "kalla_runner_queued_jobs 3.0" in text
    states = [(client.get(f"/api/jobs/{b['run_id']}").json or {})["status"] for b in jobs[:5]]
    assert states == ["running"] * 2 + ["queued"] * 3
    fake.hold.set()
    for body in jobs[:5]:
        assert receiver.wait_final(body["run_id"]).kind == "complete"
    assert fake.most_at_once == 2 and client.get("/ready").status_code == 200
    # Two start at once, so their order is theirs; none is lost and none starts twice.
    assert sorted(r.run_id for r in fake.requests) == sorted(b["run_id"] for b in jobs[:5])


def test_cancel(runners: Start, fake: FakeLaunch, receiver: Receiver):
    fake.hold.clear()
    client = runners(max_jobs=1)
    running, waiting, third = (job(receiver.url) for _ in range(3))
    for body in (running, waiting, third):
        client.post("/api/jobs", json=body)
    until(lambda: fake.started(running["run_id"]) == 1)
    for body in (waiting, running):
        answer = client.post(f"/api/jobs/{body['run_id']}/cancel")
        assert (answer.status_code, answer.json) == (202, {"run_id": body["run_id"], "status": "cancelled"})
        again = client.post(f"/api/jobs/{body['run_id']}/cancel", json={})
        assert again.status_code == 202
    until(lambda: fake.started(third["run_id"]) == 1)  # the process of the cancelled one was killed
    fake.hold.set()
    receiver.wait_final(third["run_id"])
    assert fake.started(waiting["run_id"]) == 0
    for body in (running, waiting):
        assert (client.get(f"/api/jobs/{body['run_id']}").json or {})["status"] == "cancelled"
        assert not receiver.of(body["run_id"], "complete", "error")
        assert client.post("/api/jobs", json=body).status_code == 202
    late = client.post(f"/api/jobs/{third['run_id']}/cancel")
    assert (late.status_code, late.json and late.json["code"]) == (409, "job.final")


def test_a_closed_runner_takes_nothing(runners: Start, receiver: Receiver):
    client = runners()
    supervisor = runner_of(client.application)
    supervisor._state = "draining"
    refused(client, job(receiver.url), 503, "runner.not_ready")
    assert client.get("/ready").status_code == 503
    supervisor._state = "ready"


def test_the_document_that_is_run(runners: Start, fake: FakeLaunch, receiver: Receiver, tmp_path: Path):
    upload = tmp_path / "staging" / "uploads" / "chat" / "0d5bd3a4-6ce1-4cf2-8b43-0d7d8a1f2b11" / "may.csv"
    upload.parent.mkdir(parents=True)
    upload.write_text("invoice_id,amount\n1,2\n")
    uri = f"s3://kalla-uploads/chat/{upload.parent.name}/may.csv"
    filters = [{"column": "amount", "op": "gte", "value": "1.50"}]
    body = job(
        receiver.url, **with_left(uri=uri, type="file", name="ledger", schema=["invoice_id", "amount"], filters=filters)
    )
    body["recipe"] = {"recipe_id": "may", "name": "May", "description": "d", "match_description": "m"}
    client = runners(memory_limit="700MiB", partitions=3, exchange="s3://bucket/folder")
    answer = client.post("/api/jobs", json=body)
    assert answer.status_code == 202, answer.json
    receiver.wait_final(body["run_id"])
    request = fake.requests[0]
    assert isinstance(request.recipe, dict)
    assert request.recipe["sources"]["left"] == {
        "alias": "ledger", "type": "csv", "uri": f"file://{upload}", "primary_key": ["invoice_id"],
        "schema": ["invoice_id", "amount"], "filters": filters,
    }  # fmt: skip
    assert {k: request.recipe[k] for k in body["recipe"]} == body["recipe"]
    assert (request.partitions, request.memory_limit, request.overwrite) == (3, 700 << 20, True)
    assert request.roots == [str(tmp_path / "staging"), str(SAMPLE)]
    assert (request.staging, request.exchange) == (str(tmp_path / "staging" / "runner" / "work"), "s3://bucket/folder")


def test_load_scoped(runners: Start, tmp_path: Path):
    client = runners()
    uri = str(SAMPLE / "invoices.csv")
    answer = client.post("/api/sources/bank%20x/load-scoped", json={"uri": uri, "source_type": "csv", "limit": 2})
    assert answer.status_code == 200 and answer.json is not None
    assert (answer.json["alias"], answer.json["total_rows"], answer.json["preview_rows"]) == ("bank x", 15, 2)
    assert answer.json["columns"][0] == {"name": "invoice_id", "data_type": "string", "nullable": True}
    assert len(answer.json["rows"]) == 2 and all(isinstance(c, str | None) for r in answer.json["rows"] for c in r)
    condition = {"column": "amount", "op": "gt", "value": 4000}
    scoped = client.post(
        "/api/sources/b/load-scoped", json={"uri": uri, "source_type": "file", "conditions": [condition]}
    )
    with (SAMPLE / "invoices.csv").open(newline="") as file:
        amounts = [Decimal(row["amount"]) for row in csv.DictReader(file)]
    assert (scoped.json or {})["total_rows"] == sum(amount > 4000 for amount in amounts) > 0


def test_load_scoped_of_an_upload(runners: Start, tmp_path: Path):
    client = runners()
    folder = tmp_path / "staging" / "uploads" / "chat" / str(uuid.uuid4())
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("x\n1\n2\n")
    found = client.post("/api/sources/a/load-scoped", json={"csv_uri": f"s3://kalla-uploads/chat/{folder.name}/a.csv"})
    assert (found.json or {})["rows"] == [["1"], ["2"]]
    gone = client.post("/api/sources/a/load-scoped", json={"csv_uri": f"s3://kalla-uploads/chat/{folder.name}/b.csv"})
    assert (gone.status_code, gone.json and gone.json["code"]) == (404, "upload.not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "request.invalid_body"),
        ({"uri": 1, "source_type": "csv"}, 400, "request.invalid_body"),
        ({"uri": "{uri}", "source_type": "csv", "limit": 0}, 400, "request.invalid_body"),
        ({"uri": "{uri}", "source_type": "csv", "limit": True}, 400, "request.invalid_body"),
        ({"uri": "{uri}", "source_type": "csv", "conditions": {}}, 400, "request.invalid_body"),
        ({"uri": "{uri}", "source_type": "oracle"}, 400, "source.unsupported_type"),
        ({"uri": "{uri}", "source_type": "csv", "conditions": [{"column": "z", "op": "eq", "value": 1}]}, 400, "filter.unknown_column"),
        ({"uri": "{uri}", "source_type": "csv", "conditions": [{"column": "z", "op": "is", "value": 1}]}, 400, "filter.unknown_op"),
        ({"uri": "{uri}", "source_type": "csv", "conditions": [{"column": "amount", "op": "in", "value": []}]}, 400, "filter.invalid_value"),
        ({"uri": "/etc/x.csv", "source_type": "csv"}, 400, "source.path_forbidden"),
        ({"uri": "postgres://u:pw@169.254.169.254/d?table=t", "source_type": "postgres"}, 400, "source.host_forbidden"),
        ({"uri": "sqlite:///etc/books.db?table=t", "source_type": "sqlite"}, 400, "source.path_forbidden"),
        ({"uri": "mysql://u:pw@169.254.169.254/d?table=t", "source_type": "mysql"}, 400, "source.host_forbidden"),
        ({"uri": "mysql://u:pw@127.0.0.1:1/d?table=t", "source_type": "mysql"}, 502, "source.unreachable"),
        ({"uri": "postgres://u:pw@127.0.0.1:1/d?table=t", "source_type": "postgres"}, 502, "source.unreachable"),
        ({"uri": "postgres://u:pw@h/d", "source_type": "postgres"}, 400, "source.invalid_uri"),
        ({"csv_uri": "s3://elsewhere/a/b/c.csv"}, 400, "upload.invalid_uri"),
        ({"csv_uri": "/etc/passwd"}, 400, "upload.invalid_uri"),
    ],
)  # fmt: skip
def test_load_scoped_refusals(runners: Start, body: dict[str, Any], status: int, code: str):
    filled = {k: str(SAMPLE / "invoices.csv") if v == "{uri}" else v for k, v in body.items()}
    answer = runners().post("/api/sources/a/load-scoped", json=filled)
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    assert "pw" not in answer.text


def test_the_runner_s_folder_is_the_owner_s_alone(runners: Start, tmp_path: Path):
    runners()
    folder = tmp_path / "staging" / "runner"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {f.name: oct(f.stat().st_mode & 0o777) for f in folder.iterdir()} == {"lock": "0o600", "journal.db": "0o600"}
    assert os.listdir(folder)


def test_pages_of_the_web_get_nothing(runners: Start, receiver: Receiver):
    answer = runners().post("/api/jobs", json=job(receiver.url), headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json and answer.json["code"]) == (403, "auth.origin_refused")


def test_the_services_own_files_are_no_sources(runners: Start, tmp_path: Path):
    client = runners()
    folder = tmp_path / "staging" / "uploads" / "s" / "u"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "salaries.csv").write_text("name,salary\nAda,1\n")
    for uri, kind in (
        (f"file://{folder}/salaries.csv", "csv"),
        ("postgres://db.example/x?table=t&passfile=/etc/shadow", "postgres"),
    ):
        answer = client.post("/api/sources/x/load-scoped", json={"uri": uri, "source_type": kind, "conditions": []})
        assert answer.status_code == 400 and answer.json and answer.json["code"] == "source.path_forbidden", answer.json
