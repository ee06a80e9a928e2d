"""The match card: two records field against field, from the evidence of a run or proposed in a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flask import url_for

from webapp.context import Kalla
from webapp.pages.view import reason_words
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


SAME_VALUE = ("equal", "form")  # the second: one value, written in two ways


def pair(data: Mapping[str, Any]) -> Pair:
    """A proposed pair as contract 4.3 gives it, with its ``differences``."""
    records = {side: dict(data.get(side) or {}) for side in SIDES}
    linked = [item for item in data.get("differences") or () if all(item.get(s) in records[s] for s in SIDES)]
    facing = [_linked(item, *(records[side][item[side]] for side in SIDES)) for item in linked]
    single = {
        side: [plain_field(name, value) for name, value in records[side].items() if name not in {i[side] for i in linked}]
        for side in SIDES
    }
    names = [next((str(v) for v in record.values() if v not in (None, "")), "an empty record") for record in records.values()]
    return Pair(" and ".join(names), facing, single)


def _linked(item: Mapping[str, Any], left: object, right: object) -> Facing:
    kind = str(item.get("kind") or "")
    equal = kind in SAME_VALUE or left == right
    fields = [plain_field(item[side], value) for side, value in zip(SIDES, (left, right), strict=True)]
    if not equal:
        fields = _marked(fields)
    apart = "same value" if kind == "form" else "" if equal else str(item.get("gap") or "")
    return Facing(fields[0], fields[1], False, equal, apart)


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
