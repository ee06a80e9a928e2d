"""Checks of what the model fills in for /api/ai, and what is computed without it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from recipe import Column, CsvFormat, Kind, SideInput, format_cell, parse_filters
from webapp.errors import ServiceError
from webapp.services import ai_forms as forms
from webapp.services.recipe_checks import check_sql

_LEAST_CONFIDENCE = 0.5


class Unfit(Exception):
    """An answer that cannot be used; the text says why."""


# --- what goes out -------------------------------------------------------------------------------------


def outgoing(asked: Any, most_rows: int, key: bytes) -> dict[str, Any]:
    """The input for the model: few rows, and in them columns that look personal masked."""
    from webapp.agent.privacy import Masker
    from webapp.inference import profile

    told: dict[str, Any] = asked.model_dump(mode="json")
    for letter in ("a", "b"):
        rows = getattr(asked, f"sample_{letter}", None)
        if not rows:
            continue
        table = _table(getattr(asked, f"schema_{letter}"), rows)
        hidden = frozenset(c.name for c in profile(table).columns if c.looks_personal)
        masker = Masker(hmac.digest(key, b"mask", "sha256"), {"left": hidden})
        told[f"sample_{letter}"] = [masker.row("left", table.row(n)) for n in range(min(most_rows, len(rows)))]
    return told


def _table(schema: forms.Schema, rows: list[dict[str, Any]]) -> Any:
    """Rows as the engine takes them: all texts, as in a CSV."""
    from webapp.inference import Table

    names = tuple(schema.names)
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    return Table(names, (Kind.TEXT,) * len(names), cells, CsvFormat(), len(cells))


def _cell(value: Any) -> str | None:
    return value if isinstance(value, str) else format_cell(value) if not isinstance(value, list | dict) else str(value)


# --- what comes in -------------------------------------------------------------------------------------


def _known(schema: forms.Schema, name: str, which: str) -> None:
    if name not in schema.names:
        raise Unfit(f"{which} has no column {name!r}. Its columns are {', '.join(schema.names)}.")


def mappings(asked: forms.DetectFieldMappings, filled: forms.Mappings) -> dict[str, Any]:
    """Existing columns only, one to one, the surer ones first."""
    named = [(m.field_a, m.field_b) for m in filled.mappings]
    named += [(f.field_a, f.field_b) for f in filled.suggested_filters]
    for field_a, field_b in named:
        _known(asked.schema_a, field_a, "a")
        _known(asked.schema_b, field_b, "b")
    kept: list[forms.FoundMapping] = []
    for found in sorted(filled.mappings, key=lambda m: -m.confidence):
        is_taken = any(found.field_a == m.field_a or found.field_b == m.field_b for m in kept)
        if found.confidence > _LEAST_CONFIDENCE and not is_taken:
            kept.append(found)
    return {
        "mappings": [m.model_dump() for m in kept],
        "suggested_filters": [f.model_dump() for f in filled.suggested_filters],
    }


def filters(asked: forms.ParseNlFilter, filled: forms.Filters) -> dict[str, Any]:
    """Columns, operators and values of contract 1.4."""
    for number, found in enumerate(filled.filters):
        _known(asked.schema_a if found.source == "a" else asked.schema_b, found.column, found.source)
        condition = {"column": found.column, "op": found.op, "value": found.value}
        checked = parse_filters([condition], f"filters[{number}]")
        if checked.problems:
            raise Unfit("; ".join(f"{p.path}: {p.message}" for p in checked.problems))
    return filled.model_dump()


def rules(asked: forms.InferRules, filled: forms.Rules) -> dict[str, Any]:
    """Conditions that compile over the columns, and keys that tell the rows of the samples apart."""
    for schema, rows, key, which in (
        (asked.schema_a, asked.sample_a, filled.primary_keys.source_a, "a"),
        (asked.schema_b, asked.sample_b, filled.primary_keys.source_b, "b"),
    ):
        for name in key:
            _known(schema, name, which)
        values = [tuple(_cell(row.get(name)) for name in key) for row in rows]
        if len(set(values)) < len(values) or any(None in value for value in values):
            raise Unfit(f"{', '.join(key)} does not tell the rows of {which} apart. Give a key that does.")
    for rule in filled.rules:
        _condition(asked.schema_a, asked.schema_b, rule.sql)
    return filled.model_dump()


def expression(asked: forms.NlToSql, filled: forms.Expression) -> dict[str, Any]:
    """A condition that compiles over the columns."""
    _condition(asked.schema_a, asked.schema_b, filled.sql)
    return filled.model_dump()


def _condition(left: forms.Schema, right: forms.Schema, sql: str) -> None:
    """Raises Unfit unless ``sql`` is a condition over l and r. It stands in brackets, out of which the compiler lets
    nothing get: a statement with anything else in it is refused as a whole."""
    statement = f"SELECT * FROM left_src l JOIN right_src r ON ({sql})"  # noqa: S608 - checked by the compiler, not run
    _, problems, _ = check_sql(statement, _side(left), _side(right))
    if problems:
        raise Unfit(f"{sql}: " + "; ".join(p.message for p in problems))


def _side(schema: forms.Schema | None, key: tuple[str, ...] = ()) -> SideInput:
    columns = None if schema is None else tuple(Column(name, Kind.UNKNOWN, "unknown") for name in schema.names)
    return SideInput(columns, key)


def recipe_sql(asked: forms.BuildRecipe, filled: forms.RecipeSql) -> dict[str, Any]:
    """A statement that passes contract 1.6."""
    keys = asked.primary_keys
    _, problems, _ = check_sql(filled.match_sql, _side(None, tuple(keys.source_a)), _side(None, tuple(keys.source_b)))
    if problems:
        raise Unfit("; ".join(f"{p.path}: {p.message}" for p in problems))
    return filled.model_dump()


# --- preview -------------------------------------------------------------------------------------------


def preview(asked: forms.PreviewMatch) -> dict[str, Any]:
    """What match_sql finds in both samples, computed by the engine. Raises ServiceError ``request.invalid_body``."""
    from webapp.inference.engine import TooManyPairs, bench

    left, right = _table(asked.schema_a, asked.sample_a), _table(asked.schema_b, asked.sample_b)
    _, problems, _ = check_sql(asked.match_sql, _side(asked.schema_a), _side(asked.schema_b))
    if problems:
        details = [{"path": f"input.{p.path}", "message": p.message, "code": p.code} for p in problems]
        sentence = f"match_sql cannot be used: {problems[0].message}."
        raise ServiceError(sentence, code="request.invalid_body", details=details)
    try:
        with bench(left, right) as opened:
            partners: Mapping[int, list[int]] = _grouped(opened.pairs(asked.match_sql))
    except TooManyPairs:
        raise ServiceError("match_sql gives too many pairs to show.", code="request.invalid_body") from None
    matches = [
        {
            "left_row": row,
            "right_rows": [asked.sample_b[n] for n in partners.get(number, [])],
            "status": "matched" if number in partners else "unmatched",
        }
        for number, row in enumerate(asked.sample_a)
    ]
    found_right = {n for numbers in partners.values() for n in numbers}
    summary = {
        "total_left": len(asked.sample_a),
        "total_right": len(asked.sample_b),
        "matched": len(partners),
        "unmatched": len(asked.sample_a) - len(partners),
        "unmatched_right": len(asked.sample_b) - len(found_right),
    }
    return {"matches": matches, "summary": summary}


def _grouped(pairs: list[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for left, right in pairs:
        found.setdefault(left, []).append(right)
    return found
