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
from recipe import Column, ElasticsearchSource, FilterCondition, Kind, format_cell, passes
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


# --- fields --------------------------------------------------------------------------------------------------------


def rows_of(node: SearchNode, search: Front, properties: dict[str, Any], *documents: str, **mapping: Any) -> list[Row]:
    return read_rows(over(search.uri(node.index(properties, documents, **mapping))))


def test_objects_are_flattened_and_the_rest_is_json(node: SearchNode, search: Front) -> None:
    properties = {
        "buyer": {"properties": {"name": {"type": "keyword"}, "vat": {"properties": {"id": {"type": "keyword"}}}}},
        "lines": {"type": "nested", "properties": {"net": {"type": "double"}}},
        "notes": {"properties": {"text": {"type": "text"}}},
        "raw": {"type": "object", "enabled": False},
        "spot": {"type": "geo_point"},
        "copy": {"type": "alias", "path": "buyer.name"},
    }
    name = node.index(
        properties,
        [
            '{"buyer": {"name": "A", "vat": {"id": "DE1"}}, "lines": [{"net": 1.10}, {"net": 2}], "raw": {"x": 1.50},'
            ' "notes": [{"text": "one"}, {"text": "two"}], "spot": [1.5, 2]}',
            '{"buyer.name": "B", "buyer": {"vat.id": "FR2"}, "lines": {"net": 3.00}, "notes": {"text": ["x"]}, "raw": []}',
        ],
    )
    source = over(search.uri(name))
    assert [c.name for c in source.schema()] == ["buyer.name", "buyer.vat.id", "lines", "notes.text", "raw", "spot"]
    assert read_rows(source) == [
        ("A", "DE1", '[{"net": 1.10}, {"net": 2}]', '["one", "two"]', '{"x": 1.50}', "[1.5, 2]"),
        ("B", "FR2", '{"net": 3.00}', "x", "[]", None),
    ]


def test_numbers_are_those_of_the_document_digit_for_digit(node: SearchNode, search: Front) -> None:
    scaled = {"type": "scaled_float", "scaling_factor": 10000}
    properties = {"a": scaled, "b": {"type": "double"}, "c": {"type": "float"}, "k": {"type": "keyword"}}
    properties |= {"u": {"type": "unsigned_long"}, "s": {"type": "scaled_float", "scaling_factor": 20}}
    rows = rows_of(
        node,
        search,
        properties,
        '{"a": 12345678901234567.8901, "b": 0.1, "c": 0.1, "k": 1.50, "u": 18446744073709551615, "s": 0.05}',
        '{"a": "7.5", "b": 1e3, "c": 100, "k": "007", "u": 1, "s": 1}',
        '{"a": [1.10000], "b": [null, 2.5], "c": [], "k": true, "u": null}',
    )
    assert rows == [
        (Decimal("12345678901234567.8901"), 0.1, 0.1, "1.50", 0.05, Decimal("18446744073709551615")),
        (Decimal("7.5"), 1000.0, 100.0, "007", 1.0, Decimal(1)),
        (Decimal("1.1"), 2.5, None, "true", None, None),
    ]


def test_dates_of_every_format_are_moments_in_utc_or_days(node: SearchNode, search: Front) -> None:
    properties = {
        "a": {"type": "date"},
        "b": {"type": "date", "format": "dd/MM/yyyy"},
        "c": {"type": "date", "format": "dd.MM.yyyy HH:mm||epoch_second"},
        "d": {"type": "date", "null_value": "1970-01-01"},
    }
    rows = rows_of(
        node,
        search,
        properties,
        '{"a": "2026-03-01T00:30:00+01:00", "b": "31/01/2026", "c": "01.02.2026 10:15"}',
        '{"a": 1769860801123, "b": "01/12/1899", "c": 1769860801, "d": null}',
    )
    moment = dt.datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)
    assert rows == [
        (
            dt.datetime(2026, 2, 28, 23, 30, tzinfo=UTC),
            dt.date(2026, 1, 31),
            moment.replace(2026, 2, 1, 10, 15, 0),
            None,
        ),
        (moment.replace(microsecond=123000), dt.date(1899, 12, 1), moment, None),
    ]


