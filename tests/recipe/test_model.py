"""The rules of every field, tried one at a time on a valid recipe."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from recipe import (
    SOURCE_CLASSES,
    CsvFormat,
    CsvSource,
    FileSource,
    FilterCondition,
    FilterOp,
    PostgresSource,
    Recipe,
    is_alias,
    is_csv_source,
    parse_recipe,
)


def change(document: dict[str, Any], path: str, value: object) -> list[tuple[str, str]]:
    """(path, code) of the problems after one member was set; REMOVE takes it away."""
    *parents, last = path.split(".")
    target = document
    for name in parents:
        target = target[name]
    if value is REMOVE:
        del target[last]
    else:
        target[last] = value
    return [(p.path, p.code) for p in parse_recipe(document).problems]


REMOVE = object()
FIELD, MISSING = "recipe.invalid_field", "recipe.missing_field"
LEFT, RIGHT = "sources.left", "sources.right"

GOOD = [
    ("recipe_id", "a"), ("recipe_id", "0"), ("recipe_id", "A" + "b._-9" * 50), ("name", "x" * 255),
    ("name", " " * 300 + "x"), ("match_sql", "S" * 65_536), ("description", None), ("match_description", "é"),
    (f"{LEFT}.alias", "x" * 255), (f"{LEFT}.alias", "Zahlungen.über-2_β"), (f"{LEFT}.alias", "हिन्दी"),
    (f"{LEFT}.alias", "payments"), (f"{LEFT}.primary_key", [str(n) for n in range(16)]),
    (f"{LEFT}.primary_key", [" "]), (f"{LEFT}.schema", ["b", "id"]), (f"{LEFT}.schema", None),
    (f"{LEFT}.uri", REMOVE), (f"{LEFT}.uri", None), (f"{LEFT}.filters", []), (f"{LEFT}.filters", None),
    (f"{RIGHT}.format", {}), (f"{RIGHT}.format", None), (f"{RIGHT}.format", {"thousands": "\u202f"}),
    (f"{RIGHT}.format", {"decimal": ",", "thousands": "."}), (f"{RIGHT}.format", {"encoding": "UTF8"}),
    (f"{RIGHT}.uri", "gs://bucket/x.CSV.gz"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), GOOD)
def test_accepted(document: dict[str, Any], path: str, value: object):
    assert change(document, path, value) == []


BAD = [
    ("recipe_id", "", FIELD), ("recipe_id", "-a", FIELD), ("recipe_id", "a b", FIELD),
    ("recipe_id", "é", FIELD),
    ("recipe_id", "a\n", FIELD), ("recipe_id", "a" * 256, FIELD), ("recipe_id", 5, FIELD),
    ("recipe_id", None, FIELD),
    ("recipe_id", REMOVE, MISSING), ("name", "  ", FIELD), ("name", "x" * 256, FIELD),
    ("name", REMOVE, MISSING),
    ("name", "a\x00b", FIELD), ("name", "\ud800", FIELD), ("description", 5, FIELD),
    ("match_description", [], FIELD),
    ("match_sql", "", FIELD), ("match_sql", " \n", FIELD), ("match_sql", "S" * 65_537, FIELD),
    ("match_sql", REMOVE, MISSING), ("sources", REMOVE, MISSING), ("sources", [], FIELD),
    (LEFT, REMOVE, MISSING),
    (LEFT, None, FIELD), (LEFT, "postgres://u:sesame@h/d", FIELD), ("sources.third", {}, FIELD),
    (f"{LEFT}.alias", REMOVE, MISSING), (f"{LEFT}.alias", "", FIELD), (f"{LEFT}.alias", "a b", FIELD),
    (f"{LEFT}.alias", "a/b", FIELD), (f"{LEFT}.alias", "²", FIELD), (f"{LEFT}.alias", "x" * 256, FIELD),
    (f"{LEFT}.type", REMOVE, MISSING), (f"{LEFT}.type", "oracle", "recipe.unsupported_type"),
    (f"{LEFT}.type", ["postgres"], "recipe.unsupported_type"),
    (f"{LEFT}.type", None, "recipe.unsupported_type"),
    (f"{LEFT}.uri", "postgres://h/d", "source.invalid_uri"), (f"{LEFT}.uri", 5, "source.invalid_uri"),
    (f"{LEFT}.uri", "", "source.invalid_uri"), (f"{RIGHT}.uri", "payments.csv", "source.invalid_uri"),
    (f"{RIGHT}.uri", "file:payments.csv", "source.invalid_uri"),
    (f"{LEFT}.primary_key", REMOVE, MISSING), (f"{LEFT}.primary_key", [], FIELD),
    (f"{LEFT}.primary_key", "id", FIELD),
    (f"{LEFT}.primary_key", [str(n) for n in range(17)], FIELD), (f"{LEFT}.schema", [], FIELD),
    (f"{LEFT}.schema", ["other"], FIELD), (f"{LEFT}.schema", {"id": 1}, FIELD),
    (f"{LEFT}.filters", {}, FIELD),
    (f"{RIGHT}.format", "csv", FIELD),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code"), BAD)
def test_refused(document: dict[str, Any], path: str, value: object, code: str):
    assert change(document, path, value) == [(path, code)]


@pytest.mark.parametrize("member", ["primary_key", "schema"])
def test_every_wrong_column_is_named_with_its_place(document: dict[str, Any], member: str):
    document["sources"]["left"][member] = ["id", "", "id", 5, "ok"]
    if member == "schema":
        document["sources"]["left"]["primary_key"] = ["id"]
    found = [p for p in parse_recipe(document).problems]
    assert [p.path for p in found] == [f"{LEFT}.{member}[{n}]" for n in (1, 2, 3)]
    assert found[1].message == "'id' is named twice"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("delimiter", ":"), ("delimiter", ""), ("delimiter", 5), ("encoding", "ebcdic"),
        ("encoding", "utf-16-le"),
        ("encoding", "a\x00b"), ("encoding", 5), ("decimal", ";"), ("decimal", ""), ("decimal", None),
        ("thousands", ";"), ("thousands", "."), ("thousands", 1000), ("date_order", "ydm"),
        ("date_order", None),
        ("ragged", "drop"),
    ],
)  # fmt: skip
def test_csv_format_refuses(document: dict[str, Any], member: str, value: object):
    document["sources"]["right"]["format"] = {}
    path = f"{RIGHT}.format.{member}"
    assert change(document, path, value) == [(path, FIELD)]


def test_csv_format_spellings():
    found = CsvFormat.model_validate({"encoding": "Latin-1", "thousands": "\u00a0", "decimal": ","})
    assert (found.encoding, found.thousands, found.delimiter) == ("iso-8859-1", " ", None)


FILTER_VALUES = {
    "one": (
        ["x", "", 5, -1.5, 10**40, Decimal("1e-300")],
        [None, True, [], ["x"], {}, float("nan"), float("inf"), "\0"],
    ),
    "between": (
        [["a", "b"], [1, 2.5]],
        ["x", 1, None, [], [1], [1, 2, 3], [1, "a"], [1, None], [[1], [2]], [1, True]],
    ),
    "in": ([["a"], [1], [1.5] * 10_000], ["x", 1, None, [], [1, "a"], [None], [1] * 10_001, [[1]], {"a": 1}]),
    "like": (["", "%", "a\\"], [None, 5, ["a"], {}, True, "\ud800"]),
}
OPERATORS = [(op, op if op in FILTER_VALUES else "one") for op in FilterOp]


@pytest.mark.parametrize(("op", "shape"), OPERATORS)
def test_filter_values(document: dict[str, Any], op: str, shape: str):
    good, bad = FILTER_VALUES[shape]
    path = "sources.left.filters"
    assert change(document, path, [{"column": "c", "op": op, "value": v} for v in good]) == []
    expected = [(f"{path}[{n}].value", "filter.invalid_value") for n in range(len(bad))]
    assert change(document, path, [{"column": "c", "op": op, "value": v} for v in bad]) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"op": "eq", "value": 1}, [("column", "filter.unknown_column")]),
        ({"column": "", "op": "eq", "value": 1}, [("column", "filter.unknown_column")]),
        ({"column": 5, "op": "eq", "value": 1}, [("column", "filter.unknown_column")]),
        ({"column": "c", "op": "is", "value": 1}, [("op", "filter.unknown_op")]),
        ({"column": "c", "op": "EQ", "value": 1}, [("op", "filter.unknown_op")]),
        ({"column": "c", "op": ["eq"], "value": 1}, [("op", "filter.unknown_op")]),
        ({"column": "c", "value": 1}, [("op", "filter.unknown_op")]),
        ({"column": "c", "op": "eq"}, [("value", "filter.invalid_value")]),
        (
            {},
            [
                ("column", "filter.unknown_column"),
                ("op", "filter.unknown_op"),
                ("value", "filter.invalid_value"),
            ],
        ),
        ("c = 1", [("", "filter.invalid_value")]),
    ],
)
def test_filter_members(document: dict[str, Any], value: object, expected: list[tuple[str, str]]):
    found = change(document, "sources.left.filters", [value])
    assert found == [(f"sources.left.filters[0].{name}".rstrip("."), code) for name, code in expected]


def test_numbers_of_filters_stay_exact():
    one = FilterCondition(column="c", op=FilterOp.EQ, value=0.1)  # type: ignore[arg-type]
    assert one.value == Decimal("0.1")


@pytest.mark.parametrize("number", ["1e7000", "1e-7000"])
def test_absurd_numbers_are_refused(document: dict[str, Any], number: str):
    filters = [{"column": "c", "op": "eq", "value": Decimal(number)}]
    assert change(document, "sources.left.filters", filters) == [
        ("sources.left.filters[0].value", "filter.invalid_value")
    ]


def test_a_file_needs_a_schema_and_has_no_uri(document: dict[str, Any]):
    file = {"alias": "f", "type": "file", "primary_key": ["id"], "schema": ["id", "x"]}
    document["sources"]["left"] = file
    assert parse_recipe(document).problems == ()
    assert change(document, f"{LEFT}.uri", "/data/x.csv") == [(f"{LEFT}.uri", "source.invalid_uri")]
    assert change(document, f"{LEFT}.uri", None) == []
    assert change(document, f"{LEFT}.schema", None) == [(f"{LEFT}.schema", FIELD)]
    assert change(document, f"{LEFT}.schema", REMOVE) == [(f"{LEFT}.schema", MISSING)]


@pytest.mark.parametrize("kind", [kind for kind in SOURCE_CLASSES if kind != "file"])
def test_every_stored_type_may_leave_its_address_to_the_alias(document: dict[str, Any], kind: str):
    document["sources"]["left"] = {"alias": "registered", "type": kind, "primary_key": ["id"]}
    recipe = parse_recipe(document).require()
    source = recipe.sources.left
    assert isinstance(source, SOURCE_CLASSES[kind])
    assert (source.type, source.uri, source.masked_uri, source.format, source.filters) == (
        kind,
        None,
        "",
        None,
        (),
    )


def test_sources_hide_their_password():
    uri = "postgres://u:sesame@h/d?table=t"
    source = PostgresSource.model_validate({"alias": "a", "uri": uri, "primary_key": ["id"]})
    assert "sesame" not in repr(source)
    assert source.masked_uri == "postgres://u:***@h/d?table=t"
    with pytest.raises(ValidationError) as raised:
        PostgresSource.model_validate({"alias": "a", "uri": uri.replace("table", "t"), "primary_key": ["id"]})
    assert "sesame" not in str(raised.value)


def test_models_are_frozen_and_travel_between_processes(everything: dict[str, Any]):
    recipe = parse_recipe(everything).require()
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    with pytest.raises(ValidationError):
        recipe.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "uri", "expected"),
    [
        ("csv", "/a.csv", True),
        ("csv_upload", None, True),
        ("s3", "s3://bucket/a.CSV", True),
        ("s3", "s3://bucket/a.csv.gz", True),
        ("s3", "s3://bucket/a", False),
        ("parquet", "/a", False),
        ("file", None, None),
        ("postgres", None, False),
    ],
)
def test_which_sources_are_csv(kind: str, uri: str | None, expected: bool | None):
    values = {"alias": "a", "uri": uri, "primary_key": ["id"], "schema": ["id"]}
    assert is_csv_source(SOURCE_CLASSES[kind].model_validate(values)) is expected


def test_models_can_be_built_by_python_names(document: dict[str, Any]):
    source = CsvSource(alias="a", primary_key=("id",), schema_columns=("id",), format=CsvFormat(decimal=","))
    file = FileSource(alias="b", primary_key=("id",), schema_columns=("id",))
    recipe = Recipe(recipe_id="r", name="n", match_sql="SELECT 1", sources={"left": source, "right": file})
    assert (recipe.sources.left, recipe.sources.right) == (source, file)


def test_large_documents_are_checked_quickly(document: dict[str, Any]):
    names = [str(n) for n in range(100_000)]
    document["sources"]["left"] |= {"schema": ["id", *names], "filters": []}
    checked = parse_recipe(document | dict.fromkeys(names))
    assert checked.problems == ()
    assert len(checked.warnings) == len(names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("bank-2.β", True), ("", False), ("a b", False), ("a" * 256, False)],
)
def test_aliases(text: str, expected: bool):
    assert is_alias(text) is expected
