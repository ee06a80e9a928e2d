"""The match card: one unmatched record beside its nearest candidate, field against field."""

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
