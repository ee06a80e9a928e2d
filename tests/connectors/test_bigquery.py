"""The connector contract on a small BigQuery of the tests' own, with Google's clients unpatched, and its special rules."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from google.auth.credentials import AnonymousCredentials

from connectors import Connector, ConnectorError, SourceDataError, connector_for
from connectors.bigquery import clients
from recipe import BigQuerySource, Column, FilterCondition, Kind
from tests.bigquery_server import BigQuery, bigquery_server, grpc
from tests.connectors.contract import UTC, ConnectorContract, Make, Row, read_rows

_TYPES: dict[Kind, tuple[str, pa.DataType]] = {
    Kind.INTEGER: ("INTEGER", pa.int64()),
    Kind.DECIMAL: ("NUMERIC", pa.decimal128(38, 9)),
    Kind.DOUBLE: ("FLOAT", pa.float64()),
    Kind.TEXT: ("STRING", pa.string()),
    Kind.DATE: ("DATE", pa.date32()),
    Kind.TIMESTAMP: ("DATETIME", pa.timestamp("us")),
    Kind.TIMESTAMPTZ: ("TIMESTAMP", pa.timestamp("us", tz="UTC")),
    Kind.BOOLEAN: ("BOOLEAN", pa.bool_()),
}


@pytest.fixture(scope="module")
def running() -> Iterator[BigQuery]:
    with bigquery_server() as server:
        yield server


@pytest.fixture
def bigquery(running: BigQuery, no_store: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQuery]:
    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    running.breaks, running.refuse, running.asked = [], None, []
    yield running
    running.hold.clear()


def over(table: str, more: str = "") -> Connector:
    return connector_for(BigQuerySource(alias="a", uri=f"bigquery://acme/fin?table={table}{more}", primary_key=("id",)))


def described(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "type": _TYPES[column.kind][0], "mode": "NULLABLE"}
    if column.kind is Kind.DECIMAL:
        found |= {"precision": str(column.precision), "scale": str(column.scale)}
    return found


def table_of(columns: Sequence[Column], rows: Sequence[Row]) -> pa.Table:
    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [pa.array(list(v), _TYPES[c.kind][1]) for v, c in zip(cells, columns, strict=True)]
    return pa.table(arrays, [c.name for c in columns])


class TestBigQuery(ConnectorContract):
    missing_code = "source.table_not_found"
    identity_keys = frozenset({"project", "table", "kind"})

    @pytest.fixture
    def make(self, bigquery: BigQuery) -> Make:
        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            return over(bigquery.table([described(c) for c in columns], table_of(columns, rows)))

        return build

    @pytest.fixture
    def missing(self, bigquery: BigQuery) -> Connector:
        return over("gone")

    def test_splits_are_groups_of_streams(self, bigquery: BigQuery, make: Make) -> None:
        source = make((Column("id", Kind.INTEGER),), [(i,) for i in range(40)])
        with source.open_snapshot() as snapshot:
            assert [len(source.plan_splits(snapshot, n)) for n in (1, 2, 5, 40)] == [1, 2, 5, 5]


ONE = {"name": "v", "mode": "NULLABLE"}


def rows_of(bigquery: BigQuery, kind: str, cells: list[Any], arrow: pa.DataType, **more: Any) -> list[Any]:
    name = bigquery.table([ONE | {"type": kind} | more], pa.table({"v": pa.array(cells, arrow)}))
    return [row[0] for row in read_rows(over(name))]


@pytest.mark.parametrize(
    "kind, cells, arrow, expected",
    [
        ("NUMERIC", [Decimal("0.123456789"), None], pa.decimal128(38, 9), [Decimal("0.123456789"), None]),
        ("BIGNUMERIC", [Decimal("1e-20"), Decimal("123456789012345678")], pa.decimal256(76, 38), [Decimal("1e-20"), Decimal("123456789012345678")]),
        ("BYTES", [b"\x00\xff"], pa.binary(), ["00ff"]),
        ("TIME", [dt.time(12, 0, 1)], pa.time64("us"), ["12:00:01"]),
        ("GEOGRAPHY", ["POINT(1 2)"], pa.string(), ["POINT(1 2)"]),
        ("JSON", ['{"a": 1.50}'], pa.string(), ['{"a": 1.50}']),
        ("DATETIME", [dt.datetime(2026, 1, 31, 1, 2, 3, 4)], pa.timestamp("us"), [dt.datetime(2026, 1, 31, 1, 2, 3, 4)]),
        ("TIMESTAMP", [dt.datetime(2026, 1, 31, tzinfo=UTC)], pa.timestamp("us", tz="UTC"), [dt.datetime(2026, 1, 31, tzinfo=UTC)]),
    ],
)  # fmt: skip
def test_every_type(bigquery: BigQuery, kind: str, cells: list[Any], arrow: pa.DataType, expected: list[Any]) -> None:
    assert rows_of(bigquery, kind, cells, arrow) == expected


def test_nested_types_are_json(bigquery: BigQuery) -> None:
    many = pa.list_(pa.decimal128(38, 9))
    assert rows_of(bigquery, "NUMERIC", [[Decimal("1.5")], []], many, mode="REPEATED") == ["[1.500000000]", "[]"]
    record = pa.struct([("a", pa.int64()), ("b", pa.string())])
    inside = [{"name": "a", "type": "INTEGER"}, {"name": "b", "type": "STRING"}]
    assert rows_of(bigquery, "RECORD", [{"a": 1, "b": None}], record, fields=inside) == ['{"a": 1, "b": null}']


def test_declared_decimals_have_their_size(bigquery: BigQuery) -> None:
    rows = pa.table({"v": pa.array([Decimal("12.30")], pa.decimal256(76, 38))})
    source = over(bigquery.table([ONE | {"type": "BIGNUMERIC", "precision": "20", "scale": "4"}], rows))
    (column,) = source.schema()
    assert (column.kind, column.precision, column.scale, column.native) == (Kind.DECIMAL, 20, 4, "BIGNUMERIC")
    assert read_rows(source) == [(Decimal("12.3"),)]
    measured = over(bigquery.table([ONE | {"type": "BIGNUMERIC"}], rows))
    assert (measured.schema()[0].precision, measured.schema()[0].scale) == (38, 1)


def test_digits_beyond_38_stop_with_their_column(bigquery: BigQuery) -> None:
    rows = pa.table({"v": pa.array([Decimal("1e30"), Decimal("1e-20")], pa.decimal256(76, 38))})
    source = over(bigquery.table([ONE | {"type": "BIGNUMERIC"}], rows))
    with pytest.raises(SourceDataError, match="'v'") as caught:
        read_rows(source)
    assert caught.value.code == "source.unrepresentable_value"


def test_what_has_no_exact_form_or_no_rows_is_refused(bigquery: BigQuery) -> None:
    rows = pa.table({"v": pa.array([None], pa.month_day_nano_interval())})
    with pytest.raises(SourceDataError, match="'v'") as caught:
        over(bigquery.table([ONE | {"type": "INTERVAL"}], rows)).schema()
    assert caught.value.code == "source.unsupported_type"
    view = bigquery.table([ONE | {"type": "STRING"}], pa.table({"v": ["a"]}), kind="VIEW")
    with pytest.raises(ConnectorError, match="kind view") as caught:
        over(view).schema()
    assert caught.value.code == "source.unsupported_type" and caught.value.hint


# --- one moment ----------------------------------------------------------------------------------------------------


def test_a_snapshot_keeps_what_was_there(bigquery: BigQuery) -> None:
    fields = [ONE | {"type": "INTEGER"}]
    name = bigquery.table(fields, pa.table({"v": list(range(20))}))
    other = bigquery.table(fields, pa.table({"v": [1]}))
    source = over(name)
    with source.open_snapshot() as snapshot:
        bigquery.write(name, pa.table({"v": [99]}))
        bigquery.write(other, pa.table({"v": [98]}))
        splits = source.plan_splits(snapshot, 3)
        found = [v for s in splits for b in source.read(snapshot, s) for v in b.column(0).to_pylist()]
        with over(other).open_snapshot(beside=snapshot) as second:
            assert second.identity["snapshot_time"] == snapshot.identity["snapshot_time"]
            assert read_of(over(other), second) == [1]
    assert found == list(range(20))
    assert read_rows(over(name)) == [(99,)]


def read_of(source: Connector, snapshot: Any) -> list[Any]:
    (split,) = source.plan_splits(snapshot, 1)
    return [v for b in source.read(snapshot, split) for v in b.column(0).to_pylist()]


def test_a_stream_that_breaks_off_goes_on_where_it_broke(bigquery: BigQuery) -> None:
    name = bigquery.table([ONE | {"type": "INTEGER"}], pa.table({"v": list(range(60))}))
    bigquery.breaks = [1, 2, 0]
    assert read_rows(over(name)) == [(i,) for i in range(60)]
    assert bigquery.breaks == []


@contextlib.contextmanager
def cable(port: int) -> Iterator[tuple[int, threading.Event]]:
    """A port that leads to another one, until the event is cleared: then it is silent, for 10 seconds at most, and takes
    nobody new."""
    whole = threading.Event()
    whole.set()

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                whole.wait(10)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                if not whole.is_set():
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", port), timeout=30)
                ends.extend((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    ends: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1], whole
        finally:
            whole.set()
            for end in ends:
                end.close()


def test_a_network_that_is_cut_without_a_word_ends_the_read(
    bigquery: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_SECONDS", 1)
    quick = tuple((name, milliseconds // 20) for name, milliseconds in clients._ALIVE)
    monkeypatch.setattr(clients, "_ALIVE", quick)
    name = bigquery.table([ONE | {"type": "INTEGER"}], pa.table({"v": list(range(60))}))
    with cable(bigquery.grpc) as (port, whole):
        monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", f"127.0.0.1:{port}")
        source = over(name)
        bigquery.hold.set()
        with source.open_snapshot() as snapshot:
            (split,) = source.plan_splits(snapshot, 1)
            found = source.read(snapshot, split)
            next(found)
            whole.clear()
            with pytest.raises(ConnectorError) as caught:
                list(found)
    assert caught.value.code == "source.unreachable"


def test_the_way_to_google_has_pings_too(no_store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIGQUERY_STORAGE_EMULATOR_HOST", raising=False)
    told: list[Any] = []
    build = grpc.secure_channel

    def noted(*args: Any, **more: Any) -> Any:
        told.append(dict(more["options"]))
        return build(*args, **more)

    monkeypatch.setattr("grpc.secure_channel", noted)
    anonymous = AnonymousCredentials()
    monkeypatch.setattr("google.auth.default", lambda *_, **__: (anonymous, None))
    with clients.read_client():
        pass
    assert told[0]["grpc.keepalive_time_ms"] + told[0]["grpc.keepalive_timeout_ms"] == 30_000
    assert told[0]["grpc.max_receive_message_length"] == -1


def test_a_column_that_is_added_meanwhile_asks_for_another_run(bigquery: BigQuery) -> None:
    name = bigquery.table([ONE | {"type": "INTEGER"}], pa.table({"v": [1], "new": [2]}))
    with pytest.raises(ConnectorError, match="column 'new'") as caught:
        over(name).schema()
    assert (caught.value.code, caught.value.hint) == ("source.changed", "Run again.")


def test_counts_do_not_trust_rows_that_are_still_streamed_in(bigquery: BigQuery) -> None:
    rows = pa.table({"v": list(range(7))})
    fields = [ONE | {"type": "INTEGER"}]
    quick, slow = over(bigquery.table(fields, rows)), over(bigquery.table(fields, rows, streaming=True))
    assert quick.count() == 7 and bigquery.asked == []
    assert slow.count() == 7 and len(bigquery.asked) == 1
    assert quick.estimated_rows() == 7


def test_who_pays_and_which_columns(bigquery: BigQuery) -> None:
    """A session is of all columns, but for the one that measures those whose size nobody declared."""
    fields = [ONE | {"type": "INTEGER"}, {"name": "w", "type": "BIGNUMERIC", "mode": "NULLABLE"}]
    name = bigquery.table(fields, pa.table({"v": [1], "w": pa.array([Decimal(2)], pa.decimal256(76, 38))}))
    source = over(name, "&billing=payer")
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        batches = list(source.read(snapshot, split, (), ["w"]))
    assert [b.schema.names for b in batches] == [["w"]]
    assert {request.parent for request in bigquery.asked} == {"projects/payer"}
    asked = [list(request.read_session.read_options.selected_fields) for request in bigquery.asked]
    assert asked == [[], ["w"]]


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, code",
    [
        (grpc.StatusCode.PERMISSION_DENIED, "source.access_denied"),
        (grpc.StatusCode.UNAUTHENTICATED, "source.access_denied"),
        (grpc.StatusCode.FAILED_PRECONDITION, "source.unreachable"),
        (grpc.StatusCode.INVALID_ARGUMENT, "source.unreadable"),
        (grpc.StatusCode.UNAVAILABLE, "source.unreachable"),
    ],
)
def test_every_refusal_has_its_sentence(
    bigquery: BigQuery, status: Any, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.bigquery.clients._SECONDS", 0.5)
    name = bigquery.table([ONE | {"type": "INTEGER"}], pa.table({"v": [1]}))
    bigquery.refuse = status
    with pytest.raises(ConnectorError) as caught:
        read_rows(over(name))
    assert caught.value.code == code and caught.value.hint
    assert "s3cr3t" not in f"{caught.value}{caught.value.as_dict()}"


def test_an_ended_session_says_so(bigquery: BigQuery) -> None:
    source = over(bigquery.table([ONE | {"type": "INTEGER"}], pa.table({"v": [1]})))
    with source.open_snapshot() as snapshot:
        gone = replace(source.plan_splits(snapshot, 1)[0], payload={"streams": ["projects/acme/none"]})
        with pytest.raises(ConnectorError, match="as it was when the run began") as caught:
            list(source.read(snapshot, gone))
    assert caught.value.code == "source.unreachable"


def test_without_credentials(no_store: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(ConnectorError, match="credentials") as caught:
        over("t").schema()
    assert caught.value.code == "source.access_denied"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.hint


@pytest.mark.parametrize("more", ["&location=EU", "%60%3B%20DROP", "/../x"])
def test_addresses_that_cannot_be_meant(more: str) -> None:
    with pytest.raises(ConnectorError) as caught:
        over("t", more)
    assert caught.value.code == "source.invalid_uri"


def test_filters_on_columns_that_are_not_asked_for(bigquery: BigQuery) -> None:
    rows = pa.table({"v": list(range(9)), "w": [str(i) for i in range(9)]})
    fields = [ONE | {"type": "INTEGER"}, {"name": "w", "type": "STRING", "mode": "NULLABLE"}]
    source = over(bigquery.table(fields, rows))
    filters = [FilterCondition(column="v", op="gte", value=Decimal(5))]
    assert source.count(filters) == 4
    with source.open_snapshot() as snapshot:
        batches = [b for s in source.plan_splits(snapshot, 2) for b in source.read(snapshot, s, filters, ["w"])]
    assert {tuple(b.schema.names) for b in batches} == {("w",)}
    assert [value for b in batches for value in b.column("w").to_pylist()] == ["5", "6", "7", "8"]
    assert all(not request.read_session.read_options.row_restriction for request in bigquery.asked)
