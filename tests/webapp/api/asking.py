"""Requests that several of the API's tests make."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from webapp.context import EXTENSION, Kalla

SQL = "SELECT l.id, r.no FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.paid, 0.01)"
CSV = "id;amount;note\n1;10,00;a\n2;20,00;\n3;20,00;c\n"
LEDGER = "postgres://kalla:s3cr3t%40x@127.0.0.1:1/books?table=fin.ledger&sslpassword=deep"
UNKNOWN = "6f2f4dbe-7f5a-4f6e-9d5c-0d8f5d2b7a11"
Document = dict[str, Any]


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


def register(client: FlaskClient, alias: str, uri: str, kind: str) -> Any:
    return client.post("/api/sources", json={"alias": alias, "uri": uri, "source_type": kind})


def stored_uri(app: Flask, alias: str) -> str:
    parts: Kalla = app.extensions[EXTENSION]
    record = parts.sources.get(alias)
    assert record is not None
    return record.uri
