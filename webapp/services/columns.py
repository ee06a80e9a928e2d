"""The columns of a recipe's sources, and whether the recipe fits them (contract 2.3, validate-schema)."""

from __future__ import annotations

from typing import Any

from recipe import (
    LEFT,
    RIGHT,
    Column,
    CsvSource,
    KallaError,
    Kind,
    MatchPlan,
    Recipe,
    Schema,
    Source,
    check_filters,
    nearest_names,
)
from webapp.context import Kalla
from webapp.services.addresses import open_source
from webapp.services.credentials import SIDES
from webapp.services.recipe_checks import check_sql, side_input

_LETTER = {"left": LEFT, "right": RIGHT}
_ABSENT = ("source.not_found", "source.table_not_found", "upload.not_found")
_UNKNOWN_COLUMN = "recipe.sql.unknown_column"


def columns_of(app: Kalla, source: Source) -> Schema:
    """The columns of a source that has an address, read by the format that the recipe states.

    Raises ConnectorError, ServiceError ``upload.not_found``.
    """
    opened = open_source(app, source.type, source.uri or "", source.alias)
    connector = opened.connector
    if opened.is_csv and source.format is not None:
        from connectors import connector_for  # brings Arrow, which the first page should not wait for

        stated = CsvSource(alias=source.alias, uri=opened.uri, primary_key=source.primary_key, format=source.format)
        connector = connector_for(stated, roots=app.settings.readable_roots)
    with opened.told():
        found: Schema = connector.schema()
    return found


def fit(app: Kalla, recipe: Recipe) -> dict[str, Any]:
    """``{valid, errors, warnings, resolved_fields}`` of a recipe whose stored sides have their addresses.

    Sources that do not exist are errors of the answer. Raises KallaError for those that cannot be reached or read.
    """
    errors: list[dict[str, Any]] = []
    schemas: dict[str, Schema] = {}
    for side in SIDES:
        source: Source = getattr(recipe.sources, side)
        try:
            schemas[side] = _declared(source) if source.uri is None else columns_of(app, source)
        except KallaError as error:
            if error.code not in _ABSENT:
                raise
            errors.append(_error(f"{side}.uri", source.alias, f"{error.message} {error.hint}".strip()))
    found, resolved, warnings = _against(recipe, schemas)
    errors += found
    return {"valid": not errors, "errors": errors, "warnings": warnings, "resolved_fields": resolved}


def missing_columns(source: Source, schema: Schema, *, is_disposable: bool) -> list[dict[str, Any]]:
    """The columns that the key, and of a disposable file also the declared schema, names and the source lacks, each
    with the nearest names."""
    names = [column.name for column in schema]
    declared = source.schema_columns or () if is_disposable else ()
    wanted = dict.fromkeys((*declared, *source.primary_key))
    return [{"column": name, "suggestions": nearest_names(name, names)} for name in wanted if name not in names]


def _declared(source: Source) -> Schema:
    return tuple(Column(name, Kind.UNKNOWN, "unknown") for name in source.schema_columns or ())


def _error(field: str, alias: str, message: str, suggestion: str | None = None) -> dict[str, Any]:
    return {"field": field, "source": alias, "message": message, "suggestion": suggestion}


def _against(
    recipe: Recipe, schemas: dict[str, Schema]
) -> tuple[list[dict[str, Any]], list[tuple[str, str]], list[str]]:
    """Errors, resolved fields and warnings. A side without a schema counts as fitting."""
    left, right = (side_input(getattr(recipe.sources, side), schemas.get(side)) for side in SIDES)
    blind, _, _ = check_sql(
        recipe.match_sql, side_input(recipe.sources.left, None), side_input(recipe.sources.right, None)
    )
    plan, problems, doubtful = check_sql(recipe.match_sql, left, right)
    errors: list[dict[str, Any]] = []
    resolved: dict[str, str] = {}
    warnings = [f"{p.path}: {p.message}" for p in doubtful]
    for side, schema in schemas.items():
        source: Source = getattr(recipe.sources, side)
        for name, is_loose in _needed(source, side, plan or blind).items():
            column = _find(name, schema, is_loose)
            if column is None:
                errors.append(_absent_column(side, source.alias, name, schema))
            else:
                resolved[f"{side}.{column.name}"] = column.native or str(column.kind)
        wrong = check_filters(source.filters, schema, f"sources.{side}.filters")
        errors += [_error(p.path, source.alias, p.message) for p in wrong if p.code != "filter.unknown_column"]
        warnings += _gone(source, side, schema, {e["field"] for e in errors})
    # Columns that are gone are told above, by name and side; of those only the ones no side can be told of are left.
    told = bool(errors)
    errors += [_error(p.path, "match_sql", p.message) for p in problems if not (told and p.code == _UNKNOWN_COLUMN)]
    return errors, list(resolved.items()), warnings


def _gone(source: Source, side: str, schema: Schema, told: set[str]) -> list[str]:
    """Declared columns that are not there and that nothing needs."""
    names = {column.name for column in schema}
    gone = [name for name in source.schema_columns or () if name not in names and f"{side}.{name}" not in told]
    return [f"sources.{side}.schema: the source '{source.alias}' has no column '{name}' any more" for name in gone]


def _needed(source: Source, side: str, plan: MatchPlan | None) -> dict[str, bool]:
    """Columns by name, and whether their case may differ, as it may in match_sql only."""
    exact = [*source.primary_key, *(f.column for f in source.filters)]
    loose: list[str] = []
    if plan is not None:
        letter = _LETTER[side]
        loose += plan.left_columns if letter == LEFT else plan.right_columns
        loose += [o.column for o in plan.outputs if o.side == letter and o.column and o.column != "*"]
    return dict.fromkeys(loose, True) | dict.fromkeys(exact, False)


def _find(name: str, schema: Schema, is_loose: bool) -> Column | None:
    """By exact name, else where allowed the single one that differs in case only."""
    for column in schema:
        if column.name == name:
            return column
    alike = [column for column in schema if is_loose and column.name.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def _absent_column(side: str, alias: str, name: str, schema: Schema) -> dict[str, Any]:
    near = nearest_names(name, [column.name for column in schema])
    hint = f"; did you mean '{near[0]}'?" if near else ""
    message = f"the {side} source '{alias}' has no column '{name}'{hint}"
    return _error(f"{side}.{name}", alias, message, near[0] if near else None)
