"""/api/uploads on the embedded store: links, arrival, preview, confirm, end."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import TOKEN
from webapp.context import EXTENSION, Kalla
from webapp.services import uploads
from webapp.settings import Settings

CSV = b"id,name\n1,a\n2,\n"
SQL = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def presign(client: FlaskClient, name: str = "bank.csv", **headers: str) -> dict[str, str]:
    answer = client.post("/api/uploads/presign", json={"filename": name, "session_id": "s-1"}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json
    return found


def send(client: FlaskClient, content: bytes, name: str = "bank.csv") -> dict[str, str]:
    link = presign(client, name)
    assert client.put(link["presigned_url"], data=content).status_code == 200
    return link


def stored(settings: Settings) -> list[Path]:
    return [p for p in (settings.staging_path / "uploads").rglob("*") if p.is_file()]


# --- links ---------------------------------------------------------------------------------------------


def test_a_link(client: FlaskClient):
    link = presign(client, "Kontoauszug März 50% off.CSV")
    assert set(link) == {"upload_id", "presigned_url", "s3_uri"}
    assert link["s3_uri"] == f"s3://kalla-uploads/s-1/{link['upload_id']}/Kontoauszug März 50% off.CSV"
    parts = urlsplit(link["presigned_url"])
    assert (parts.scheme, parts.netloc, parts.path) == (
        "http",
        "localhost",
        f"/api/uploads/{link['upload_id']}/content",
    )


def test_links_are_for_the_address_that_the_browser_uses(client: FlaskClient):
    assert presign(client, Host="localhost:3000")["presigned_url"].startswith("http://localhost:3000/api/")
    behind = presign(client, Host="localhost", **{"X-Forwarded-Proto": "https"})
    assert behind["presigned_url"].startswith("https://localhost/api/")
    told = presign(client, Host="localhost", Origin="https://localhost")
    assert told["presigned_url"].startswith("https://localhost/api/")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "request.invalid_body"),
        ({"filename": "a.csv"}, "request.invalid_body"),
        ({"filename": 1, "session_id": "s"}, "request.invalid_body"),
        ({"filename": "a.csv", "session_id": ""}, "request.invalid_body"),
        ({"filename": "a.csv", "session_id": "../x"}, "request.invalid_body"),
        ({"filename": "a.csv", "session_id": "s" * 65}, "request.invalid_body"),
        ({"filename": "a.csv", "session_id": "ü"}, "request.invalid_body"),
        ({"filename": "", "session_id": "s"}, "upload.invalid_name"),
        ({"filename": "../../etc/a.csv", "session_id": "s"}, "upload.invalid_name"),
        ({"filename": "a\x00.csv", "session_id": "s"}, "upload.invalid_name"),
        ({"filename": "x" * 252 + ".csv", "session_id": "s"}, "upload.invalid_name"),
        ({"filename": "a.xlsx", "session_id": "s"}, "upload.unsupported_type"),
        ({"filename": "a", "session_id": "s"}, "upload.unsupported_type"),
    ],
)
def test_links_that_are_refused(client: FlaskClient, body: dict[str, object], code: str):
    answer = client.post("/api/uploads/presign", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, code)


def test_a_link_takes_one_file_once(client: FlaskClient, settings: Settings):
    link = presign(client)
    first = client.put(link["presigned_url"], data=CSV)
    assert (first.status_code, first.json) == (200, {"upload_id": link["upload_id"], "size": len(CSV)})
    again = client.put(link["presigned_url"], data=b"other")
    assert (again.status_code, again.json["code"]) == (409, "upload.link_used")
    assert [p.read_bytes() for p in stored(settings)] == [CSV]


def test_forged_links(client: FlaskClient, make_app: Callable[..., Flask], settings: Settings):
    link, other = presign(client), presign(client)
    token = parse_qs(urlsplit(link["presigned_url"]).query)["token"][0]
    foreign = presign(make_app(secret_key="another key").test_client())
    foreign_token = parse_qs(urlsplit(foreign["presigned_url"]).query)["token"][0]
    tries = [
        f"/api/uploads/{link['upload_id']}/content",
        f"/api/uploads/{link['upload_id']}/content?token=",
        f"/api/uploads/{link['upload_id']}/content?token={token[:-1]}",
        f"/api/uploads/{link['upload_id']}/content?token=A{token}",
        f"/api/uploads/{other['upload_id']}/content?token={token}",
        f"/api/uploads/{foreign['upload_id']}/content?token={foreign_token}",
        f"/api/uploads/{link['upload_id']}/content?token=é.\x00",
    ]
    for url in tries:
        answer = client.put(url, data=CSV)
        assert (answer.status_code, answer.json["code"]) == (403, "upload.link_invalid")
    assert stored(settings) == []


def test_links_expire(client: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    link = presign(client)
    monkeypatch.setattr(uploads, "LINK_SECONDS", -1)
    answer = client.put(link["presigned_url"], data=CSV)
    assert (answer.status_code, answer.json["code"]) == (403, "upload.link_expired")
    assert stored(settings) == []


def test_a_link_is_its_own_permission(guarded: FlaskClient):
    assert guarded.post("/api/uploads/presign", json={"filename": "a.csv", "session_id": "s"}).status_code == 401
    link = presign(guarded, **BEARER)
    assert guarded.put(link["presigned_url"], data=CSV).status_code == 200
    assert guarded.post("/api/uploads/preview", json={"s3_uri": link["s3_uri"]}).status_code == 401
    refused = guarded.put(
        presign(guarded, **BEARER)["presigned_url"], data=CSV, headers={"Origin": "https://evil.example"}
    )
    assert (refused.status_code, refused.json["code"]) == (403, "auth.origin_refused")


# --- size ----------------------------------------------------------------------------------------------


def test_files_over_the_limit(make_app: Callable[..., Flask], settings: Settings):
    client = make_app(max_upload_bytes=100).test_client()
    announced = client.put(presign(client)["presigned_url"], data=b"x" * 101)
    assert (announced.status_code, announced.json["code"]) == (413, "upload.too_large")
    chunked = client.put(
        presign(client)["presigned_url"],
        input_stream=io.BytesIO(b"x" * 101),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert (chunked.status_code, chunked.json["code"]) == (413, "upload.too_large")
    assert stored(settings) == []
    assert client.put(presign(client)["presigned_url"], data=b"x" * 100).status_code == 200


def test_the_limit_of_json_bodies_does_not_hold_for_files(client: FlaskClient, settings: Settings):
    content = b"id\n" + b"1\n" * (3 * 1024 * 1024)
    link = send(client, content)
    assert [p.stat().st_size for p in stored(settings)] == [len(content)]
    assert client.post("/api/uploads/preview", json={"s3_uri": link["s3_uri"]}).json["row_count"] == 3 * 1024 * 1024


def test_a_sender_that_goes_away(client: FlaskClient, settings: Settings):
    link = presign(client)
    answer = client.put(link["presigned_url"], data=b"only this", environ_overrides={"CONTENT_LENGTH": "100"})
    assert answer.status_code == 400
    assert stored(settings) == []
    assert client.put(link["presigned_url"], data=CSV).status_code == 200  # the link still holds


def test_a_limit_lowered_later(make_app: Callable[..., Flask]):
    link = send(make_app().test_client(), CSV)
    answer = make_app(max_upload_bytes=3).test_client().post("/api/uploads/preview", json={"s3_uri": link["s3_uri"]})
    assert (answer.status_code, answer.json["code"]) == (413, "upload.too_large")


# --- preview and confirm -------------------------------------------------------------------------------


def look(client: FlaskClient, link: dict[str, str], name: str = "bank.csv") -> tuple[Any, Any]:
    """The bodies of preview and confirm, which must agree."""
    seen = client.post("/api/uploads/preview", json={"s3_uri": link["s3_uri"]})
    body = {"s3_uri": link["s3_uri"], "filename": name}
    confirmed = client.post(f"/api/uploads/{link['upload_id']}/confirm", json=body)
    assert seen.status_code == confirmed.status_code
    return seen.json, confirmed.json


def test_preview_and_confirm(client: FlaskClient):
    link = send(client, CSV)
    seen, confirmed = look(client, link)
    assert seen == {
        "columns": ["id", "name"],
        "row_count": 2,
        "sample": [{"id": "1", "name": "a"}, {"id": "2", "name": None}],
    }
    assert confirmed == {
        "upload_id": link["upload_id"],
        "filename": "bank.csv",
        "s3_uri": link["s3_uri"],
        "columns": ["id", "name"],
        "row_count": 2,
    }


@pytest.mark.parametrize(
    ("content", "columns", "rows", "sample"),
    [
        (b"a;b\r\n1;2\r\n", ["a", "b"], 1, [{"a": "1", "b": "2"}]),
        (b"a\tb\n1\t2\n", ["a", "b"], 1, [{"a": "1", "b": "2"}]),
        (b"a|b\n1|2\n", ["a", "b"], 1, [{"a": "1", "b": "2"}]),
        (b'a,b\n"1,5","x\ny"\n', ["a", "b"], 1, [{"a": "1,5", "b": "x\ny"}]),
        ("\ufeffä,b\n1,2\n".encode(), ["ä", "b"], 1, [{"ä": "1", "b": "2"}]),
        ("ä,b\n1,2\n".encode("utf-16"), ["ä", "b"], 1, [{"ä": "1", "b": "2"}]),
        (b"a,,c\n1,2,3\n", ["a", "column_2", "c"], 1, [{"a": "1", "column_2": "2", "c": "3"}]),
        (b"a,b\n", ["a", "b"], 0, []),
        (b"a,b", ["a", "b"], 0, []),
        (b"id\n00123\n", ["id"], 1, [{"id": "00123"}]),
    ],
)
def test_dialects(client: FlaskClient, content: bytes, columns: list[str], rows: int, sample: list[dict[str, str]]):
    seen, confirmed = look(client, send(client, content))
    assert (seen["columns"], seen["row_count"], seen["sample"]) == (columns, rows, sample)
    assert (confirmed["columns"], confirmed["row_count"]) == (columns, rows)


def test_samples_have_at_most_ten_rows(client: FlaskClient):
    seen, _ = look(client, send(client, b"id\n" + b"".join(b"%d\n" % i for i in range(50))))
    assert (len(seen["sample"]), seen["row_count"]) == (10, 50)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "upload.empty", "empty"),
        (b"a,b\n1\n", "upload.unreadable", "Line 2 of bank.csv"),
        (b"a,a\n1,2\n", "upload.unreadable", "line 1 of bank.csv"),
        (b"a\n\xff\xfe\xfa\n", "upload.unreadable", "Line 2"),
        (b'a\n"open\n', "upload.unreadable", "line 2"),
    ],
)
def test_files_that_cannot_be_read(client: FlaskClient, settings: Settings, content: bytes, code: str, words: str):
    for answer in look(client, send(client, content)):
        assert answer["code"] == code
        assert words in answer["error"]
        assert str(settings.staging_path) not in str(answer)


def test_parquet(client: FlaskClient):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "name": ["a", None]}), buffer)
    seen, _ = look(client, send(client, buffer.getvalue(), "Bank.PARQUET"), "Bank.PARQUET")
    assert seen == {
        "columns": ["id", "name"],
        "row_count": 2,
        "sample": [{"id": "1", "name": "a"}, {"id": "2", "name": None}],
    }
    bad, _ = look(client, send(client, b"no parquet", "b.parquet"), "b.parquet")
    assert bad["code"] == "upload.unreadable"


def test_what_never_arrived(client: FlaskClient):
    for answer in look(client, presign(client)):
        assert answer["code"] == "upload.not_found"


def test_confirming_another_upload(client: FlaskClient):
    link, other = send(client, CSV), send(client, CSV)
    for upload_id in (other["upload_id"], "no-id"):
        answer = client.post(
            f"/api/uploads/{upload_id}/confirm", json={"s3_uri": link["s3_uri"], "filename": "bank.csv"}
        )
        assert (answer.status_code, answer.json["code"]) == (400, "upload.id_mismatch")
    wrong = client.post(
        f"/api/uploads/{link['upload_id']}/confirm", json={"s3_uri": link["s3_uri"], "filename": "other.csv"}
    )
    assert (wrong.status_code, wrong.json["code"]) == (400, "request.invalid_body")


@pytest.mark.parametrize(
    "uri", ["s3://other/s/u/a.csv", "/etc/passwd", "s3://kalla-uploads/../../etc/passwd", "", "s3://", "http://x/y.csv"]
)
def test_addresses_that_are_no_upload(client: FlaskClient, uri: str):
    for path in ("/api/uploads/preview", "/api/uploads/6f0f3c2e-1b5f-4a51-9c55-0f2f4e1f0a11/confirm"):
        answer = client.post(path, json={"s3_uri": uri, "filename": "a.csv"})
        assert (answer.status_code, answer.json["code"]) == (400, "upload.invalid_uri")


@pytest.mark.parametrize("body", [{}, {"s3_uri": 5}, {"s3_uri": None}])
def test_bodies_that_lack_members(client: FlaskClient, body: dict[str, object]):
    for path in ("/api/uploads/preview", "/api/uploads/x/confirm"):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json["code"]) == (400, "request.invalid_body")


# --- the end -------------------------------------------------------------------------------------------


@pytest.fixture
def kalla(app: Flask) -> Kalla:
    found: Kalla = app.extensions[EXTENSION]
    return found


def age(settings: Settings, days: float) -> None:
    for path in stored(settings):
        moment = time.time() - days * 24 * 3600
        os.utime(path, (moment, moment))


def side(alias: str, uri: str | None = None) -> dict[str, Any]:
    return {"alias": alias, "type": "csv", "primary_key": ["id"]} | ({"uri": uri} if uri else {})


def recipe(recipe_id: str, left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    return {"recipe_id": recipe_id, "name": "n", "match_sql": SQL, "sources": {"left": left, "right": right}}


def test_old_uploads_go_unless_they_are_used(client: FlaskClient, kalla: Kalla, settings: Settings):
    unused, direct, through_alias, of_run, alias_only = (send(client, CSV, "50% off.csv") for _ in range(5))
    kalla.sources.put("bank", through_alias["s3_uri"], "csv")
    kalla.sources.put("lonely", alias_only["s3_uri"], "csv", "active")
    kalla.recipes.put(recipe("r", side("bank"), side("other", direct["s3_uri"])))
    run_id = "0f0f3c2e-1b5f-4a51-9c55-0f2f4e1f0a11"
    kalla.runs.insert(run_id, "x", "x", recipe("x", side("a", of_run["s3_uri"]), side("b")), "a", "b")
    age(settings, 6.9)
    assert uploads.expire(kalla) == []
    age(settings, 7.1)
    assert sorted(uploads.expire(kalla)) == sorted([unused["upload_id"], alias_only["upload_id"]])
    assert len(stored(settings)) == 3
    assert client.get("/api/sources/lonely").json["status"] == "error"
    assert client.get("/api/sources/bank").json["status"] == "connected"
    kalla.runs.cancel(run_id)
    assert uploads.expire(kalla) == [of_run["upload_id"]]
    kalla.recipes.delete("r")
    assert len(uploads.expire(kalla)) == 2
    assert stored(settings) == []
    assert list((settings.staging_path / "uploads").glob("s-*")) == []


def test_confirming_begins_the_time_again(client: FlaskClient, kalla: Kalla, settings: Settings):
    link = send(client, CSV)
    age(settings, 8)
    look(client, link)
    assert uploads.expire(kalla) == []


def test_half_files_go_after_a_day(client: FlaskClient, kalla: Kalla, settings: Settings):
    incoming = settings.staging_path / "uploads" / ".incoming"
    incoming.mkdir(parents=True)
    (incoming / "half").write_bytes(b"x")
    uploads.expire(kalla)
    assert (incoming / "half").exists()
    age(settings, 1.1)
    uploads.expire(kalla)
    assert not (incoming / "half").exists()


def test_what_else_lies_there_is_left_alone(kalla: Kalla, settings: Settings):
    for name in ("s/not-an-id/a.csv", "stray.csv"):
        path = settings.staging_path / "uploads" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    age(settings, 100)
    assert uploads.expire(kalla) == []
    assert len(stored(settings)) == 2
