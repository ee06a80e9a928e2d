"""Runs over object stores: sources read there, evidence committed there, read and verified from there."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import ConnectorError, ObjectFolder, bucket_of
from pipelines.aftermath import clear
from pipelines.errors import EvidenceError, OutputRefused
from pipelines.evidence import SETS, Evidence, PartCache, Query, browse, export, replay, summary, verify
from pipelines.options import RunRequest
from pipelines.outputs import claim, output_of
from tests.helpers import beam, document, drive, read_set, source, write_parquet
from tests.object_servers import GcsServer, S3Server, line_to
from tests.servers import PostgresServer

SQL = "SELECT l.id, r.id, l.amount, r.amount FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.amount, 0.01)"
INVOICES = """
CREATE TABLE invoices (id int PRIMARY KEY, ref text, amount numeric(12, 2));
INSERT INTO invoices SELECT i, 'R' || i, i * 1.5 FROM generate_series(1, 900) i;
"""
COUNTS = {"matched_count": 600, "unmatched_left_count": 300, "unmatched_right_count": 200}


def payments(path: Path) -> Path:
    """Of 100 to 899 all but every fourth agree with the invoices of these numbers."""
    rows = range(100, 900)
    columns = {
        "id": list(rows),
        "ref": [f"R{i}" for i in rows],
        "amount": [i * 1.5 + (5 if i % 4 == 0 else 0) for i in rows],
    }
    return write_parquet(path, columns, {"id": pa.int64(), "ref": pa.string(), "amount": pa.float64()}, 100)


def csv_of(rows: range, shift: int = 0) -> bytes:
    lines = [f"{i},R{i},{i * 1.5 + (shift if i % 4 == 0 else 0):.2f}" for i in rows]
    return ("id,ref,amount\n" + "\n".join(lines) + "\n").encode()


@pytest.fixture
def scheme(store: S3Server | GcsServer) -> str:
    return "s3" if isinstance(store, S3Server) else "gs"


@pytest.fixture
def place(store: S3Server | GcsServer, scheme: str) -> str:
    """The address of an empty bucket."""
    return f"{scheme}://{store.bucket()}"


def recipe(place: str, **more: Any) -> dict[str, Any]:
    """Two small CSVs in the store, against each other."""
    bucket = bucket_of(*place.split("://"))
    bucket.put("in/left.csv", csv_of(range(1, 901)))
    bucket.put("in/right.csv", csv_of(range(100, 900), 5))
    return document(SQL, source(f"{place}/in/left.csv", ["id"], "csv"), source(f"{place}/in/right.csv", ["id"], "csv"))


def test_postgres_against_parquet_in_a_store_with_evidence_there(
    place: str, run_database: PostgresServer, database: str, tmp_path: Path
) -> None:
    run_database.execute(database, INVOICES)
    bucket = bucket_of(*place.split("://"))
    bucket.upload("in/payments.parquet", payments(tmp_path / "p.parquet"))
    asked = document(
        SQL,
        source(run_database.uri(database, "invoices"), ["id"], "postgres"),
        source(f"{place}/in/payments.parquet", ["id"], "parquet"),
    )
    output = f"{place}/runs/one/"
    found = beam(asked, output, partitions=4)  # type: ignore[arg-type]
    assert found["status"] == "completed", found
    assert {name: found[name] for name in COUNTS} == COUNTS
    assert found["evidence"] == output.rstrip("/")
    checked = verify(output)
    assert checked.ok, [c for c in checked.checks if not c.ok]
    assert checked.evidence == output.rstrip("/")
    evidence = Evidence(output, PartCache(tmp_path / "cache", 1 << 20))
    page = browse(evidence, "unmatched_right", Query(limit=3, sort="id", descending=True))
    assert [row[page.columns.index(next(c for c in page.columns if c.name == "id"))] for row in page.rows] == [
        "896", "892", "888",
    ]  # fmt: skip
    assert summary(evidence)["counts"]["matched_count"] == 600
    assert export(output, "matched", "csv", tmp_path / "m.csv") == 600
    identity = evidence.manifest["sources"]["right"]["snapshot"]
    assert identity.keys() >= {"size", "etag" if place.startswith("s3") else "generation"}
    names = ObjectFolder.at(output).names()
    assert {name.partition("/")[0] for name in names} == {*SETS, "manifest.json"}


def test_evidence_in_a_store_equals_evidence_on_disk(place: str, tmp_path: Path) -> None:
    asked = recipe(place)
    drive(asked, tmp_path / "disk")
    drive(asked, f"{place}/out")  # type: ignore[arg-type]
    stored, local = Evidence(f"{place}/out"), Evidence(tmp_path / "disk")
    for name in SETS:
        assert [(p.name, p.sha256) for p in stored.parts(name)] == [(p.name, p.sha256) for p in local.parts(name)]
        assert [pq.read_table(p.path).to_pylist() for p in stored.parts(name)] == [
            pq.read_table(p.path).to_pylist() for p in local.parts(name)
        ]
    assert len(read_set(tmp_path / "disk", "matched")) == 600


def test_evidence_is_not_replaced_unless_asked(place: str) -> None:
    asked = recipe(place)
    output = f"{place}/out"
    first = drive(asked, output)  # type: ignore[arg-type]
    with pytest.raises(OutputRefused) as caught:
        drive(asked, output)  # type: ignore[arg-type]
    assert caught.value.code == "run.output_exists"
    assert "--overwrite" in caught.value.hint
    again = drive(asked, output, overwrite=True)  # type: ignore[arg-type]
    assert Evidence(output).manifest["run_id"] == again["run_id"] != first["run_id"]
    assert verify(output).ok


def test_large_parts_go_in_pieces(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of 11 MiB and its pieces of 5: what lies there is what was sent, and S3 tells of how many pieces."""
    for store in ("s3", "gcs"):
        monkeypatch.setattr(f"connectors.{store}.bucket._PART", 5 << 20)
    rows = range(11_500)
    wide = {"id": list(rows), "text": [random.Random(i).randbytes(1000).hex() for i in rows]}
    types = {"id": pa.int64(), "text": pa.string()}
    left = write_parquet(tmp_path / "l.parquet", wide, types)
    right = write_parquet(tmp_path / "r.parquet", {"id": [-1]}, {"id": pa.int64()})
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id"
    output = f"{place}/out"
    drive(document(sql, source(left, ["id"]), source(right, ["id"])), output)
    part = max(Evidence(output).parts("unmatched_left"), key=lambda p: p.bytes)
    assert part.bytes > 10 << 20
    assert verify(output).ok
    assert Evidence(output).rows("unmatched_left", 1).total == len(rows)
    bucket = bucket_of(*place.split("://"))
    if bucket.scheme == "s3":
        assert str(bucket.head(f"out/{part.name}")["etag"]).endswith("-3")


