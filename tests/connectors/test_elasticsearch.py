"""The connector contract on a real OpenSearch node in both products' ways, and what is special to indexes."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

from connectors import Connector, ConnectorError, SourceDataError, connector_for
from connectors.elasticsearch import reader
from recipe import Column, ElasticsearchSource, FilterCondition, Kind, format_cell
from tests.connectors.contract import UTC, ConnectorContract, Make, Row, read_rows
from tests.search_servers import Front, SearchNode, front

pytest_plugins = ("tests.search_fixtures",)

SECRET = "s3cr3t/p@ss word%"
API_KEY = base64.b64encode(b"key-id:s3cr3t-of-the-key").decode()
_MAPPED: dict[Kind, dict[str, Any]] = {
    Kind.INTEGER: {"type": "long"},
    Kind.TEXT: {"type": "keyword"},
    Kind.DECIMAL: {"type": "scaled_float", "scaling_factor": 100},
    Kind.DOUBLE: {"type": "double"},
    Kind.DATE: {"type": "date", "format": "yyyy-MM-dd"},
    Kind.TIMESTAMP: {"type": "date_nanos"},
    Kind.TIMESTAMPTZ: {"type": "date_nanos"},
    Kind.BOOLEAN: {"type": "boolean"},
}
_MADE: dict[str, str] = {}  # indexes by what is in them: nothing writes to a source


def over(uri: str) -> Connector:
    return connector_for(ElasticsearchSource(alias="a", uri=uri, primary_key=("id",)))


def document(columns: Sequence[Column], row: Row) -> str:
    """JSON whose numbers are written as their decimals are."""
    plain = {Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE, Kind.BOOLEAN}
    members = []
    for column, value in zip(columns, row, strict=True):
        text = format_cell(value)
        written = "null" if text is None else text if column.kind in plain else json.dumps(text)
        members.append(f"{json.dumps(column.name)}: {written}")
    return "{" + ", ".join(members) + "}"


class _Contract(ConnectorContract):
    awkward_filters = 70
    missing_code = "source.not_found"
    identity_keys = frozenset({"product", "version", "cluster", "index", "indexes", "documents", "max_seq_no"})
    options: ClassVar[dict[str, Any]]
    who: ClassVar[str] = ""
    parameters: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def server(self, node: SearchNode) -> Iterator[Front]:
        with front(node, **self.options) as found:
            yield found

    @pytest.fixture
    def make(self, node: SearchNode, server: Front) -> Make:
        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            content = [document(columns, row) for row in rows]
            key = json.dumps([[c.name for c in columns], content])
            if key not in _MADE:
                _MADE[key] = node.index({c.name: _MAPPED[c.kind] for c in columns}, content)
            return over(server.uri(_MADE[key], self.who, **self.parameters))

        return build

    @pytest.fixture
    def missing(self, server: Front) -> Connector:
        return over(server.uri("no-such-index", self.who, **self.parameters))

    def seen(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        """By name, as mappings list them; moments are always in UTC, decimals as wide as they come."""
        wide = [replace(c, precision=38) if c.kind is Kind.DECIMAL else c for c in columns]
        told = [replace(c, kind=Kind.TIMESTAMPTZ) if c.kind is Kind.TIMESTAMP else c for c in wide]
        return tuple(sorted(told, key=lambda c: c.name))

    def expected(self, columns: Sequence[Column], rows: Sequence[Row]) -> list[Row]:
        order = sorted(range(len(columns)), key=lambda i: columns[i].name)
        return [tuple(_in_utc(row[i]) for i in order) for row in rows]


def _in_utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, dt.datetime) else value


class TestOpenSearch(_Contract):
    secret = SECRET
    who = f"reader:{quote(SECRET, safe='')}@"
    options: ClassVar = {"authorization": "Basic " + base64.b64encode(f"reader:{SECRET}".encode()).decode()}


class TestElasticsearch(_Contract):
    secret = API_KEY
    parameters: ClassVar = {"api_key": API_KEY}
    options: ClassVar = {"product": "elasticsearch", "authorization": f"ApiKey {API_KEY}"}


# --- order, splits, patterns ---------------------------------------------------------------------------------------


@pytest.fixture(params=["opensearch", "elasticsearch"])
def server(request: pytest.FixtureRequest, node: SearchNode) -> Iterator[Front]:
    with front(node, product=request.param) as found:
        yield found


def test_many_shards_and_small_pages_lose_and_repeat_nothing(
    node: SearchNode, server: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents of several shards share sequence numbers, also at the ends of pages; some numbers are of old versions."""
    name = node.index({"n": {"type": "long"}}, [{"n": i} for i in range(100)], shards=3)
    node.put(name, [{"n": i} for i in range(40, 60)], first=40)
    node.call("POST", f"/{name}/_delete_by_query?refresh=true", {"query": {"range": {"n": {"lt": 10}}}})
    monkeypatch.setattr("connectors.elasticsearch.reader._FIRST_PAGE", 1)
    monkeypatch.setattr("connectors.elasticsearch.reader._LARGEST_PAGE", 7)
    source = over(server.uri(name))
    once = read_rows(source)
    assert sorted(once) == [(i,) for i in range(10, 100)]
    for splits in (2, 7):
        assert read_rows(source, splits) == once
    assert len(server.queries) > 40
    assert source.count() == source.estimated_rows() == 90


