"""What documents hold on a real OpenSearch node: fields of every type, and filters that mean what the document says."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from connectors import ConnectorError, SourceDataError
from recipe import FilterCondition, passes
from tests.connectors.contract import UTC, Row, read_rows
from tests.connectors.test_elasticsearch import over
from tests.search_servers import Front, SearchNode

pytest_plugins = ("tests.search_fixtures",)


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