@pytest.mark.parametrize(
    "mapped, content, says",
    [
        ({"type": "long"}, "[1, 2]", "2 values at once"),
        ({"type": "long"}, "5.7", "no whole number"),
        ({"type": "long", "ignore_malformed": True}, '"many"', "no number"),
        ({"type": "scaled_float", "scaling_factor": 100}, "1.005", "does not fit"),
        ({"type": "double"}, "12345678901234567.89", "binary number"),
        ({"type": "date", "ignore_malformed": True}, '"tomorrow"', "could not read as a date"),
        ({"type": "date"}, '["2026-01-01", "2026-01-01"]', "2 values at once"),
        ({"type": "date_nanos"}, '"2026-01-01T00:00:00.123456789Z"', "microseconds"),
        ({"type": "date", "format": "uuuuuu-MM-dd"}, '"012026-01-01"', "1 to 9999"),
    ],
)
def test_what_has_no_exact_form_stops_with_column_and_document(
    node: SearchNode, search: Front, mapped: dict[str, Any], content: str, says: str
) -> None:
    name = node.index({"v": mapped}, [f'{{"v": {content}}}'])
    source = over(search.uri(name))
    with pytest.raises(SourceDataError, match=says) as caught:
        read_rows(source)
    assert caught.value.code == "source.unrepresentable_value"
    assert "'v'" in caught.value.message and f"{name}/0" in caught.value.message


def test_indexes_that_cannot_be_read_say_why(node: SearchNode, search: Front) -> None:
    for properties, mapping, says in [
        ({"a": {"type": "long"}}, {"_source": {"enabled": False}}, "keeps no documents"),
        ({}, {}, "has no fields"),
        ({"a": {"type": "date", "doc_values": False}}, {}, "doc_values is false"),
    ]:
        name = node.index(properties, **mapping)
        with pytest.raises(ConnectorError, match=says) as caught:
            over(search.uri(name)).schema()
        assert caught.value.hint


# --- filters -------------------------------------------------------------------------------------------------------


def test_what_the_index_holds_differently_is_filtered_as_the_document_says(node: SearchNode, search: Front) -> None:
    """Where the index lower-cases, shortens, rounds, replaces NULL or leaves out, rows pass as the documents say."""
    properties = {
        "low": {"type": "keyword", "normalizer": "lowercase"},
        "short": {"type": "keyword", "ignore_above": 3},
        "null": {"type": "keyword", "null_value": "NULL"},
        "words": {"type": "text"},
        "dark": {"type": "long", "index": False, "doc_values": False},
        "cents": {"type": "scaled_float", "scaling_factor": 100},
        "real": {"type": "float"},
        "many": {"type": "keyword"},
    }
    rows = [
        {"low": "ABC", "short": "abcd", "null": None, "words": "Big Bank", "dark": 1, "cents": 1.1, "real": 0.1},
        {"low": "abc", "short": "abc", "null": "NULL", "words": "bank", "dark": 2, "cents": 1.11, "many": ["a", "b"]},
        {"low": "x", "short": "ab", "null": "x", "words": "Bank", "dark": 3, "cents": -1.1, "many": "a"},
    ]
    source = over(search.uri(node.index(properties, rows)))
    schema = source.schema()
    whole = [dict(zip([c.name for c in schema], row, strict=True)) for row in read_rows(source)]
    number = Decimal("1.1")
    for column, op, value in [
        *[("low", op, "ABC") for op in ("eq", "neq", "gte", "lt")],
        *[("short", op, "abcd") for op in ("eq", "neq", "gte")],
        ("short", "in", ["abc", "ab"]),
        *[("null", op, "NULL") for op in ("eq", "neq")],
        ("words", "eq", "bank"),
        ("words", "like", "%Bank"),
        ("dark", "gt", Decimal(1)),
        *[("cents", op, number) for op in ("eq", "gte", "gt", "lte", "lt")],
        ("cents", "between", [Decimal("-1.10"), Decimal("1.10")]),
        ("real", "eq", Decimal("0.1")),
        ("real", "lte", Decimal("0.1")),
        ("many", "eq", "a"),
        ("many", "eq", '["a", "b"]'),
    ]:
        filters = [FilterCondition(column=column, op=op, value=value)]
        wanted = [row for row in whole if passes(row, filters, schema)]
        found = [dict(zip([c.name for c in schema], row, strict=True)) for row in read_rows(source, 1, filters)]
        assert found == wanted, (column, op, value)
        assert source.count(filters) == len(wanted)


