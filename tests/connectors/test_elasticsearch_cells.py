"""Documents and conditions of search servers that need no server: cells, and what a query asks for."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.elasticsearch.cells import batch_of
from connectors.elasticsearch.client import read_json
from connectors.elasticsearch.fields import fields_of
from connectors.elasticsearch.place import Place

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