def test_other_objects_are_left_alone(place: str) -> None:
    asked = recipe(place)
    with pytest.raises(OutputRefused) as caught:
        drive(asked, f"{place}/in", overwrite=True)  # type: ignore[arg-type]
    assert caught.value.code == "run.output_not_empty"
    with pytest.raises(ConnectorError) as missing:
        drive(asked, f"{place}-gone/out")  # type: ignore[arg-type]
    assert missing.value.code == "storage.bucket_missing"


def test_nothing_is_committed_when_the_line_breaks(s3_store: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"s3://{s3_store.bucket()}"
    asked = recipe(place)
    folder = ObjectFolder.at(f"{place}/out")
    with _going_down_at_the_manifest(s3_store, monkeypatch), pytest.raises(ConnectorError) as caught:
        drive(asked, f"{place}/out")  # type: ignore[arg-type]
    assert caught.value.code == "storage.unreachable"
    names = folder.names()
    assert names and "manifest.json" not in names
    with pytest.raises(EvidenceError) as absent:
        Evidence(f"{place}/out")
    assert absent.value.code == "evidence.not_found"
    folder.delete("writing.json")  # what the claim's own message says to do
    drive(asked, f"{place}/out")  # type: ignore[arg-type]
    assert verify(f"{place}/out").ok


@contextmanager
def _going_down_at_the_manifest(store: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every connection breaks from the moment at which the manifest is to be sent."""
    real = ObjectFolder.put
    with line_to(store.port) as line:

        def put(self: ObjectFolder, name: str, data: bytes, absent: bool = False) -> None:
            if name == "manifest.json":
                line.down = True
                monkeypatch.setenv("S3_ENDPOINT", line.endpoint)
            real(self, name, data, absent)

        monkeypatch.setattr(ObjectFolder, "put", put)
        yield
    monkeypatch.setattr(ObjectFolder, "put", real)
    monkeypatch.setenv("S3_ENDPOINT", store.endpoint)


def test_two_runs_do_not_mix(place: str) -> None:
    folder = ObjectFolder.at(f"{place}/out")
    claim(folder, "one")
    claim(folder, "one")  # after an interruption
    with pytest.raises(OutputRefused, match="Another run is writing"):
        claim(folder, "two")
    assert json.loads(folder.read("writing.json", 100)) == {"run_id": "one"}
    clear(RunRequest(recipe(place), f"{place}/out", "two"))
    assert list(folder.names()) == ["writing.json"]
    clear(RunRequest(recipe(place), f"{place}/out", "one"))  # its process is gone
    claim(folder, "two")


def test_damaged_and_missing_parts_in_a_store(place: str, tmp_path: Path) -> None:
    output = f"{place}/out"
    drive(recipe(place), output)  # type: ignore[arg-type]
    folder, cache = ObjectFolder.at(output), PartCache(tmp_path / "cache", 1 << 20)
    name = Evidence(output).parts("matched")[0].name
    kept = Evidence(output, cache)
    assert kept.rows("matched", 1).total == 600
    folder.put(name, b"PAR1 forged PAR1")
    assert Evidence(output, cache).rows("matched", 1).total == 600  # by its hash, from the cache
    with pytest.raises(EvidenceError) as caught:
        Evidence(output, PartCache(tmp_path / "other", 1 << 20)).rows("matched")
    assert caught.value.code == "evidence.part_unreadable"
    checked = {c.name: c for c in verify(output).checks}
    assert not checked["sha256"].ok and name in checked["sha256"].detail
    folder.delete(name)
    checked = {c.name: c for c in verify(output).checks}
    assert not checked["files"].ok and f"{name} is missing" in checked["files"].detail


def test_a_cache_keeps_what_fits_and_readers_keep_theirs(place: str, tmp_path: Path) -> None:
    output = f"{place}/out"
    drive(recipe(place), output)  # type: ignore[arg-type]
    sizes = [p.bytes for name in SETS for p in Evidence(output).parts(name)]
    cache = PartCache(tmp_path / "cache", max(sizes) + 1)
    evidence = Evidence(output, cache)
    paths = [part.path for name in SETS for part in evidence.parts(name)]
    kept = [path for path in (tmp_path / "cache").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in kept) <= max(sizes) + 1
    assert all(path.exists() for path in paths)
    del evidence
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize(
    "text",
    ["s3://bucket", "s3://bucket/", "s3://bucket/../x", "s3://bucket/a//c", "s3://bucket/*/c", "gs://u:p@bucket/c"],
)
def test_addresses_that_are_no_folder(text: str) -> None:
    with pytest.raises(ConnectorError) as caught:
        output_of(text)
    assert caught.value.code == "storage.invalid_address"
    assert "u:p" not in str(caught.value)


def test_replay_of_evidence_and_sources_in_a_store(place: str) -> None:
    output = f"{place}/out"
    drive(recipe(place), output)  # type: ignore[arg-type]
    again = replay(output, f"{place}/again")
    assert again.ok, [c for c in again.checks if not c.ok]
    assert again.output == f"{place}/again"
    assert verify(f"{place}/again").ok
    bucket_of(*place.split("://")).put("in/left.csv", csv_of(range(1, 902)))
    with pytest.raises(EvidenceError) as caught:
        replay(output)
    assert caught.value.code == "evidence.source_changed"
