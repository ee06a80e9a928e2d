"""The form that runs a recipe: files for ``file`` sources, other addresses, filters, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe import KallaError
from webapp.pages import uploading

SIDES = ("left", "right")
FILTER_ROWS = 3
OPERATORS = {
    "eq": "equals",
    "neq": "differs from",
    "gt": "is above",
    "gte": "is at least",
    "lt": "is below",
    "lte": "is at most",
    "between": "is between (a; b)",
    "in": "is one of (a; b; …)",
    "like": "is like (% any, _ one)",
}
_WORDS = OPERATORS | {"between": "is between", "in": "is one of", "like": "is like"}


def fields(document: Mapping[str, Any]) -> list[str]:
    """Names of the form's fields that can be wrong."""
    rows = [f"{side}_filter_{row}" for side in SIDES for row in range(FILTER_ROWS)]
    return [*(f"{side}_{what}" for side in SIDES for what in ("file", "uri")), *rows]


def run_body(document: Mapping[str, Any], values: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The body of the run, and what is wrong by field. Files are stored; their addresses are kept in ``values``.

    Raises ServiceError as the upload calls do.
    """
    session = uploading.new_session()
    entries, problems = [], {}
    for side in SIDES:
        source = document["sources"][side]
        entry: dict[str, Any] = {"alias": f"{side}_src"}
        address = uploading.uploaded(f"{side}_file", session)
        if address:
            values[f"{side}_file_uploaded"] = address
        elif source["type"] == "file":
            problems[f"{side}_file"] = f"Choose the {source['alias']} file for this run."
        address = address or values.get(f"{side}_uri", "")
        if address:
            entry["uri"] = address
        filters, faults = read_filters(side, values)
        problems |= faults
        if filters:
            entry["filters"] = filters
        if len(entry) > 1:
            entries.append(entry)
    body: dict[str, Any] = {"recipe_id": document["recipe_id"]}
    if entries:
        body["resolved_sources"] = entries
    return body, problems


def names(document: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, str]:
    """Paths in the details of a refused run, and the fields that answer for them."""
    found = {}
    for side in SIDES:
        field = f"{side}_file" if document["sources"][side]["type"] in ("file", "csv_upload") else f"{side}_uri"
        found[f"sources.{side}"] = field
        found[f"sources.{side}.filters"] = f"{side}_filter_0"
    for at, entry in enumerate(body.get("resolved_sources") or ()):
        side = entry["alias"].removesuffix("_src")
        found[f"resolved_sources[{at}]"] = found[f"sources.{side}"]
        found[f"resolved_sources[{at}].filters"] = f"{side}_filter_0"
    return found


def beside(error: KallaError, values: Mapping[str, str]) -> str | None:
    """The field of an error that names no place: one about an address is about the only one that was typed."""
    given = [f"{side}_uri" for side in SIDES if values.get(f"{side}_uri")]
    is_address = error.code.startswith("source.") and not error.details
    return given[0] if is_address and len(given) == 1 else None


def read_filters(side: str, values: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The conditions typed for a side, and what is wrong with them by field."""
    found, problems = [], {}
    for row in range(FILTER_ROWS):
        name = f"{side}_filter_{row}"
        column, op, text = (values.get(f"{name}_{part}", "") for part in ("column", "op", "value"))
        if not column and not text:
            continue
        if not column or not text or op not in OPERATORS:
            problems[name] = "A condition needs a column and a value."
            continue
        value: str | list[str] = text
        if op in ("between", "in"):
            value = [part.strip() for part in text.split(";")]
        if op == "between" and len(value) != 2:
            problems[name] = "Give the first and the last value, with a semicolon between them."
        found.append({"column": column, "op": op, "value": value})
    return found, problems


def filters_in_words(source: Mapping[str, Any]) -> list[str]:
    """The conditions of a source as people say them."""
    return [_condition(item) for item in source.get("filters") or ()]


def _condition(item: Mapping[str, Any]) -> str:
    value = item["value"]
    joint = " and " if item["op"] == "between" else ", "
    shown = joint.join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return f"{item['column']} {_WORDS.get(item['op'], item['op'])} {shown}"
