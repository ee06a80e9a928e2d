"""Uploads and evidence in a real object store: links, arrival, limits, expiry, outputs."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from connectors import bucket_of
from recipe import KallaError
from tests.object_servers import GcsServer, S3Server
from webapp.context import EXTENSION, Kalla
from webapp.errors import ServiceError, SettingsError
from webapp.objects import Upload, stored_upload
from webapp.runner.outputs import resolve_output
from webapp.services import uploads
from webapp.services.jobs import output_path
from webapp.settings import Settings

CSV = b'id,name\n1,"a\nb"\n2,\n'
RUN = "6f0f3c2e-1b5f-4a51-9c55-0f2f4e1f0a11"
Store = S3Server | GcsServer
MakeApp = Callable[..., Flask]
_numbers = iter(range(1_000_000))


@pytest.fixture
def place(store: Store) -> dict[str, Any]:
    """Settings of an app whose uploads and results lie in a store; no bucket exists yet."""
    number = f"{time.monotonic_ns()}-{next(_numbers)}"
    if isinstance(store, GcsServer):
        return {"gcs_bucket": f"all-{number}"}
    return {
        "s3_endpoint": store.endpoint,
        "s3_public_endpoint": f"http://localhost:{store.port}",
        "uploads_bucket": f"up-{number}",
        "results_bucket": f"out-{number}",
    }


@pytest.fixture
def app(make_app: MakeApp, place: dict[str, Any]) -> Flask:
    return make_app(**place)


def test_buckets_are_made_at_the_start(app: Flask, place: dict[str, Any], store: Store) -> None:
    for name in [place[n] for n in ("uploads_bucket", "results_bucket", "gcs_bucket") if n in place]:
        assert bucket_of("s3" if isinstance(store, S3Server) else "gs", name).make() is False


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_signed_link_takes_a_file_that_the_app_then_reads(
    store: Store, monkeypatch: pytest.MonkeyPatch, place: dict[str, Any], make_app: MakeApp
) -> None:
    monkeypatch.setenv("S3_PUBLIC_ENDPOINT", place["s3_public_endpoint"])
    client = make_app(**place).test_client()
    name = "März 50% *off*.csv"
    link = client.post("/api/uploads/presign", json={"filename": name, "session_id": "s-1"}).json
    assert link["presigned_url"].startswith(f"http://localhost:{store.port}/{place['uploads_bucket']}/s-1/")
    before = client.post("/api/uploads/preview", json={"s3_uri": link["s3_uri"]})
    assert (before.status_code, before.json["code"]) == (404, "upload.not_found")
    request = urllib.request.Request(link["presigned_url"], CSV, method="PUT", headers={"Origin": "http://app.example"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", "http://app.example")
    seen = client.post("/api/uploads/preview", json={"s3_uri": link["s3_uri"]}).json
    assert seen == {
        "columns": ["id", "name"],
        "row_count": 2,
        "sample": [{"id": "1", "name": "a\nb"}, {"id": "2", "name": None}],
    }
    confirmed = client.post(
        f"/api/uploads/{link['upload_id']}/confirm", json={"s3_uri": link["s3_uri"], "filename": name}
    )
    assert confirmed.json["row_count"] == 2, confirmed.text
    forged = link["presigned_url"].replace("s-1", "s-2")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(forged, CSV, method="PUT"), timeout=20)
    assert refused.value.code == 403
    page = client.get("/sources")
    assert f"http://localhost:{store.port}" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("store", ["gs"], indirect=True)
def test_without_a_signing_key_the_app_takes_the_file_itself(app: Flask) -> None:
    client = app.test_client()
    link = client.post("/api/uploads/presign", json={"filename": "a.csv", "session_id": "s-1"}).json
    assert "/api/uploads/" in link["presigned_url"]
    assert client.put(link["presigned_url"], data=CSV).status_code == 200
    assert client.put(link["presigned_url"], data=CSV).json["code"] == "upload.link_used"
    assert client.post("/api/uploads/preview", json={"s3_uri": link["s3_uri"]}).json["row_count"] == 2


def test_files_in_forms_and_their_limits(app: Flask, make_app: MakeApp, place: dict[str, Any]) -> None:
    parts: Kalla = app.extensions[EXTENSION]
    uri = uploads.take_in(parts, "a.csv", "s-1", io.BytesIO(CSV).read)
    assert uploads.preview(parts, {"s3_uri": uri})["row_count"] == 2
    narrow: Kalla = make_app(**place, max_upload_bytes=10).extensions[EXTENSION]
    for length in (None, len(CSV)):
        with pytest.raises(ServiceError) as caught:
            narrow.objects.write(_upload(2), io.BytesIO(CSV).read, length)
        assert caught.value.code == "upload.too_large"
    with pytest.raises(ServiceError) as broken:
        parts.objects.write(_upload(3), io.BytesIO(CSV).read, len(CSV) + 1)
    assert broken.value.code == "upload.incomplete"
    assert [kept.upload.filename for kept in parts.objects.kept()] == ["a.csv"]
    with pytest.raises(ServiceError) as large:
        uploads.preview(narrow, {"s3_uri": uri})
    assert large.value.code == "upload.too_large"


def _upload(number: int) -> Upload:
    return Upload("s-1", RUN[:-1] + str(number), "b.csv")


def test_old_uploads_go_unless_something_uses_them(app: Flask) -> None:
    parts: Kalla = app.extensions[EXTENSION]
    kept, gone = (uploads.take_in(parts, name, "s-1", io.BytesIO(CSV).read) for name in ("a b%20*.csv", "b.csv"))
    recipe = {
        "recipe_id": "r", "name": "r", "match_sql": "SELECT 1 FROM left_src l JOIN right_src r ON l.id = r.id",
        "sources": {
            "left": {"alias": "l", "type": "csv_upload", "uri": kept, "primary_key": ["id"]},
            "right": {"alias": "r", "type": "csv", "uri": "gs://x/y.csv", "primary_key": ["id"]},
        },
    }  # fmt: skip
    parts.recipes.put(recipe)
    assert uploads.expire(parts) == []
    later = time.time() + 8 * 24 * 3600
    assert len(uploads.expire(parts, later)) == 1
    assert uploads.preview(parts, {"s3_uri": kept})["row_count"] == 2
    with pytest.raises(ServiceError) as caught:
        uploads.preview(parts, {"s3_uri": gone})
    assert caught.value.code == "upload.not_found"


def test_outputs_lie_in_the_results_place_and_nowhere_else(app: Flask, place: dict[str, Any]) -> None:
    settings: Settings = app.extensions[EXTENSION].settings
    own = output_path(settings, RUN)
    found = resolve_output(own, RUN, settings)
    assert found.target == own.rstrip("/")
    assert found.paths["matched"] == f"{own}matched/"
    other = settings.store, {"s3": settings.uploads_bucket, "gs": "elsewhere"}[settings.store]
    for path in (
        f"{other[0]}://{other[1]}/runs/x/",
        own.replace(RUN, ""),
        "https://x/y",
        own.replace(RUN, ".."),
        {"s3": "gs", "gs": "s3"}[settings.store] + own[2:],
    ):
        with pytest.raises(KallaError) as caught:
            resolve_output(path, RUN, settings)
        assert caught.value.code in ("job.output_forbidden", "storage.invalid_address"), path


def test_the_evidence_of_another_run_is_not_replaced(app: Flask) -> None:
    settings: Settings = app.extensions[EXTENSION].settings
    own = output_path(settings, RUN)
    scheme, _, rest = own.partition("://")
    name, _, key = rest.partition("/")
    bucket_of(scheme, name).put(f"{key}manifest.json", json.dumps({"run_id": RUN}).encode())
    assert resolve_output(own, RUN, settings).target
    bucket_of(scheme, name).put(f"{key}manifest.json", json.dumps({"run_id": "another"}).encode())
    with pytest.raises(ServiceError, match="another run") as caught:
        resolve_output(own, RUN, settings)
    assert caught.value.code == "job.output_forbidden"


def test_one_store_only() -> None:
    base = {"S3_ENDPOINT": "http://s3:7070", "STAGING_PATH": "/x"}
    assert Settings.from_environment(base).store == "s3"
    assert Settings.from_environment({"AWS_ENDPOINT_URL": "https://s3.eu"}).store == "s3"
    assert Settings.from_environment({"GCS_BUCKET": "b"}).store == "gs"
    assert Settings.from_environment({}).store == ""
    for name in ("S3_ENDPOINT", "AWS_ENDPOINT_URL"):
        with pytest.raises(SettingsError, match="GCS_BUCKET"):
            Settings.from_environment({name: "https://s3.eu", "GCS_BUCKET": "b"})


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_store_that_is_down_is_told_without_secrets(
    store: Store, make_app: MakeApp, place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(**place)
    uri = f"s3://{place['uploads_bucket']}/s-1/{RUN}/a.csv"
    assert stored_upload(app.extensions[EXTENSION].settings, uri) is not None
    monkeypatch.setenv("S3_SECRET_KEY", "Wr0ng-and-secret")
    client: FlaskClient = app.test_client()
    answer = client.post("/api/uploads/preview", json={"s3_uri": uri})
    assert (answer.status_code, answer.json["code"]) == (502, "storage.access_denied")
    assert "S3_SECRET_KEY" in answer.json["error"]
    assert "Wr0ng" not in answer.text and S3Server.secret_key not in answer.text
