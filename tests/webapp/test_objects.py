"""The embedded object store: addresses, hostile names, files that appear whole or not at all."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe import parse_file_uri
from webapp import objects
from webapp.errors import ServiceError
from webapp.objects import ObjectStore, Upload, check_filename, parse_upload, stored_upload
from webapp.settings import Settings

ID = "6f0f3c2e-1b5f-4a51-9c55-0f2f4e1f0a11"
PLAIN = Settings(staging_path=Path("/srv/kalla"), database_url="sqlite:////x.db")

HOSTILE = [
    "../evil.csv",
    "..\\evil.csv",
    "a/b.csv",
    "a\\b.csv",
    "/etc/passwd.csv",
    "nul\x00byte.csv",
    "new\nline.csv",
    "tab\t.csv",
    "\x7f.csv",
    "\x85.csv",
    "\u2028.csv",
    "\u202egpj.csv",
    "half\ud800.csv",
    ".csv",
    "..csv",
    " .csv",
    ".parquet",
    "",
    "x" * 252 + ".csv",
]


def has_file(store: ObjectStore, upload: Upload) -> bool:
    try:
        return store.path(upload).is_file()
    except ServiceError as error:
        assert error.code == "upload.not_found"
        return False


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(name: str):
    with pytest.raises(ServiceError) as caught:
        check_filename(name)
    assert caught.value.code == "upload.invalid_name"
    assert caught.value.status == 400


@pytest.mark.parametrize("name", ["ledger", "ledger.xlsx", "ledger.csv.gz", "ledger.csv ", "a.csv.exe", "csv"])
def test_other_types_are_refused(name: str):
    with pytest.raises(ServiceError) as caught:
        check_filename(name)
    assert caught.value.code == "upload.unsupported_type"


@pytest.mark.parametrize(
    "name",
    [
        "a.csv",
        "A.CSV",
        "b.Parquet",
        "bank statement.csv",
        "50% off.csv",
        "a%20b.csv",
        "Kontoauszug März.csv",
        "数.csv",
        "-rf.csv",
        "a?b#c.csv",
        "$(x).csv",
        "🙂.csv",
        "x" * 251 + ".csv",
        ".hidden.csv",
        "CON.csv",
    ],
)
def test_usable_names_have_an_address_that_leads_to_their_file(name: str):
    upload = Upload("s-1", ID, check_filename(name))
    uri = upload.uri("kalla-uploads")
    assert parse_file_uri(uri).path == f"s-1/{ID}/{name}"
    assert parse_upload(PLAIN, uri) == upload
    stored = stored_upload(PLAIN, uri)
    assert stored is not None
    path = Path(stored.shown)
    assert parse_file_uri(stored.address).path == stored.shown
    assert path.parent == Path(f"/srv/kalla/uploads/s-1/{ID}")
    assert len(path.name.encode()) <= 255
    assert path.suffix.lower() == Path(name).suffix.lower()


@given(st.text(max_size=255))
def test_no_name_leads_out_of_its_folder(name: str):
    try:
        check_filename(name)
    except ServiceError:
        return
    upload = Upload("s", ID, name)
    assert parse_upload(PLAIN, upload.uri("kalla-uploads")) == upload
    path = objects.upload_path(PLAIN, upload)
    assert os.path.normpath(path) == str(path)
    assert str(path.parent) == f"/srv/kalla/uploads/s/{ID}"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://kalla-uploads",
        "s3://kalla-uploads/",
        "s3://kalla-uploads/a.csv",
        f"s3://kalla-uploads/s/{ID}",
        f"s3://kalla-uploads/s/{ID}/x/a.csv",
        f"s3://kalla-uploads/../{ID}/a.csv",
        f"s3://kalla-uploads/%2e%2e/{ID}/a.csv",
        f"s3://kalla-uploads/s/{ID}/..%2Fa.csv",
        f"s3://kalla-uploads/s/{ID}/..",
        f"s3://kalla-uploads/s/{ID}/a.exe",
        f"s3://kalla-uploads/s/{ID.upper()}/a.csv",
        "s3://kalla-uploads/s/not-an-id/a.csv",
        f"s3://kalla-uploads/{'s' * 65}/{ID}/a.csv",
        f"s3://kalla-uploads/s%00/{ID}/a.csv",
        f"s3://kalla-uploads/.incoming/{ID}/a.csv",
        f"s3://kalla-uploads//{ID}/a.csv",
        f"S3://kalla-uploads/s/{ID}/a.txt",
    ],
)
def test_malformed_addresses_in_the_bucket_are_refused(uri: str):
    with pytest.raises(ServiceError) as caught:
        stored_upload(PLAIN, uri)
    assert caught.value.code == "upload.invalid_uri"


@pytest.mark.parametrize(
    "uri",
    [
        "/data/a.csv",
        "file:///data/a.csv",
        f"s3://other/s/{ID}/a.csv",
        f"gs://kalla-uploads/s/{ID}/a.csv",
        f"s3://kalla-uploads2/s/{ID}/a.csv",
        "postgres://h/d?table=t",
        "",
    ],
)
def test_other_addresses_are_not_ours(uri: str):
    assert stored_upload(PLAIN, uri) is None


def reader(data: bytes) -> Callable[[int], bytes]:
    return io.BytesIO(data).read


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    return ObjectStore(replace(settings, max_upload_bytes=100))


def files_below(settings: Settings) -> list[str]:
    return sorted(p.name for p in (settings.staging_path / "uploads").rglob("*") if p.is_file())


def test_a_file_arrives_once(store: ObjectStore, settings: Settings):
    upload = Upload("s", str(uuid.uuid4()), "a.csv")
    assert store.write(upload, reader(b"id\n1\n"), 5) == 5
    assert store.path(upload).read_bytes() == b"id\n1\n"
    with pytest.raises(ServiceError) as caught:
        store.write(upload, reader(b"other"), 5)
    assert caught.value.code == "upload.link_used"
    assert store.path(upload).read_bytes() == b"id\n1\n"
    assert files_below(settings) == ["a.csv"]


def test_two_at_once_leave_one_file(store: ObjectStore, settings: Settings):
    upload = Upload("s", str(uuid.uuid4()), "a.csv")

    def slow(data: bytes) -> Callable[[int], bytes]:
        inner = reader(data)

        def read(size: int) -> bytes:
            if not has_file(store, upload):
                store.write(upload, reader(b"first"), None)
            return inner(size)

        return read

    with pytest.raises(ServiceError) as caught:
        store.write(upload, slow(b"second"), None)
    assert caught.value.code == "upload.link_used"
    assert store.path(upload).read_bytes() == b"first"
    assert files_below(settings) == ["a.csv"]


@pytest.mark.parametrize(
    ("length", "code"),
    [(101, "upload.too_large"), (None, "upload.too_large"), (7, "upload.incomplete"), (200, "upload.too_large")],
)
def test_nothing_stays_of_a_failed_upload(store: ObjectStore, settings: Settings, length: int | None, code: str):
    upload = Upload("s", str(uuid.uuid4()), "a.csv")
    size = 5 if code == "upload.incomplete" else 101
    with pytest.raises(ServiceError) as caught:
        store.write(upload, reader(b"x" * size), length)
    assert caught.value.code == code
    assert files_below(settings) == []
    assert not has_file(store, upload)


def test_a_broken_stream_leaves_nothing(store: ObjectStore, settings: Settings):
    def broken(size: int) -> bytes:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.write(Upload("s", ID, "a.csv"), broken, None)
    assert files_below(settings) == []


def test_what_is_missing_is_said(store: ObjectStore):
    with pytest.raises(ServiceError) as caught:
        store.path(Upload("s", ID, "a.csv"))
    assert caught.value.code == "upload.not_found"
    assert caught.value.status == 404


def test_files_belong_to_their_owner_only(store: ObjectStore):
    upload = Upload("s", ID, "a.csv")
    store.write(upload, reader(b"x"), 1)
    assert store.path(upload).stat().st_mode & 0o077 == 0
