"""Jobs from their acceptance to their one final callback, with real runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from flask.testing import FlaskClient

from tests.servers import free_port
from tests.webapp.runner.helpers import Receiver, job, run_processes, settings_of, until
from webapp.runner import create_runner, runner_of


def test_a_real_run(tmp_path: Path, receiver: Receiver):
    settings = settings_of(tmp_path)
    app = create_runner(settings)
    body = job(receiver.url + "/progress")
    try:
        answer = app.test_client().post("/api/jobs", json=body)
        assert (answer.status_code, answer.json) == (202, {"run_id": body["run_id"], "status": "accepted"})
        final = receiver.wait_final(body["run_id"])
        metrics = app.test_client().get("/metrics").text
        status = app.test_client().get(f"/api/jobs/{body['run_id']}").json
    finally:
        runner_of(app).close(5)
    shown = f"s3://kalla-results/runs/{body['run_id']}"
    assert final.kind == "complete"
    assert final.body | {"warnings": None} == {
        "run_id": body["run_id"], "matched_count": 7, "unmatched_left_count": 8, "unmatched_right_count": 8,
        "left_record_count": 15, "right_record_count": 15, "matched_left_count": 7, "matched_right_count": 7,
        "match_rate": pytest.approx(7 / 15), "warnings": None,
        "output_paths": {name: f"{shown}/{name}/" for name in ("matched", "unmatched_left", "unmatched_right")},
    }  # fmt: skip
    folder = settings.staging_path / "results" / "runs" / body["run_id"]
    assert (folder / "manifest.json").exists()
    assert pq.read_table(folder / "matched").num_rows == 7
    assert receiver.calls[-1] is final and len(receiver.finals(body["run_id"])) == 1
    first = receiver.calls[0]
    assert (first.kind, first.body["stage"]) == ("progress", "staging")
    assert status == {"run_id": body["run_id"], "status": "completed", "stage": "writing_results", "progress": 1.0}
    assert "kalla_runner_jobs_completed_total 1.0" in metrics
    assert 'kalla_runner_rows_read_total{side="left"} 15.0' in metrics
    assert 'kalla_runner_job_duration_seconds_count{stage="matching"} 1.0' in metrics


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Callable[..., FlaskClient]]:
    """Starts a runner whose runs are real ones."""
    started = []

    def start(overrides: dict[str, Any] | None = None, **changes: Any) -> FlaskClient:
        app = create_runner(settings_of(tmp_path, **changes), **(overrides or {}))
        started.append(app)
        return app.test_client()

    yield start
    for app in started:
        runner_of(app).close(5)


def test_a_cluster_that_is_away_is_told_in_the_final_callback(
    real: Callable[..., FlaskClient], receiver: Receiver
) -> None:
    """``auto`` goes on without it and says so."""
    nobody = f"127.0.0.1:{free_port()}"
    body = job(receiver.url + "/progress")
    real(runner="auto", job_endpoint=nobody).post("/api/jobs", json=body)
    final = receiver.wait_final(body["run_id"])
    assert (final.kind, final.body["matched_count"]) == ("complete", 7)
    assert any("not on the cluster" in str(warning) and nobody in str(warning) for warning in final.body["warnings"])


def test_a_cluster_asked_for_by_name_that_is_away_fails_the_run(
    real: Callable[..., FlaskClient], receiver: Receiver
) -> None:
    body = job(receiver.url + "/progress")
    real(runner="flink", job_endpoint=f"127.0.0.1:{free_port()}").post("/api/jobs", json=body)
    final = receiver.wait_final(body["run_id"])
    assert final.kind == "error" and "KALLA_JOB_ENDPOINT" in str(final.body)


def failed(client: FlaskClient, receiver: Receiver, body: dict[str, Any]) -> dict[str, Any]:
    """The error callback of a job that must fail; its folder holds nothing then."""
    answer = client.post("/api/jobs", json=body)
    assert answer.status_code == 202, answer.json
    final = receiver.wait_final(body["run_id"])
    assert final.kind == "error"
    assert (client.get(f"/api/jobs/{body['run_id']}").json or {})["status"] == "failed"
    assert "kalla_runner_jobs_failed_total 1.0" in client.get("/metrics").text
    return final.body


def test_a_column_that_is_missing(real: Callable[..., FlaskClient], receiver: Receiver):
    body = job(receiver.url, primary_keys={"left_src": ["invoice_number"], "right_src": ["payment_id"]})
    found = failed(real(), receiver, body)
    assert (found["stage"], found["code"]) == ("staging", "recipe.invalid")
    assert "invoice_number" in found["error"]


def test_a_source_that_cannot_be_read(real: Callable[..., FlaskClient], receiver: Receiver):
    body = job(receiver.url)
    body["sources"][0] |= {"uri": "postgres://kalla:tops3cret@127.0.0.1:1/d?table=t", "type": "postgres"}
    found = failed(real(), receiver, body)
    assert (found["stage"], found["code"]) == ("staging", "source.unreachable")
    assert "tops3cret" not in str(found)


def test_too_much_memory(real: Callable[..., FlaskClient], receiver: Receiver):
    found = failed(real({"memory_limit": 32 << 20}), receiver, job(receiver.url))
    assert found["code"] == "run.memory_exceeded"


def test_too_much_time_and_cancel(real: Callable[..., FlaskClient], receiver: Receiver, tmp_path: Path):
    """Every row with every row: it would take minutes."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("n\n" + "\n".join(map(str, range(60_000))))
    client = real(job_timeout_seconds=8, local_roots=(tmp_path,), max_jobs=2)

    def slow() -> dict[str, Any]:
        sources = [{"alias": f"{s}_src", "uri": str(tmp_path / f"{n}.csv")} for s, n in (("left", "a"), ("right", "b"))]
        sql = "SELECT l.n FROM left_src l JOIN right_src r ON l.n > r.n"
        return job(receiver.url, sources=sources, match_sql=sql, primary_keys={"left_src": ["n"], "right_src": ["n"]})

    cancelled, late = slow(), slow()
    assert client.post("/api/jobs", json=cancelled).status_code == 202
    results = tmp_path / "staging" / "results" / "runs"
    until(lambda: bool(list(results.glob(f".{cancelled['run_id']}.*"))), 30)
    assert client.post(f"/api/jobs/{cancelled['run_id']}/cancel").status_code == 202
    until(lambda: not run_processes(cancelled["run_id"]), 5)
    found = failed(client, receiver, late)
    assert found["code"] == "run.timeout" and not run_processes(late["run_id"])
    assert not receiver.finals(cancelled["run_id"])
    assert list(results.iterdir()) == []  # neither evidence nor the folders in which it was being made
