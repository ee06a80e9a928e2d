"""Callbacks of the runner: every order, repeats, late ones, forged ones."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webapp.context import Kalla
from webapp.signatures import HEADER, sign

OK, IGNORED = {"ok": True}, {"ok": True, "ignored": True}
PATHS = {name: f"/evidence/{name}/" for name in ("matched", "unmatched_left", "unmatched_right")}
RESULT = {
    "matched_count": 4, "unmatched_left_count": 1, "unmatched_right_count": 2,
    "left_record_count": 5, "right_record_count": 6, "output_paths": PATHS, "warnings": ["careful"],
}  # fmt: skip
STAGES = ("staging", "matching", "writing_results")


@dataclass
class Run:
    """A submitted run and its callbacks."""

    client: FlaskClient
    run_id: str

    def send(self, kind: str, **body: object) -> Any:
        answer = self.client.post(f"/api/worker/{kind}", json={"run_id": self.run_id, **body})
        assert answer.status_code == 200, answer.json
        return answer.json

    def get(self) -> Any:
        return json.loads(self.client.get(f"/api/runs/{self.run_id}").data)


def submitted(client: FlaskClient, data: Path, **left: str) -> Run:
    source = {"alias": "ledger", "type": "csv", "uri": str(data / "l.csv"), "primary_key": ["id"]}
    recipe = {
        "recipe_id": "books",
        "name": "Books",
        "match_sql": "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id",
        "sources": {"left": source | left, "right": source | {"alias": "bank"}},
    }
    answer = client.post("/api/runs", json={"recipe": recipe})
    assert answer.status_code == 200, answer.json
    return Run(client, answer.json["run_id"])


@pytest.fixture
def run(client: FlaskClient, data: Path) -> Run:
    return submitted(client, data)


def test_a_run_from_its_first_report_to_its_last(run: Run):
    assert run.send("progress", stage="staging", source="left_src", progress=0.5) == OK
    first = run.get()
    assert (first["status"], bool(first["started_at"]), first["completed_at"]) == ("running", True, None)
    assert run.send("progress", stage="matching", progress=0.6, matched_count=4, total_left=5, total_right=6) == OK
    assert run.send("progress", stage="writing_results", progress=0.3) == OK
    second = run.get()
    assert second["started_at"] == first["started_at"]
    progress = second["latest_progress"]
    assert progress.pop("updated_at").endswith("Z")
    # missing numbers keep the stored value
    assert progress == {
        "stage": "writing_results", "source": None, "progress": 0.3, "matched_count": 4, "total_left": 5,
        "total_right": 6, "waiting": False,
    }  # fmt: skip
    assert second["matched_count"] == 0
    assert run.send("complete", **RESULT) == OK
    last = run.get()
    assert last["status"] == "completed" and last["completed_at"]
    expected = {
        "matched_count": 4, "unmatched_left_count": 1, "unmatched_right_count": 2, "left_record_count": 5,
        "right_record_count": 6, "matched_left_count": 4, "matched_right_count": 4, "match_rate": 0.8,
        "output_matched": "/evidence/matched/", "output_unmatched_left": "/evidence/unmatched_left/",
        "output_unmatched_right": "/evidence/unmatched_right/", "warnings": ["careful"], "error_message": None,
    }  # fmt: skip
    assert {name: last[name] for name in expected} == expected


def test_waiting_lasts_until_the_next_report(run: Run):
    assert run.send("progress", stage="staging", progress=0.0, waiting=True) == OK
    assert run.get()["latest_progress"]["waiting"] is True
    assert run.send("progress", stage="staging", progress=0.5) == OK
    assert run.get()["latest_progress"]["waiting"] is False


def test_a_failure_keeps_its_stage_and_loses_its_secrets(run: Run):
    text = "The left source could not be read: postgres://u:geheim@erp/books?table=t refused, password=geheim"
    assert run.send("error", error=text, stage="staging") == OK
    last = run.get()
    assert (last["status"], last["error_stage"]) == ("failed", "staging")
    assert "geheim" not in last["error_message"] and "could not be read" in last["error_message"]
    assert last["completed_at"]


@pytest.mark.parametrize("end", ["complete", "error", "cancel"])
def test_nothing_follows_an_end(run: Run, end: str):
    run.send("progress", stage="matching", progress=0.5, matched_count=2)
    if end == "cancel":
        assert run.client.post(f"/api/runs/{run.run_id}/cancel").status_code == 200
    else:
        run.send(end, **(RESULT if end == "complete" else {"error": "no"}))
    before = run.get()
    assert run.send("progress", stage="writing_results", progress=1) == IGNORED
    assert run.send("complete", **RESULT | {"matched_count": 99}) == IGNORED
    assert run.send("error", error="late", stage="matching") == IGNORED
    assert run.get() == before


def test_a_late_report_of_an_earlier_stage_is_ignored(run: Run):
    run.send("progress", stage="matching", progress=0.2)
    before = run.get()["latest_progress"]
    assert run.send("progress", stage="staging", source="left_src", progress=1) == IGNORED
    assert run.get()["latest_progress"] == before


def test_a_result_without_any_progress(run: Run):
    assert run.send("complete", **RESULT) == OK
    assert run.get()["status"] == "completed"


def test_a_report_before_the_dispatch_has_returned(client: FlaskClient, data: Path, parts: Kalla):
    run_id = str(uuid.uuid4())
    parts.runs.insert(run_id, "books", "Books", {"sources": {"left": {}, "right": {}}}, "l", "r")
    run = Run(client, run_id)
    assert run.send("progress", stage="staging") == OK
    assert not parts.runs.mark_submitted(run_id)
    assert run.get()["status"] == "running"


def test_record_counts_may_come_with_the_progress(run: Run):
    run.send("progress", stage="matching", total_left=5, total_right=6)
    shorter = {name: value for name, value in RESULT.items() if not name.endswith("record_count")}
    run.send("complete", **shorter)
    last = run.get()
    assert (last["left_record_count"], last["matched_right_count"], last["match_rate"]) == (5, 4, 0.8)


def test_counts_beyond_32_bits(run: Run):
    many = 5_000_000_000
    run.send("complete", **RESULT | {"matched_count": many * 2, "left_record_count": many})
    last = run.get()
    assert (last["matched_count"], last["left_record_count"]) == (many * 2, many)


RANK = {"pending": 0, "submitted": 1, "running": 2, "completed": 3, "failed": 3, "cancelled": 3}
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("progress"), st.sampled_from(STAGES), st.floats(0, 1), st.integers(0, 9)),
        st.tuples(st.just("complete")),
        st.tuples(st.just("error")),
        st.tuples(st.just("cancel")),
        st.tuples(st.just("submitted")),
    ),
    max_size=8,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS)
def test_no_order_of_reports_leads_a_status_back(client: FlaskClient, parts: Kalla, events: list[tuple[Any, ...]]):
    """Against a model of the status table: forwards only, the first end stays, earlier stages change nothing."""
    run_id = str(uuid.uuid4())
    parts.runs.insert(run_id, "books", "Books", {"sources": {"left": {}, "right": {}}}, "l", "r")
    run, status, stage, count = Run(client, run_id), "pending", -1, None
    for event in events:
        final = RANK[status] == 3
        if event[0] == "progress":
            _, name, fraction, matched = event
            answer = run.send("progress", stage=name, progress=fraction, matched_count=matched)
            taken = not final and STAGES.index(name) >= stage
            if taken:
                status, stage, count = "running", STAGES.index(name), matched
            assert answer == (OK if taken else IGNORED)
        elif event[0] == "cancel":
            assert client.post(f"/api/runs/{run_id}/cancel").status_code == (409 if final else 200)
            status = status if final else "cancelled"
        elif event[0] == "submitted":
            parts.runs.mark_submitted(run_id)
            status = "submitted" if status == "pending" else status
        else:
            answer = run.send(event[0], **(RESULT if event[0] == "complete" else {"error": "no"}))
            assert answer == (IGNORED if final else OK)
            status = status if final else {"complete": "completed", "error": "failed"}[event[0]]
        shown = run.get()
        assert shown["status"] == status
        progress = shown["latest_progress"]
        assert (progress["matched_count"] if progress else None) == count


# --- bodies that are refused ---------------------------------------------------------------------------

BAD_PROGRESS: list[dict[str, object]] = [
    {}, {"stage": "sleeping"}, {"stage": None}, {"stage": ["staging"]}, {"stage": "staging", "progress": 1.01},
    {"stage": "staging", "progress": -0.1}, {"stage": "staging", "progress": "0.5"}, {"stage": "staging", "progress": True},
    {"stage": "staging", "source": 7}, {"stage": "matching", "matched_count": -1}, {"stage": "matching", "total_left": "5"},
    {"stage": "matching", "total_left": 1.5}, {"stage": "matching", "total_right": 2**63}, {"stage": "staging", "waiting": 1},
    {"stage": "staging", "waiting": "true"},
]  # fmt: skip
BAD_RESULT: list[dict[str, object]] = [
    RESULT | change
    for change in (
        {"matched_count": None}, {"matched_count": "4"}, {"matched_count": True}, {"unmatched_left_count": -1},
        {"output_paths": None}, {"output_paths": {"matched": "x"}}, {"output_paths": PATHS | {"matched": ""}},
        {"output_paths": PATHS | {"matched": 5}}, {"left_record_count": "5"}, {"warnings": "careful"}, {"warnings": [5]},
        {"left_record_count": 0}, {"right_record_count": 1}, {"matched_count": 2**63},
    )
]  # fmt: skip
BAD_ERROR: list[dict[str, object]] = [{}, {"error": ""}, {"error": 5}, {"error": "x", "stage": 5}]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *zip(itertools.repeat("progress"), BAD_PROGRESS, strict=False),
        *zip(itertools.repeat("complete"), BAD_RESULT, strict=False),
        *zip(itertools.repeat("error"), BAD_ERROR, strict=False),
    ],
)
def test_reports_that_are_none(run: Run, kind: str, body: dict[str, object]):
    answer = run.client.post(f"/api/worker/{kind}", json={"run_id": run.run_id, **body})
    assert (answer.status_code, answer.json["code"]) == (400, "callback.invalid")
    assert answer.json["details"]
    assert run.get()["status"] == "submitted"


@pytest.mark.parametrize("kind", ["progress", "complete", "error"])
def test_reports_of_no_run(client: FlaskClient, kind: str):
    body = {"progress": {"stage": "staging"}, "complete": RESULT, "error": {"error": "x"}}[kind]
    for run_id in (str(uuid.uuid4()), "7"):
        answer = client.post(f"/api/worker/{kind}", json={"run_id": run_id, **body})
        assert (answer.status_code, answer.json["code"]) == (404, "run.not_found")
    answer = client.post(f"/api/worker/{kind}", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "callback.invalid")
    answer = client.post(f"/api/worker/{kind}", data=b"{")
    assert (answer.status_code, answer.json["code"]) == (400, "request.malformed_json")


def test_warnings_are_kept_and_masked(run: Run):
    problem = {"path": "match_sql", "message": "seen in postgres://u:geheim@h/d", "code": "recipe.sql.x", "rows": 3}
    run.send("complete", **RESULT | {"warnings": ["a", problem]})
    assert run.get()["warnings"] == ["a", problem | {"message": "seen in postgres://u:***@h/d"}]


def test_texts_that_no_database_holds(run: Run):
    assert run.send("error", error="a\x00b", stage="staging") == OK
    assert run.get()["error_message"] == "a\ufffdb"


# --- signatures ----------------------------------------------------------------------------------------


@dataclass
class Signed:
    """A run of an app that asks for signatures; the secret ``new`` signs, ``old`` still counts."""

    run: Run

    def post(self, body: bytes, header: str | None) -> Any:
        headers = {} if header is None else {HEADER: header}
        return self.run.client.post("/api/worker/progress", data=body, headers=headers)

    @property
    def body(self) -> bytes:
        return json.dumps({"run_id": self.run.run_id, "stage": "staging"}).encode()


@pytest.fixture
def signed(make_app: Callable[..., Flask], data: Path) -> Signed:
    return Signed(submitted(make_app(callback_secrets=("new", "old")).test_client(), data))


@pytest.mark.parametrize("secret", ["new", "old"])
def test_a_signed_report(signed: Signed, secret: str):
    assert signed.post(signed.body, sign(secret, signed.body)).json == OK
    assert signed.post(signed.body, sign(secret, signed.body, time.time() - 290)).status_code == 200


def test_forged_reports_change_nothing(signed: Signed):
    body = signed.body
    good = sign("new", body)
    headers = [
        None, "", "t=1", good.upper(), good[:-1], good + "0", good.replace("v1=", "v2="), sign("guess", body),
        sign("new", body + b" "), sign("new", body, time.time() - 301), sign("new", body, time.time() + 301),
        good.replace("t=", "t=9"), good + ",v1=" + "0" * 64,
    ]  # fmt: skip
    for header in headers:
        answer = signed.post(body, header)
        assert (answer.status_code, answer.json["code"]) == (401, "callback.bad_signature"), header
    assert signed.run.get()["status"] == "submitted"


def test_the_signature_is_checked_before_the_body_is_read(signed: Signed):
    assert signed.post(b"{", None).status_code == 401
    assert signed.post(b"{", sign("new", b"{")).json["code"] == "request.malformed_json"


def test_reports_need_no_access_token(make_app: Callable[..., Flask]):
    client = make_app(access_token="t", secret_key="s").test_client()
    answer = client.post("/api/worker/error", json={"run_id": str(uuid.uuid4()), "error": "x"})
    assert (answer.status_code, answer.json["code"]) == (404, "run.not_found")


# --- what a run tells about its sources ----------------------------------------------------------------


def status_of(parts: Kalla, alias: str) -> str:
    found = parts.sources.get(alias)
    assert found is not None
    return found.status


def test_a_source_that_a_run_could_not_reach(client: FlaskClient, data: Path, parts: Kalla):
    for alias in ("ledger", "bank"):
        parts.sources.put(alias, str(data / "l.csv"), "csv")
    failing = submitted(client, data)
    failing.send("error", error="gone", stage="staging", source="left_src", code="source.unreachable")
    assert (status_of(parts, "ledger"), status_of(parts, "bank")) == ("error", "connected")
    submitted(client, data).send("complete", **RESULT)
    assert status_of(parts, "ledger") == "connected"


def test_a_run_with_another_address_says_nothing_about_the_source(client: FlaskClient, data: Path, parts: Kalla):
    parts.sources.put("ledger", str(data / "other.csv"), "csv")
    submitted(client, data).send("error", error="gone", source="left_src", code="source.unreachable")
    assert status_of(parts, "ledger") == "connected"


def test_data_that_does_not_fit_is_no_matter_of_reach(client: FlaskClient, data: Path, parts: Kalla):
    parts.sources.put("ledger", str(data / "l.csv"), "csv")
    submitted(client, data).send("error", error="row 7", source="left_src", code="source.csv_ragged")
    assert status_of(parts, "ledger") == "connected"