def test_an_index_that_was_shrunk_is_read_whole(
    node: SearchNode, search: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its only shard has documents with equal sequence numbers, more of them than the first page holds."""
    wide = node.index({"n": {"type": "long"}}, [{"n": i} for i in range(60)], shards=8)
    node.call("PUT", f"/{wide}/_settings", {"index.blocks.write": True})
    one = {"index.number_of_shards": 1, "index.number_of_replicas": 0, "index.blocks.write": None}
    node.call("POST", f"/{wide}/_shrink/{wide}-one?wait_for_active_shards=1", {"settings": one})
    monkeypatch.setattr("connectors.elasticsearch.reader._FIRST_PAGE", 1)
    source = over(search.uri(f"{wide}-one"))
    assert sorted(read_rows(source, 3)) == [(i,) for i in range(60)]
    monkeypatch.setattr("connectors.elasticsearch.reader._LARGEST_PAGE", 4)
    with pytest.raises(ConnectorError, match="one sequence number") as caught:
        read_rows(source)
    assert "_reindex" in caught.value.hint


def test_a_pattern_is_one_source_and_lacking_fields_are_null(node: SearchNode, server: Front) -> None:
    base = node.index({"a": {"type": "keyword"}}, [{"a": "x"}])
    node.index({"a": {"type": "keyword"}, "b": {"type": "long"}}, [{"a": "y", "b": 2}], name=f"{base}-more")
    pattern = over(server.uri(f"{base}*"))
    assert sorted(read_rows(pattern, 3), key=str) == [("x", None), ("y", 2)]
    assert [c.name for c in pattern.schema()] == ["a", "b"]
    assert read_rows(over(server.uri(f"{base}*,-{base}-more"))) == [("x",)]
    filtered = [FilterCondition(column="b", op="eq", value=Decimal(2))]
    assert read_rows(pattern, 1, filtered) == [("y", 2)]
    with pytest.raises(ConnectorError) as caught:
        over(server.uri(f"{base}-nothing*")).schema()
    assert caught.value.code == "source.not_found"
    node.index({"a": {"type": "long"}}, name=f"{base}-other")
    with pytest.raises(SourceDataError, match="'a' has the type") as caught:
        pattern = over(server.uri(f"{base}*"))
        pattern.schema()
    assert caught.value.code == "source.columns_differ"


def test_a_snapshot_keeps_what_was_there(node: SearchNode, server: Front) -> None:
    name = node.index({"n": {"type": "long"}}, [{"n": i} for i in range(20)], shards=2)
    source = over(server.uri(name))
    with source.open_snapshot() as snapshot:
        splits = source.plan_splits(snapshot, 4)
        before = [list(source.read(snapshot, s)) for s in splits[:2]]
        node.put(name, [{"n": 100 + i} for i in range(30)])
        node.put(name, [{"n": 1, "new": "field"}], first=99)
        after = [list(source.read(snapshot, s)) for s in splits]
    assert after[:2] == before
    assert sorted(n for part in after for b in part for n in b.column(0).to_pylist()) == list(range(20))
    assert sorted(r[0] for r in read_rows(over(server.uri(name)))) == [1, *range(100, 130)]


def test_fields_that_appear_while_a_snapshot_opens_are_columns(
    node: SearchNode, search: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mapping is asked for after the point in time, whose documents may have fields that it had not before."""
    name = node.index({"n": {"type": "long"}}, [{"n": 1}])
    opening = reader.open_pit

    def late(*given: Any) -> str:
        node.put(name, [{"n": 2, "new": 5}], first=1)
        return opening(*given)

    monkeypatch.setattr(reader, "open_pit", late)
    source = over(search.uri(name))
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        rows = [row for batch in source.read(snapshot, split) for row in batch.to_pylist()]
    assert rows == [{"n": 1, "new": None}, {"n": 2, "new": 5}]


def test_points_in_time_are_given_back(node: SearchNode, server: Front) -> None:
    name = node.index({"n": {"type": "long"}}, [{"n": 1}])
    source = over(server.uri(name))
    source.count()
    source.preview(1)
    with pytest.raises(RuntimeError, match="ours"), source.open_snapshot():
        raise RuntimeError("ours")
    opened = [p for p in server.paths if p.startswith("POST") and not p.startswith("POST /_search?")]
    closed = [p for p in server.paths if p.startswith("DELETE")]
    assert len(opened) == len(closed) == 3


def test_an_ended_point_in_time_says_so(node: SearchNode, server: Front) -> None:
    name = node.index({"n": {"type": "long"}}, [{"n": 1}])
    source = over(server.uri(name))
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
    with pytest.raises(ConnectorError, match="point in time ended") as caught:
        list(source.read(snapshot, split))
    assert caught.value.code == "source.unreachable"


def test_ids_are_a_column_where_the_address_names_one(node: SearchNode, search: Front) -> None:
    name = node.index({"n": {"type": "long"}}, [{"n": 5}, {"n": 6}])
    source = over(search.uri(name, id="doc"))
    assert read_rows(source) == [("0", 5), ("1", 6)]
    assert source.declared_key() == ("doc",)  # type: ignore[attr-defined]
    assert over(search.uri(name)).declared_key() == ()  # type: ignore[attr-defined]
    assert read_rows(source, 1, [FilterCondition(column="doc", op="eq", value="1")]) == [("1", 6)]
    with pytest.raises(ConnectorError, match="field 'n' already"):
        over(search.uri(name, id="n")).schema()


def test_an_alias_shows_what_its_filter_lets_through(node: SearchNode, server: Front) -> None:
    name = node.index({"n": {"type": "long"}}, [{"n": i} for i in range(10)], shards=2)
    node.call("POST", f"/{name}/_aliases/{name}-few", {"filter": {"range": {"n": {"gte": 7}}}})
    few = over(server.uri(f"{name}-few"))
    assert sorted(read_rows(few, 2)) == [(7,), (8,), (9,)]
    assert few.count() == 3 and few.preview(5).total_rows == 3
