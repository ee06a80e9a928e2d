"""GET /api/audit: who did what, newest first, without secrets."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.webapp.conftest import TOKEN


def test_what_is_changed_is_written_down(client: FlaskClient) -> None:
    for alias in ("ledger", "bank"):
        body = {
            "alias": alias,
            "uri": f"postgres://kalla:hush@db.example/books?table={alias}",
            "source_type": "postgres",
        }
        assert client.post("/api/sources", json=body).status_code == 200
    assert client.delete("/api/sources/ledger").status_code == 200
    found = client.get("/api/audit?limit=2").json
    assert [(entry["actor"], entry["action"], entry["subject"]) for entry in found] == [
        ("local", "source.delete", "ledger"),
        ("local", "source.save", "bank"),
    ]
    assert all(entry["created_at"].endswith("Z") for entry in found)
    assert len(client.get("/api/audit").json) == 3
    assert "hush" not in client.get("/api/audit").get_data(as_text=True)
    assert client.get("/api/audit?limit=0").json["code"] == "request.invalid_parameter"


def test_it_is_not_for_everybody(guarded: FlaskClient) -> None:
    assert guarded.get("/api/audit").status_code == 401
    assert guarded.get("/api/audit", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
