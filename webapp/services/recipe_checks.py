"""The whole check of a recipe document, and its addresses made ready for a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from recipe import (
    SOURCE_CLASSES,
    CsvFormat,
    KallaError,
    MatchPlan,
    Problem,
    Recipe,
    RecipeError,
    Schema,
    SideInput,
    Source,
    check_match_sql,
    parse_recipe,
    with_source,
)
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.services.addresses import check_address
from webapp.services.credentials import SIDES, with_secrets


@dataclass(frozen=True)
class Checked:
    """A document after all checks. ``recipe`` is None when there are problems."""

    recipe: Recipe | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    def require(self) -> Recipe:
        """The recipe. Raises RecipeError ``recipe.invalid`` with all problems."""
        if self.recipe is None:
            raise RecipeError.from_problems(self.problems)
        return self.recipe


def check_document(app: Kalla, body: object, *, is_saved: bool = False) -> Checked:
    """Check a document in full: its members, its SQL without columns, its addresses.

    ``is_saved`` is for recipes that will be kept: a side without an address must name a registered source, and masked
    secrets are filled in. A run does both later, when the addresses given for it are known.
    """
    parsed = parse_recipe(body)
    problems, warnings = list(parsed.problems), list(parsed.warnings)
    sides = _valid_sides(body)
    sql = body.get("match_sql") if isinstance(body, Mapping) else None
    if isinstance(sql, str) and not any(p.path in ("", "version", "match_sql", "match_rules") for p in problems):
        inputs = [side_input(sides.get(side), None) for side in SIDES]
        _, wrong, doubtful = check_sql(sql, inputs[0], inputs[1])
        problems += wrong
        warnings += doubtful
    for side, source in sides.items():
        problems += _address_problems(app, f"sources.{side}.uri", source, is_saved)
    recipe = parsed.recipe
    if recipe is not None and not problems and is_saved:
        recipe, problems = with_secrets(app, recipe)
    return Checked(None if problems else recipe, tuple(dict.fromkeys(problems)), tuple(dict.fromkeys(warnings)))


def check_sql(sql: str, left: SideInput, right: SideInput) -> tuple[MatchPlan | None, list[Problem], list[Problem]]:
    """Plan (None when there are problems), problems and warnings of a statement, constants of functions included."""
    # Imported here: the functions bring DuckDB with them, which a page that checks no SQL should not wait for.
    from udfs import UdfError, lower, signatures

    plan, problems, warnings = check_match_sql(sql, left, right, signatures())
    for tree in [] if plan is None else _trees(plan):
        try:
            lower(tree.copy())
        except UdfError as error:
            problems.append(Problem("match_sql", f"{error.message} {error.hint}".strip(), error.code))
    return (None if problems else plan), problems, warnings


def _trees(plan: MatchPlan) -> list[Any]:
    trees: list[Any] = [tree for key in plan.keys for tree in (key.left, key.right)]
    trees += [c.tree for c in (*plan.conditions, *plan.left_only, *plan.right_only)]
    trees += [o.tree for o in plan.outputs]
    return trees if plan.traced is None else [*trees, plan.traced.tree]


def side_input(source: Source | None, schema: Schema | None) -> SideInput:
    """What the compiler is told of one side."""
    if source is None:
        return SideInput(schema, ())
    form = source.format or CsvFormat()
    return SideInput(schema, source.primary_key, form.decimal, form.thousands, str(form.date_order))


def _valid_sides(body: object) -> dict[str, Any]:
    """The sides that are in order by themselves, whatever else is wrong with the document."""
    sources = body.get("sources") if isinstance(body, Mapping) else None
    found: dict[str, Any] = {}
    for side in SIDES:
        raw = sources.get(side) if isinstance(sources, Mapping) else None
        kind = raw.get("type") if isinstance(raw, Mapping) else None
        model = SOURCE_CLASSES.get(kind) if isinstance(kind, str) else None
        if model is not None:
            try:
                found[side] = model.model_validate(raw)
            except ValidationError:
                continue  # parse_recipe has reported it
    return found


def _address_problems(app: Kalla, path: str, source: Source, is_saved: bool) -> list[Problem]:
    if source.uri is None:
        if source.type == "file" or not is_saved or app.sources.get(source.alias) is not None:
            return []
        message = f"is required, as no registered source is called '{source.alias}'"
        return [Problem(path, message, "recipe.missing_field")]
    try:
        check_address(app, source.type, source.uri)
    except KallaError as error:
        return [Problem(path, f"{error.message} {error.hint}".strip(), error.code)]
    return []


def resolved(app: Kalla, recipe: Recipe) -> Recipe:
    """The recipe with the addresses of registered sources where a side has none of its own.

    A disposable file stays without one. Raises ServiceError ``run.source_missing``.
    """
    for side in SIDES:
        source: Source = getattr(recipe.sources, side)
        if source.uri is not None or source.type == "file":
            continue
        registered = app.sources.get(source.alias)
        if registered is None:
            raise ServiceError(
                f"The {side} source '{source.alias}' has no address and is not registered.",
                code="run.source_missing",
                hint="Register it under Data Sources, or give an address for this run.",
                details=[Problem(f"sources.{side}", f"no registered source '{source.alias}'", "run.source_missing")],
            )
        recipe = with_source(recipe, side, registered.uri)
    return recipe
