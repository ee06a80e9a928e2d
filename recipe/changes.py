"""Recipes with a part replaced: other addresses, absolute paths, filters of one run. The original stays as it
is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from recipe.addresses import FileAddress, SqliteAddress
from recipe.errors import RecipeError
from recipe.model import SOURCE_CLASSES, FilterCondition, Recipe, Source, SourceBase
from recipe.uris import infer_type, parse_uri


def replace_source(recipe: Recipe, side: str, source: SourceBase) -> Recipe:
    """The recipe with another source on ``side`` ("left" or "right"). Raises RecipeError
    ``recipe.unknown_side``."""
    _check_side(side)
    return recipe.model_copy(update={"sources": recipe.sources.model_copy(update={side: source})})


def with_source(recipe: Recipe, side: str, uri: str) -> Recipe:
    """The recipe with the address of one side replaced, as ``--set left=URI`` does.

    The type stays where the address fits it; otherwise it follows from scheme and extension, and a disposable
    ``file`` becomes ``csv`` or ``parquet``. Alias, key, schema and filters stay; the CSV format goes with the
    CSV.
    Raises RecipeError ``recipe.unknown_side``, ``source.invalid_uri``.
    """
    _check_side(side)
    source: Source = getattr(recipe.sources, side)
    kind = source.type if _fits(source, uri) else infer_type(uri)
    parse_uri(kind, uri)
    values: dict[str, Any] = {name: getattr(source, name) for name in SourceBase.model_fields} | {
        "type": kind,
        "uri": uri,
    }
    model = SOURCE_CLASSES[kind]
    if "format" in model.model_fields:
        values["format"] = source.format
    return replace_source(recipe, side, model(**values))


def with_filters(recipe: Recipe, side: str, filters: Sequence[FilterCondition]) -> Recipe:
    """The recipe with the filters of one side replaced, as filters given at run time do."""
    _check_side(side)
    source: Source = getattr(recipe.sources, side)
    return replace_source(recipe, side, source.model_copy(update={"filters": tuple(filters)}))


def resolve_paths(recipe: Recipe, base_dir: str | Path) -> Recipe:
    """The recipe with relative local paths made absolute below ``base_dir``; other addresses stay as
    written."""
    for side in ("left", "right"):
        source: Source = getattr(recipe.sources, side)
        if source.uri is None:
            continue
        address = parse_uri(source.type, source.uri)
        if not isinstance(address, FileAddress | SqliteAddress) or not address.is_relative:
            continue
        uri = file_uri(Path(base_dir, address.path))
        if isinstance(address, SqliteAddress):
            uri = f"sqlite{uri.removeprefix('file')}?{source.uri.partition('?')[2]}"
        recipe = replace_source(recipe, side, source.model_copy(update={"uri": uri}))
    return recipe


def file_uri(path: str | Path) -> str:
    """The ``file://`` URI of a local path, escaped so that decoding gives the path back.

    >>> file_uri("/data/50% off.csv")
    'file:///data/50%25%20off.csv'
    """
    return "file://" + quote(str(Path(path).absolute()))


def _check_side(side: str) -> None:
    if side not in ("left", "right"):
        raise RecipeError(f"'{side}' is not a side.", code="recipe.unknown_side", hint="Use left or right.")


def _fits(source: Source, uri: str) -> bool:
    try:
        address = parse_uri(source.type, uri)
    except RecipeError:
        return False
    # a Parquet source takes any name; one that ends in .csv is surely none
    return source.type != "parquet" or not (isinstance(address, FileAddress) and address.is_csv)
