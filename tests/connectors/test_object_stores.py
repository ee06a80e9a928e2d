"""CSV and Parquet in S3 and Google's store, over real servers: the shared contract, and what only a network does."""

from __future__ import annotations

import gzip
import io
import itertools
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import (
    Bucket,
    Connector,
    ConnectorError,
    SourceChanged,
    SourceDataError,
    SourceDenied,
    SourceUnreachable,
    bucket_of,
    connector_for,
)
from recipe import SOURCE_CLASSES, Column, FilterCondition, Kind, format_cell
from tests.connectors.contract import ConnectorContract, Make, Row, read_rows, rows_of
from tests.connectors.test_csv import written
from tests.connectors.test_parquet import ARROW
from tests.object_servers import GcsServer, S3Server, line_to

_KEYS = itertools.count(1)
Store = S3Server | GcsServer


@pytest.fixture
def bucket(store: Store) -> Bucket:
    return bucket_of("s3" if isinstance(store, S3Server) else "gs", store.bucket())


def over(bucket: Bucket, key: str, kind: str = "", **more: Any) -> Connector:
    kind = kind or ("csv" if ".csv" in key else "parquet")
    source = SOURCE_CLASSES[kind].model_validate(
        {"alias": "a", "uri": f"{bucket.scheme}://{bucket.name}/{key}", "primary_key": ["id"], **more}
    )
    return connector_for(source)  # type: ignore[arg-type]


def parquet_bytes(columns: Sequence[Column], rows: Sequence[Row], group_rows: int = 2) -> bytes:
    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [pa.array(list(v), ARROW[c.kind]) for v, c in zip(cells, columns, strict=True)]
    out = io.BytesIO()
    pq.write_table(pa.table(arrays, [c.name for c in columns]), out, row_group_size=group_rows)
    return out.getvalue()


