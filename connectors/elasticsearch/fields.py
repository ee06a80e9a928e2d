"""Mappings -> columns: objects flattened to dotted names, everything without a plain value as JSON text.

The columns of several indexes are put together: a field that some of them lack is NULL there, one that has another
type in another index stops with its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import pyarrow as pa

from connectors.arrow_types import MAX_PRECISION, OF_KIND
from connectors.elasticsearch.place import Place
from connectors.errors import ConnectorError, SourceDataError
from recipe import Column, Kind

_KINDS = {
    "long": Kind.INTEGER,
    "integer": Kind.INTEGER,
    "short": Kind.INTEGER,
    "byte": Kind.INTEGER,
    "unsigned_long": Kind.DECIMAL,
    "scaled_float": Kind.DECIMAL,
    "double": Kind.DOUBLE,
    "float": Kind.DOUBLE,
    "half_float": Kind.DOUBLE,
    "boolean": Kind.BOOLEAN,
    "date": Kind.TIMESTAMPTZ,
    "date_nanos": Kind.TIMESTAMPTZ,
}
# Of these an array means several values; what else becomes text is JSON, whose arrays mean what the document means.
_TEXTS = (
    *("keyword", "text", "match_only_text", "annotated_text", "search_as_you_type", "constant_keyword", "wildcard"),
    *("ip", "version", "binary"),
)
_DEFAULTS = ("ignore_malformed", "ignore_above")  # which an index may give all its fields
_UNMAPPED = (False, "false", "false_allow_templates", "runtime")  # what is new in a document is not indexed then
_NO_COLUMN = ("alias",)  # stored nowhere: they show another field again
_DAY_FORMATS = ("date", "strict_date", "basic_date", "year_month_day", "strict_year_month_day")
_DAY_PATTERN = re.compile(r"(?:[yuMdL]|[^A-Za-z])+")
_DEFAULT_FORMAT = "strict_date_optional_time||epoch_millis"


@dataclass(frozen=True)
class Field:
    """One column. ``path`` is its place in a document; ``scale`` is set for decimals; ``settings`` is the field's part
    of the mapping with the index's own defaults, alike in every index that has it; ``everywhere`` when all of them have
    it, put no runtime field in its place and let no field go unmapped, so that what the index says about it holds for
    every document."""

    name: str
    path: tuple[str, ...]
    kind: Kind
    native: str
    scale: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    everywhere: bool = False

    @property
    def is_json(self) -> bool:
        """Whether the column shows what stands in the document, arrays and all."""
        return self.kind is Kind.TEXT and self.native not in _TEXTS

    @property
    def is_time(self) -> bool:
        return self.kind in (Kind.DATE, Kind.TIMESTAMPTZ)

    @property
    def column(self) -> Column:
        precision = self.arrow.precision if self.kind is Kind.DECIMAL else None
        return Column(self.name, self.kind, self.native, True, precision, self.scale)

    @cached_property
    def arrow(self) -> pa.DataType:
        if self.kind is Kind.DECIMAL:
            return pa.decimal128(20, 0) if self.native == "unsigned_long" else pa.decimal128(MAX_PRECISION, self.scale)
        return OF_KIND[self.kind]


Fields = tuple[Field, ...]


def fields_of(place: Place, mappings: Mapping[str, Any]) -> Fields:
    """The columns: the id's first where the address names one, the others by name. ``mappings`` has for each index
    its ``mappings``, and those flat ``settings`` that concern them.

    Raises ConnectorError: no column at all, types that differ, no stored documents.
    """
    found: dict[str, list[Field]] = {}
    for index, body in mappings.items():
        mapping = body.get("mappings", {})
        if mapping.get("_source", {}).get("enabled", True) is False:
            raise ConnectorError(
                f"The index {index!r} keeps no documents (_source is disabled).",
                hint="Name an index that keeps them.",
            )
        for one in _below(place, (), mapping, mapping.get("dynamic", True) not in _UNMAPPED):
            if _is_kept(one.path, mapping.get("_source", {})):
                found.setdefault(one.name, []).append(_in_index(one, mapping, body.get("settings", {})))
    columns = [_merged(place, found[name], len(mappings)) for name in sorted(found)]
    if place.id_column is not None:
        if place.id_column in found:
            raise ConnectorError(
                f"The index {place.shown} has a field {place.id_column!r} already.",
                code="source.invalid_uri",
                hint="Choose another name after id= in the address.",
            )
        columns.insert(0, Field(place.id_column, (), Kind.TEXT, "_id"))
    if not columns:
        raise ConnectorError(
            f"The index {place.shown} has no fields.", hint="Write a document, or a mapping, into it first."
        )
    return tuple(columns)


def arrow_schema(fields: Fields) -> pa.Schema:
    """The Arrow schema of ``read``."""
    return pa.schema([pa.field(f.name, f.arrow) for f in fields])


def _in_index(one: Field, mapping: Mapping[str, Any], settings: Mapping[str, Any]) -> Field:
    """A field with what its index says beside the field's own part of the mapping."""
    given = {name: settings[f"index.mapping.{name}"] for name in _DEFAULTS if f"index.mapping.{name}" in settings}
    everywhere = one.everywhere and one.name not in mapping.get("runtime", {})
    return replace(one, settings={**given, **one.settings}, everywhere=everywhere)


