"""Documents and conditions of search servers that need no server: cells, and what a query asks for."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from connectors import SourceDataError
from connectors.elasticsearch.cells import batch_of
from connectors.elasticsearch.client import read_json
from connectors.elasticsearch.fields import fields_of
from connectors.elasticsearch.place import Place
from connectors.elasticsearch.pushdown import queries
from recipe import FilterCondition

PLACE = Place("localhost", 9200, False, "ledger")
RAW = {"type": "object", "enabled": False}


def cell(settings: dict[str, Any], document: str, doc_values: list[str] | None = None) -> Any:
    """What the field ``v`` of one document, as JSON, becomes."""
    fields = fields_of(PLACE, {"ledger": {"mappings": {"properties": {"v": settings}}}})
    hit = {"_index": "ledger", "_id": "7", "_source": read_json(document.encode())}
    batch = batch_of(PLACE, fields, [hit if doc_values is None else {**hit, "fields": {"v": doc_values}}])
    return batch.column(0).to_pylist()[0]


@pytest.mark.parametrize(
    "settings, document, expected",
    [
        (RAW, '{"v": [[1, 2], [3, null]]}', "[[1, 2], [3, null]]"),
        (RAW, '{"v": [{"x": 1.50}]}', '[{"x": 1.50}]'),
        (RAW, '{"v": [null]}', "[null]"),
        (RAW, '{"v": []}', "[]"),
        (RAW, '{"v": null}', None),
        (RAW, "{}", None),
        ({"type": "geo_point"}, '{"v": [[1.5, 2], [3, 4]]}', "[[1.5, 2], [3, 4]]"),
        ({"type": "nested"}, '{"v": [{"a": [[1], null]}]}', '[{"a": [[1], null]}]'),
        ({"type": "keyword"}, '{"v": [["a"], [null, "b"]]}', '["a", "b"]'),
        ({"type": "keyword"}, '{"v": ["a"]}', "a"),
        ({"type": "keyword"}, '{"v": []}', None),
    ],
)
def test_json_columns_show_what_stands_in_the_document(settings: Any, document: str, expected: str | None) -> None:
    assert cell(settings, document) == expected


def test_json_columns_in_arrays_of_objects_keep_each_value() -> None:
    fields = fields_of(PLACE, {"ledger": {"mappings": {"properties": {"o": {"properties": {"v": RAW}}}}}})
    source = read_json(b'{"o": [{"v": [1, [2]]}, {"v": {"x": null}}]}')
    batch = batch_of(PLACE, fields, [{"_index": "ledger", "_id": "7", "_source": source}])
    assert batch.column(0).to_pylist() == ['[[1, [2]], {"x": null}]']


@pytest.mark.parametrize(
    "settings, document, doc_values, says",
    [
        ({"type": "keyword"}, '{"v": "a\\ud800b"}', None, "half of a character"),
        ({"type": "long"}, '{"v": "\\ud800"}', None, "half of a character"),
        ({"type": "date"}, '{"v": "2026-01-01"}', ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"], "2 dates"),
        ({"type": "date"}, '{"v": "2026-01-01"}', [], "could not read as a date"),
        ({"type": "keyword"}, '{"v": [1e99999999999999999999, 1]}', None, "too many digits"),
        ({"type": "long"}, '{"v": [{"x": 1e99999999999999999999}]}', None, "too many digits"),
        (RAW, '{"v": [1e99999999999999999999]}', None, "too many digits"),
        (RAW, '{"v": {"x": 1e99999999}}', None, "too many digits"),
        (RAW, '{"v": {"x": 1e-99999999}}', None, "too many digits"),
        (RAW, '{"v": {"x": 0e-99999999}}', None, "too many digits"),
        (RAW, f'{{"v": [1e{"9" * 5000}]}}', None, "too many digits"),
    ],
)
def test_odd_values_stop_with_column_and_document(settings: Any, document: str, doc_values: Any, says: str) -> None:
    with pytest.raises(SourceDataError, match=says) as caught:
        cell(settings, document, doc_values)
    assert caught.value.code == "source.unrepresentable_value"
    assert "'v'" in caught.value.message and "ledger/7" in caught.value.message


def test_a_number_alone_stands_in_a_text_as_it_is_written() -> None:
    assert cell({"type": "keyword"}, '{"v": 1e99999999999999999999}') == "1e99999999999999999999"
    assert cell(RAW, '{"v": {"x": 0.00}}') == '{"x": 0.00}'


LONG = "12345678901234567890123456789012345.67"
CENTS = {"type": "scaled_float", "scaling_factor": 100}


def test_decimals_of_38_digits_are_not_rounded() -> None:
    assert cell({"type": "scaled_float", "scaling_factor": 1000}, f'{{"v": {LONG}}}') == Decimal(LONG)
    assert cell({"type": "scaled_float", "scaling_factor": 1000}, f'{{"v": -{LONG}}}') == Decimal(f"-{LONG}")


def bounds(settings: dict[str, Any], value: Decimal) -> tuple[str, str]:
    """What is asked for a number: the lowest and the highest, as JSON has them."""
    fields = fields_of(PLACE, {"ledger": {"mappings": {"properties": {"v": settings}}}})
    (query,) = queries([FilterCondition(column="v", op="eq", value=value)], fields)
    (asked,) = query["bool"]["should"]
    found = json.loads(json.dumps(asked), parse_float=str)["range"]["v"]
    return found["gte"], found["lte"]


@pytest.mark.parametrize(
    "column, index, is_asked",
    [
        ("n", {}, True),
        ("k", {}, True),
        ("n", {"settings": {"index.mapping.ignore_malformed": "true"}}, False),
        ("own", {"settings": {"index.mapping.ignore_malformed": "true"}}, True),
        ("k", {"settings": {"index.mapping.ignore_above": "2"}}, False),
        ("k", {"dynamic": "runtime"}, False),
        ("k", {"dynamic": "false_allow_templates"}, False),
        ("k", {"runtime": {"k": {"type": "keyword"}}}, False),
        ("n", {"runtime": {"k": {"type": "keyword"}}}, True),
    ],
)
def test_what_an_index_says_of_all_its_fields_decides_too(column: str, index: dict[str, Any], is_asked: bool) -> None:
    """Whether it is certain that the index finds every document."""
    properties = {"n": {"type": "long"}, "own": {"type": "long", "ignore_malformed": False}, "k": {"type": "keyword"}}
    more = {name: value for name, value in index.items() if name != "settings"}
    body = {"mappings": {"properties": properties, **more}, "settings": index.get("settings", {})}
    fields = fields_of(PLACE, {"ledger": body})
    value: Any = "abc" if column == "k" else Decimal(1)
    assert bool(queries([FilterCondition(column=column, op="eq", value=value)], fields)) is is_asked


def test_bounds_of_long_decimals_lie_around_them() -> None:
    low, high = bounds(CENTS, Decimal(LONG))
    assert Decimal(low) < Decimal(LONG) < Decimal(high)
    assert Decimal(high) - Decimal(LONG) <= Decimal("0.1")


def test_zero_is_asked_with_both_its_signs() -> None:
    """The index sorts -0.0 below 0.0."""
    assert bounds({"type": "double"}, Decimal(0)) == ("-0.0", "0.0")
    assert bounds({"type": "double"}, Decimal(2)) == ("2.0", "2.0")
