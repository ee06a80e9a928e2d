"""The match card: two records field against field, from the evidence of a run or proposed in a conversation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flask import url_for

from webapp.context import Kalla
from webapp.pages.view import plural, reason_words
from webapp.pages.words import condition_words
from webapp.services import evidence

SIDES = ("left", "right")


@dataclass(frozen=True)
class Field:
    """One column of a record: its text in pieces, each with whether it differs from the other record."""

    column: str
    pieces: list[tuple[str, bool]]
    known: bool = True


@dataclass(frozen=True)
class Facing:
    """Two columns that stand against each other. ``asked``: the rule compares them."""

    left: Field
    right: Field
    asked: bool
    equal: bool | None
    difference: str


@dataclass(frozen=True)
class Card:
    """An unmatched record, its candidate, and what the rule says of the two."""

    title: str
    reason: str
    apart: str
    nearest: str
    candidate: Mapping[str, Any] | None
    candidate_link: str
    conditions: list[tuple[str, bool | None, str]]
    facing: list[Facing]
    single: dict[str, list[Field]]


def card(app: Kalla, run: Mapping[str, Any], side: str, row: int) -> Card:
    """The match card of one unmatched record. Raises ServiceError as ``evidence.candidate``."""
    found = evidence.candidate(app, str(run["run_id"]), side, row)
    words = condition_words(str((run.get("recipe_snapshot") or {}).get("match_sql", "")))
    near = found["candidate"]
    asked = ("key", "compared")
    pairs = [item for item in found["fields"] if item["left"] and item["right"] and near]
    alone = [item for item in found["fields"] if not (item["left"] and item["right"] and near)]
    single = {name: [_field(item[name]) for item in alone if item[name]] for name in SIDES}
    return Card(
        title=_title(run, side, row, found),
        reason=reason_words(found["reason"]),
        apart=str(found["gap"] or ""),
        nearest=str(found["nearest"] or ""),
        candidate=near,
        candidate_link=_candidate_link(run, near),
        conditions=[
            (words.get(item["text"], item["text"]), item["holds"], str(item["gap"] or ""))
            for item in found["comparisons"]
        ],
        facing=[_facing(item, item["role"] in asked) for item in pairs],
        single=single,
    )


@dataclass(frozen=True)
class Pair:
    """Two records that a conversation asks about: linked fields against each other, the others by side."""

    title: str
    facing: list[Facing]
    single: dict[str, list[Field]]


def pair(data: Mapping[str, Any]) -> Pair:
    """A proposed pair as contract 4.3 gives it, with its ``differences``."""
    records = {side: dict(data.get(side) or {}) for side in SIDES}
    linked = [item for item in data.get("differences") or () if all(item.get(s) in records[s] for s in SIDES)]
    single = {side: _others(records[side], {item[side] for item in linked}) for side in SIDES}
    facing = [_linked(item, *(records[side][item[side]] for side in SIDES)) for item in linked]
    return Pair(_called(records, linked), facing, single)


def _others(record: Mapping[str, Any], linked: set[str]) -> list[Field]:
    return [plain_field(name, value) for name, value in record.items() if name not in linked]


def _called(records: Mapping[str, Mapping[str, Any]], linked: list[Mapping[str, Any]]) -> str:
    """Two records by what links them; by their first values where nothing does."""
    names = [str(records[side][linked[0][side]] or "") if linked else "" for side in SIDES]
    firsts = [next((str(value) for value in records[side].values() if value), "an empty record") for side in SIDES]
    return " and ".join(name or first for name, first in zip(names, firsts, strict=True))


def _linked(item: Mapping[str, Any], left: object, right: object) -> Facing:
    """Two fields that the data says belong together. ``kind`` ``form``: one value, written in two ways."""
    kind = str(item.get("kind") or "")
    texts = [str(value or "") for value in (left, right)]
    equal = kind in ("equal", "form") or left == right
    fields = [plain_field(item[side], value) for side, value in zip(SIDES, (left, right), strict=True)]
    # Figures in two notations differ in every sign: there the difference alone says something.
    if not equal and (kind == "text" or _shape(texts[0]) == _shape(texts[1])):
        fields = _marked(fields)
    apart = _form_words(*texts) if kind == "form" else "" if equal else _gap_words(kind, str(item.get("gap") or ""))
    return Facing(fields[0], fields[1], False, equal, apart)


def _gap_words(kind: str, gap: str) -> str:
    return plural(int(gap), "day") if kind == "days" and gap.isdecimal() else gap


def _shape(text: str) -> str:
    return re.sub(r"\d", "0", text)


def _form_words(left: str, right: str) -> str:
    """How one value stands in two texts: written otherwise, or inside the longer one."""
    first, second = ("".join(filter(str.isalnum, text)).casefold() for text in (left, right))
    inside = first != second and (first in second or second in first)
    return "found inside" if inside else "same value"


def _marked(fields: list[Field]) -> list[Field]:
    """The same fields with the characters that the other one has not."""
    from pipelines.evidence import differing  # the engine behind it is loaded with the first card

    texts = ["".join(piece for piece, _ in item.pieces) for item in fields]
    marks = differing(*texts)
    return [Field(item.column, pieces(text, mark)) for item, text, mark in zip(fields, texts, marks, strict=True)]


def plain_field(name: str, value: object) -> Field:
    """A field without marks; no pieces where it is empty."""
    return Field(name, [] if value in (None, "") else [(str(value), False)])


def _facing(item: Mapping[str, Any], asked: bool) -> Facing:
    difference = str(item["difference"] or "") if item["equal"] is False else ""
    return Facing(_field(item["left"]), _field(item["right"]), asked, item["equal"], difference)


def _field(cell: Mapping[str, Any]) -> Field:
    value = cell["value"]
    return Field(cell["column"], [] if value is None else pieces(str(value), cell["marks"]), bool(cell["known"]))


def pieces(text: str, marks: list[list[int]]) -> list[tuple[str, bool]]:
    """A text cut at its marks, each piece with whether it is marked."""
    cuts = [0, *(place for mark in marks for place in mark), len(text)]
    found = [(text[start:end], bool(at % 2)) for at, (start, end) in enumerate(pairwise(cuts))]
    return [(piece, marked) for piece, marked in found if piece]


def _title(run: Mapping[str, Any], side: str, row: int, found: Mapping[str, Any]) -> str:
    """The record's key, as people call it; its row where the key is empty."""
    key = ((run.get("recipe_snapshot") or {}).get("sources") or {}).get(side, {}).get("primary_key") or ()
    values = {item[side]["column"]: item[side]["value"] for item in found["fields"] if item[side]}
    return ", ".join(str(values[name]) for name in key if values.get(name) is not None) or f"Row {row}"


def _candidate_link(run: Mapping[str, Any], near: Mapping[str, Any] | None) -> str:
    if near is None or near["set"] == "matched":
        return ""
    return url_for("pages.record", run_id=run["run_id"], set_name=near["set"], row=near["row"])