def csv_bytes(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    return written([c.name for c in columns], [[format_cell(v) for v in row] for row in rows]).encode()


# --- the contract ------------------------------------------------------------------------------------------------


class _Objects(ConnectorContract):
    """The contract over one store; ``bucket_name`` is made once, keys are fresh for each test."""

    awkward_filters = 50
    store_fixture: ClassVar[str]
    scheme: ClassVar[str]
    suffix: ClassVar[str]

    @pytest.fixture
    def bucket(self, request: pytest.FixtureRequest) -> Bucket:
        return bucket_of(self.scheme, request.getfixturevalue(self.store_fixture).bucket())

    @pytest.fixture
    def make(self, bucket: Bucket) -> Make:
        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            key = f"odd name & ünï/{next(_KEYS)}.{self.suffix}"
            bucket.put(key, self.content(columns, rows))
            return over(bucket, key)

        return build

    @pytest.fixture
    def missing(self, bucket: Bucket) -> Connector:
        return over(bucket, f"gone.{self.suffix}")

    def content(self, columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
        return parquet_bytes(columns, rows)


class _OverS3:
    store_fixture = "s3_store"
    scheme = "s3"
    secret = S3Server.secret_key
    identity_keys = frozenset({"size", "etag"})


class _OverGcs:
    store_fixture = "gcs_store"
    scheme = "gs"
    identity_keys = frozenset({"size", "generation"})


class _Csv:
    typed = False
    keeps_empty_text = False
    test_typed_filters_mean_the_same = None  # every cell is text
    suffix = "csv"

    def content(self, columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
        return csv_bytes(columns, rows)


class TestS3Csv(_Csv, _OverS3, _Objects):
    pass


class TestS3Gzip(TestS3Csv):
    suffix = "csv.gz"

    def content(self, columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
        return gzip.compress(csv_bytes(columns, rows))


class TestS3Parquet(_OverS3, _Objects):
    suffix = "parquet"


class TestGcsCsv(_Csv, _OverGcs, _Objects):
    pass


class TestGcsParquet(_OverGcs, _Objects):
    suffix = "parquet"


class _Several:
    """Rows spread over files of up to three rows."""

    @pytest.fixture
    def make(self, bucket: Bucket) -> Make:
        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            folder = f"many-{next(_KEYS)}"
            for start in range(0, max(len(rows), 1), 3):
                part = self.content(columns, rows[start : start + 3])  # type: ignore[attr-defined]
                bucket.put(f"{folder}/{start:04d}.{self.suffix}", part)  # type: ignore[attr-defined]
            bucket.put(f"{folder}/other.txt", b"not of the source")
            return over(bucket, f"{folder}/*.{self.suffix}")  # type: ignore[attr-defined]

        return build

    @pytest.fixture
    def missing(self, bucket: Bucket) -> Connector:
        return over(bucket, f"nothing/*.{self.suffix}")  # type: ignore[attr-defined]


class TestS3ManyCsv(_Several, TestS3Csv):
    identity_keys = frozenset({"files", "size", "listing_sha256"})


class TestGcsManyParquet(_Several, TestGcsParquet):
    identity_keys = frozenset({"files", "size", "listing_sha256"})


# --- types and patterns ------------------------------------------------------------------------------------------


def test_every_type_that_names_an_object_reads_it(s3_store: S3Server) -> None:
    bucket = bucket_of("s3", s3_store.bucket())
    columns = (Column("id", Kind.INTEGER),)
    bucket.put("s/u/a.CSV", b"id\n1\n")
    bucket.put("s/u/a.parquet", parquet_bytes(columns, [(1,)]))
    for kind in ("csv", "csv_upload", "s3"):
        assert read_rows(over(bucket, "s/u/a.CSV", kind)) == [("1",)]
    for kind in ("parquet", "s3"):
        assert read_rows(over(bucket, "s/u/a.parquet", kind)) == [(1,)]


def test_patterns_name_what_they_say(bucket: Bucket) -> None:
    for key in ("d/2026-01.csv", "d/2026-02.csv", "d/2025-12.csv", "d/sub/2026-03.csv", "d/star*.csv", "e/2026-01.csv"):
        bucket.put(key, f"id\n{key}\n".encode())

    def found(pattern: str) -> list[str]:
        return [row[0] for row in read_rows(over(bucket, pattern), 2)]

    assert found("d/2026-*.csv") == ["d/2026-01.csv", "d/2026-02.csv"]
    assert found("d/**2026-*.csv") == ["d/2026-01.csv", "d/2026-02.csv", "d/sub/2026-03.csv"]
    assert found("d/star%2A.csv") == ["d/star*.csv"]
    assert found("d/s*/*.csv") == ["d/sub/2026-03.csv"]


def test_files_of_a_pattern_need_the_same_columns(bucket: Bucket) -> None:
    bucket.put("d/1.csv", b"id,a\n1,2\n")
    bucket.put("d/2.csv", b"id,b\n1,2\n")
    with pytest.raises(SourceDataError, match=r"d/2\.csv has other columns.*b \(string\)") as caught:
        read_rows(over(bucket, "d/*.csv"))
    assert caught.value.code == "source.columns_differ"


@pytest.mark.parametrize("change", ["more", "other", "fewer"])
def test_a_listing_that_changes_is_noticed(bucket: Bucket, change: str) -> None:
    for name in ("1", "2"):
        bucket.put(f"d/{name}.csv", b"id\n1\n")
    connector = over(bucket, "d/*.csv")
    with pytest.raises(SourceChanged), connector.open_snapshot() as snapshot:
        assert len(connector.plan_splits(snapshot, 2)) == 2
        if change == "fewer":
            bucket.delete("d/2.csv")
        else:
            bucket.put("d/3.csv" if change == "more" else "d/2.csv", b"id\n22\n")


# --- one version or none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_object_that_changes_is_never_mixed(bucket: Bucket, suffix: str) -> None:
    columns = (Column("id", Kind.INTEGER),)
    key = f"a.{suffix}"

    def content(first: int) -> bytes:
        rows = [(i,) for i in range(first, first + 50)]
        return csv_bytes(columns, rows) if suffix == "csv" else parquet_bytes(columns, rows, 10)

    bucket.put(key, content(100))
    connector = over(bucket, key)
    with pytest.raises(SourceChanged) as caught, connector.open_snapshot() as snapshot:
        splits = connector.plan_splits(snapshot, 3)
        assert sum(b.num_rows for b in connector.read(snapshot, splits[0])) > 0
        bucket.put(key, content(200))
        for split in splits[1:]:
            list(connector.read(snapshot, split))
    assert caught.value.code == "source.changed"
    with pytest.raises(SourceChanged), connector.open_snapshot():
        bucket.put(key, content(300))  # noticed at the end, though nothing was read


def test_an_object_that_goes_is_missed(bucket: Bucket) -> None:
    bucket.put("a.csv", b"id\n1\n")
    connector = over(bucket, "a.csv")
    with pytest.raises(ConnectorError) as caught, connector.open_snapshot() as snapshot:
        splits = connector.plan_splits(snapshot, 1)
        bucket.delete("a.csv")
        list(connector.read(snapshot, splits[0]))
    assert caught.value.code in ("source.not_found", "source.changed")


# --- the network -------------------------------------------------------------------------------------------------


@pytest.fixture
def big(bucket: Bucket) -> tuple[Bucket, list[Row]]:
    """A CSV of 3 MB with line ends inside quotes, and its rows."""
    rows = [(str(i), f"row {i}\nof many" if i % 3 else "x" * 40) for i in range(60_000)]
    bucket.put("big.csv", written(["id", "text"], rows).encode())
    return bucket, rows


def _through(store: Store, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for name, value in store.environment(endpoint).items():
        monkeypatch.setenv(name, value)


def test_a_cut_in_mid_read_is_resumed(
    store: Store, big: tuple[Bucket, list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are reset after so many bytes of an answer; the rest is asked for again."""
    bucket, rows = big
    connector = over(bucket, "big.csv")
    with line_to(store.port) as line:
        _through(store, monkeypatch, line.endpoint)
        with connector.open_snapshot() as snapshot:
            splits = connector.plan_splits(snapshot, 3)
            line.cut_after += [100_000, 1_000, 500_000, 700, 300_000]
            found = [row for s in splits for b in connector.read(snapshot, s) for row in rows_of(b)]
        assert line.cuts >= (3 if isinstance(store, S3Server) else 2)
    assert found == rows


def test_a_line_that_stays_down_gives_no_partial_rows(
    store: Store, big: tuple[Bucket, list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, _ = big
    connector = over(bucket, "big.csv")
    with line_to(store.port) as line:
        _through(store, monkeypatch, line.endpoint)

        def down() -> None:
            line.down = True

        line.on_cut = down
        with connector.open_snapshot() as snapshot:
            (split,) = connector.plan_splits(snapshot, 1)
            line.cut_after += [1_500_000]
            with pytest.raises(SourceUnreachable) as caught:
                list(connector.read(snapshot, split))
            line.down = False
    assert caught.value.code == "source.unreachable"
    assert caught.value.retryable
    assert ("S3_ENDPOINT" if isinstance(store, S3Server) else "Nothing of it was used") in caught.value.hint
    assert ".." not in caught.value.message


def test_parquet_fetches_only_the_columns_that_are_asked_for(store: Store, bucket: Bucket, monkeypatch: Any) -> None:
    rows = 20_000
    table = pa.table(
        {
            "id": list(range(rows)),
            "wide": pa.array([f"{i:0200d}" for i in range(rows)]),
            "amount": [i / 4 for i in range(rows)],
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=5_000, compression="none", use_dictionary=False)
    bucket.put("p.parquet", out.getvalue())
    connector = over(bucket, "p.parquet")
    needed = sum(
        group.column(0).total_compressed_size for group in map(pq.ParquetFile(out).metadata.row_group, range(4))
    )
    with line_to(store.port) as line:
        _through(store, monkeypatch, line.endpoint)
        with connector.open_snapshot() as snapshot:
            splits = connector.plan_splits(snapshot, 2)
            before = line.passed
            ids = [
                v for s in splits for b in connector.read(snapshot, s, columns=["id"]) for v in b.column(0).to_pylist()
            ]
        taken = line.passed - before
        assert ids == list(range(rows))
        footers = 2 * (64 << 10)
        assert needed <= taken <= needed + footers + 20_000, (needed, taken, len(out.getvalue()))
        before = line.passed
        number = connector.count([FilterCondition(column="id", op="lt", value=Decimal(100))])
        assert number == 100
        assert line.passed - before < needed + footers + 40_000


def test_a_glance_at_a_large_object_fetches_little(store: Store, big: Any, monkeypatch: Any) -> None:
    connector = over(big[0], "big.csv")
    with line_to(store.port) as line:
        _through(store, monkeypatch, line.endpoint)
        assert [c.name for c in connector.schema()] == ["id", "text"]
        assert line.passed < 200_000


def test_a_preview_fetches_a_large_object_once(store: Store, big: Any, monkeypatch: Any) -> None:
    bucket, rows = big
    monkeypatch.setattr("connectors.csv.reader._LEAST_RANGE", 1 << 18)  # worth two threads on a disk
    size = bucket.head("big.csv")["size"]
    with line_to(store.port) as line:
        _through(store, monkeypatch, line.endpoint)
        found = over(bucket, "big.csv").preview(2)
        assert size < line.passed < size + 600_000, (line.passed, size)  # the rows, and the beginning for their layout
    assert found.total_rows == len(rows) and found.rows == [list(row) for row in rows[:2]]


def test_splits_are_read_at_the_same_time(big: tuple[Bucket, list[Row]]) -> None:
    bucket, rows = big
    connector = over(bucket, "big.csv")
    with connector.open_snapshot() as snapshot:
        splits = connector.plan_splits(snapshot, 6)
        parts: dict[int, list[Row]] = {}

        def read(place: int) -> None:
            parts[place] = [r for b in connector.read(snapshot, splits[place]) for r in rows_of(b)]

        threads = [threading.Thread(target=read, args=(i,)) for i in range(len(splits))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(splits) == 6
    assert [row for place in sorted(parts) for row in parts[place]] == rows


# --- errors ------------------------------------------------------------------------------------------------------


def _error(connector: Connector) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        connector.preview(1)
    return caught.value


@pytest.fixture
def s3_csv(s3_store: S3Server) -> Connector:
    bucket = bucket_of("s3", s3_store.bucket())
    bucket.put("a.csv", b"id\n1\n")
    return over(bucket, "a.csv")


@pytest.mark.parametrize("name", ["S3_SECRET_KEY", "S3_ACCESS_KEY"])
def test_wrong_credentials(s3_csv: Connector, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "Wr0ng-and-secret")
    found = _error(s3_csv)
    assert isinstance(found, SourceDenied)
    assert "S3_SECRET_KEY" in found.hint
    for text in (str(found), repr(found.as_dict()), repr(found.__cause__), repr(s3_csv)):
        assert "Wr0ng" not in text and S3Server.secret_key not in text


def test_no_credentials(s3_csv: Connector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("S3_ACCESS_KEY")
    monkeypatch.delenv("S3_SECRET_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    found = _error(s3_csv)
    assert found.code == "source.access_denied"
    assert "no credentials" in found.message


def test_half_of_the_credentials(s3_csv: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_SECRET_KEY")
    found = _error(s3_csv)
    assert found.code == "settings.invalid"
    assert found.message == "S3_SECRET_KEY is not set."


def test_no_store_at_the_endpoint(s3_csv: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    with line_to(9) as line:
        line.down = True
        monkeypatch.setenv("S3_ENDPOINT", line.endpoint)
        found = _error(s3_csv)
    assert isinstance(found, SourceUnreachable)
    assert "S3_ENDPOINT" in found.hint


@pytest.mark.parametrize("key", ["a.csv", "d/*.parquet", "b.parquet"])
def test_a_missing_bucket_is_called_one(store: Store, key: str) -> None:
    scheme = "s3" if isinstance(store, S3Server) else "gs"
    found = _error(over(bucket_of(scheme, "no-such-bucket-here"), key))
    assert found.code == "source.not_found"
    assert "There is no bucket" in found.message


@pytest.mark.parametrize("make", [lambda b: b"", lambda b: b"PAR1 nothing PAR1", lambda b: b[:-10]])
def test_a_damaged_parquet_is_called_one(store: Store, bucket: Bucket, make: Callable[[bytes], bytes]) -> None:
    columns = (Column("id", Kind.INTEGER),)
    bucket.put("a.parquet", make(parquet_bytes(columns, [(1,)])))
    assert _error(over(bucket, "a.parquet")).code == "source.unreadable"


def test_an_empty_object_is_an_empty_file(bucket: Bucket) -> None:
    bucket.put("a.csv", b"")
    assert _error(over(bucket, "a.csv")).code == "source.empty_file"