def test_both_zeros_are_found_by_either(node: SearchNode, search: Front) -> None:
    source = over(search.uri(node.index({"d": {"type": "double"}}, ['{"d": -0.0}', '{"d": 0.0}', '{"d": 1}'])))
    for op, number in (("eq", 2), ("gte", 3), ("lte", 2), ("in", 2)):
        value: Any = [Decimal(0)] if op == "in" else Decimal(0)
        assert source.count([FilterCondition(column="d", op=op, value=value)]) == number, op


def test_certain_conditions_are_asked_of_the_server(node: SearchNode, search: Front) -> None:
    properties = {"n": {"type": "long"}, "k": {"type": "keyword"}, "day": {"type": "date", "format": "yyyy-MM-dd"}}
    rows = [{"n": i, "k": f"k{i % 10}", "day": f"2026-01-{i % 28 + 1:02}"} for i in range(100)]
    source = over(search.uri(node.index(properties, rows)))
    for column, op, value, most in [
        ("n", "gte", Decimal(90), 10),
        ("k", "in", ["k1", "k2"], 20),
        ("day", "lt", "2026-01-03", 12),
    ]:
        filters = [FilterCondition(column=column, op=op, value=value)]
        search.queries.clear()
        assert 0 < len(read_rows(source, 1, filters)) <= most
        query = search.queries[-1]["query"]
        asked = node.call("POST", f"/{source._place.index}/_count", {"query": query})  # type: ignore[attr-defined]
        assert asked["count"] <= most + 4  # bounds are asked inclusively


def test_what_an_index_ignores_by_its_settings_is_not_left_out(node: SearchNode, search: Front) -> None:
    """A document with a number that is none stops the read, also where a filter would not find it."""
    name = node.index({"n": {"type": "long"}}, settings={"index.mapping.ignore_malformed": True})
    node.put(name, [{"n": 1}, {"n": "many"}])
    with pytest.raises(SourceDataError, match="'many'"):
        read_rows(over(search.uri(name)), 1, [FilterCondition(column="n", op="gte", value=Decimal(1))])


def test_unmapped_fields_are_not_asked_for(node: SearchNode, search: Front) -> None:
    """Documents written while a field was not mapped are not found by it, and are read all the same."""
    name = node.index({"n": {"type": "long"}}, [{"n": 1, "late": "x"}], dynamic=False)
    node.call("PUT", f"/{name}/_mapping", {"properties": {"late": {"type": "keyword"}}})
    node.put(name, [{"n": 2, "late": "x"}], first=5)
    filters = [FilterCondition(column="late", op="eq", value="x")]
    assert read_rows(over(search.uri(name)), 1, filters) == [("x", 1), ("x", 2)]


def test_fields_that_documents_do_not_keep_are_no_columns(node: SearchNode, search: Front) -> None:
    """They would read as NULL, which they are not."""
    properties = {"a": {"type": "keyword"}, "big": {"properties": {"x": {"type": "keyword"}}}, "c": {"type": "keyword"}}
    documents = [{"a": "1", "big": {"x": "2"}, "c": "3"}]
    for stored, names in (
        ({"excludes": ["big.*"]}, ["a", "c"]),
        ({"excludes": ["b*"]}, ["a", "c"]),
        ({"includes": ["a"]}, ["a"]),
    ):
        source = over(search.uri(node.index(properties, documents, _source=stored)))
        assert [c.name for c in source.schema()] == names
        assert len(read_rows(source)) == 1


def test_an_alias_shows_what_its_filter_lets_through(node: SearchNode, server: Front) -> None:
    name = node.index({"n": {"type": "long"}}, [{"n": i} for i in range(10)], shards=2)
    node.call("POST", f"/{name}/_aliases/{name}-few", {"filter": {"range": {"n": {"gte": 7}}}})
    few = over(server.uri(f"{name}-few"))
    assert sorted(read_rows(few, 2)) == [(7,), (8,), (9,)]
    assert few.count() == 3 and few.preview(5).total_rows == 3
