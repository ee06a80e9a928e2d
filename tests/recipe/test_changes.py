"""Recipes with a part replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipe import (
    FileAddress,
    FilterCondition,
    FilterOp,
    Recipe,
    RecipeError,
    SqliteAddress,
    file_uri,
    parse_recipe,
    parse_uri,
    replace_source,
    resolve_paths,
    with_filters,
    with_source,
)


def recipe_with(document: dict[str, Any], **left: Any) -> Recipe:
    document["sources"]["left"] = {"alias": "a", "primary_key": ["id"], "schema": ["id", "x"]} | left
    return parse_recipe(document, relative_paths=True).require()


@pytest.mark.parametrize(
    ("kind", "uri", "expected"),
    [
        ("postgres", "postgresql://h/d?table=u", "postgres"),
        ("postgres", "/data/x.CSV.gz", "csv"),
        ("postgres", "data/x.parquet", "parquet"),
        ("csv", "/data/y.csv", "csv"),
        ("csv", "s3://bucket/y.parquet", "parquet"),
        ("csv_upload", "s3://bucket/s/u/x.csv", "csv_upload"),
        ("csv_upload", "s3://bucket/x.csv", "csv"),
        ("s3", "s3://bucket/x.csv", "s3"),
        ("s3", "gs://bucket/x.csv", "csv"),
        ("parquet", "/data/y", "parquet"),
        ("parquet", "/data/y.csv", "csv"),
        ("file", "/data/y.csv", "csv"),
        ("file", "file:///data/y.PQ", "parquet"),
        ("file", "postgres://h/d?table=u", "postgres"),
        ("elasticsearch", "bigquery://p/d?table=t", "bigquery"),
    ],
)
def test_the_type_follows_the_address(document: dict[str, Any], kind: str, uri: str, expected: str):
    filters = [{"column": "x", "op": "eq", "value": "1"}]
    before = recipe_with(document, type=kind, filters=filters)
    after = with_source(before, "left", uri)
    source = after.sources.left
    assert (source.type, source.uri) == (expected, uri)
    kept = ("alias", "primary_key", "schema_columns", "filters")
    assert [getattr(source, name) for name in kept] == [getattr(before.sources.left, name) for name in kept]
    assert after.sources.right == before.sources.right
    assert before.sources.left.uri is None


def test_the_csv_format_stays_with_csv(document: dict[str, Any]):
    before = recipe_with(document, type="file", format={"decimal": ","})
    assert with_source(before, "left", "/x.csv").sources.left.format == before.sources.left.format
    assert with_source(before, "left", "/x.parquet").sources.left.format is None


@pytest.mark.parametrize("uri", ["postgres://u:sesame@h/d", "ftp://u:sesame@h/x.csv", "elasticsearch://h", ""])
def test_a_bad_address_is_refused(document: dict[str, Any], uri: str):
    with pytest.raises(RecipeError) as raised:
        with_source(recipe_with(document, type="file"), "left", uri)
    assert raised.value.code == "source.invalid_uri"
    assert "sesame" not in str(raised.value)


def test_filters_are_replaced_side_by_side(document: dict[str, Any]):
    before = recipe_with(document, type="file", filters=[{"column": "x", "op": "eq", "value": "1"}])
    one = FilterCondition(column="x", op=FilterOp.LIKE, value="a%")
    after = with_filters(before, "right", [one])
    assert after.sources.right.filters == (one,)
    assert after.sources.left == before.sources.left
    assert with_filters(before, "left", []).sources.left.filters == ()


def test_an_unknown_side(document: dict[str, Any]):
    recipe = recipe_with(document, type="file")
    for change in (
        lambda: with_source(recipe, "middle", "/x.csv"),
        lambda: with_filters(recipe, "left_src", []),
        lambda: replace_source(recipe, "", recipe.sources.left),
    ):
        with pytest.raises(RecipeError) as raised:
            change()
        assert raised.value.code == "recipe.unknown_side"


@pytest.mark.parametrize("uri", ["data/50%25 a%20b.csv", "file:data/50%25%20a%20b.csv"])
def test_relative_paths_begin_at_the_recipe_file(document: dict[str, Any], tmp_path: Path, uri: str):
    resolved = resolve_paths(recipe_with(document, type="csv", uri=uri), tmp_path)
    source = resolved.sources.left
    assert source.uri is not None
    assert parse_uri("csv", source.uri) == FileAddress("file", "", str(tmp_path / "data" / "50% a b.csv"))
    assert resolve_paths(resolved, "/elsewhere") == resolved


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("sqlite", "sqlite:///a.db?table=t"),
        ("csv", "s3://bucket/a.csv"),
        ("parquet", "gs://bucket/a"),
        ("csv", "/a.csv"),
        ("postgres", None),
        ("file", None),
    ],
)
def test_other_addresses_stay_as_written(document: dict[str, Any], kind: str, uri: str | None):
    recipe = recipe_with(document, type=kind, uri=uri)
    assert resolve_paths(recipe, "/base") == recipe


def test_a_relative_database_counts_from_the_folder_too(document: dict[str, Any], tmp_path: Path):
    recipe = recipe_with(document, type="sqlite", uri="sqlite:data/50%25%20%3F.db?table=a%26b")
    resolved = resolve_paths(recipe, tmp_path).sources.left
    assert parse_uri("sqlite", resolved.uri or "") == SqliteAddress(str(tmp_path / "data" / "50% ?.db"), "a&b")
    document["sources"]["left"]["uri"] = "sqlite:data/a.db?table=t"
    assert [p.code for p in parse_recipe(document).problems] == ["source.invalid_uri"]


def test_file_uris():
    assert file_uri("/a b/ü%.csv") == "file:///a%20b/%C3%BC%25.csv"