def _is_kept(path: tuple[str, ...], stored: Mapping[str, Any]) -> bool:
    """Whether the index keeps a field's values in its documents: ``_source`` may leave some out by patterns."""
    names = [".".join(path[:cut]) for cut in range(1, len(path) + 1)]
    included, excluded = stored.get("includes") or ["*"], stored.get("excludes") or []
    return _fits(names, included) and not _fits(names, excluded)


def _fits(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _below(place: Place, path: tuple[str, ...], mapping: Mapping[str, Any], mapped: bool) -> Iterator[Field]:
    for name, settings in mapping.get("properties", {}).items():
        here = (*path, *name.split("."))
        kind = settings.get("type", "object")
        if kind in _NO_COLUMN:
            continue
        dynamic = settings.get("dynamic", mapped) not in _UNMAPPED
        if kind == "object" and settings.get("enabled", True) is not False:
            yield from _below(place, here, settings, dynamic)
        else:
            yield _field(place, here, kind, settings, mapped)


def _field(place: Place, path: tuple[str, ...], native: str, settings: Mapping[str, Any], mapped: bool) -> Field:
    kind, scale = _KINDS.get(native, Kind.TEXT), None
    name = ".".join(path)
    if native == "unsigned_long":
        scale = 0
    elif native == "scaled_float":
        scale = _scale(settings.get("scaling_factor"))
        kind = Kind.DOUBLE if scale is None else kind
    elif kind is Kind.TIMESTAMPTZ:
        if settings.get("doc_values", True) in (False, "false"):
            raise SourceDataError(
                f"The field {name!r} of {place.shown} keeps dates in no form that can be read exactly"
                " (doc_values is false).",
                code="source.unsupported_type",
                hint="Map it with doc_values, or as keyword.",
            )
        if native == "date" and _is_day(str(settings.get("format", _DEFAULT_FORMAT))):
            kind = Kind.DATE
    return Field(name, path, kind, native, scale, settings, mapped)


def _scale(factor: Any) -> int | None:
    """The decimal places of a scaling factor that is a power of ten; None for others."""
    try:
        number = Decimal(str(factor)).normalize()
    except InvalidOperation:
        return None
    is_power = number.as_tuple().digits == (1,) and number >= 1
    return number.adjusted() if is_power and number.adjusted() <= MAX_PRECISION else None


def _is_day(formats: str) -> bool:
    """Whether every format of a date field has days and no time of day."""
    return all(one in _DAY_FORMATS or bool(_DAY_PATTERN.fullmatch(one)) for one in formats.split("||"))


def _merged(place: Place, same: list[Field], indexes: int) -> Field:
    first = same[0]
    for other in same[1:]:
        if (other.kind, other.scale) != (first.kind, first.scale):
            raise SourceDataError(
                f"The field {first.name!r} has the type {first.native} in one index of {place.shown} and"
                f" {other.native} in another.",
                code="source.columns_differ",
                hint="All indexes of one source need the same types; narrow the pattern, or reindex.",
            )
    alike = len(same) == indexes and all(other.settings == first.settings for other in same)
    everywhere = alike and all(other.everywhere for other in same)
    return Field(first.name, first.path, first.kind, first.native, first.scale, first.settings, everywhere)
