"""``kalla validate``: every problem of a recipe at once, with its sources or without."""

from __future__ import annotations

from typing import Any

import click

from connectors import connector_for
from pipelines.cli.console import line, out, plural, print_json, styled
from pipelines.cli.exits import DONE, INVALID, exit_status
from pipelines.cli.options import addresses, debug_option, json_option, set_option
from pipelines.cli.report import print_warnings
from pipelines.options import RunRequest
from pipelines.prepare import SIDES, prepare, read_recipe, side_input
from recipe import LEFT, RIGHT, KallaError, Recipe, Schema, check_match_sql
from udfs import signatures

Detail = dict[str, Any]


@click.command("validate", short_help="Check a recipe, and its sources, without running it.")
@click.argument("recipe", type=click.Path())
@click.option("--offline", is_flag=True, help="Check the document and its SQL alone; reach no source.")
@set_option
@json_option
@debug_option
def validate(recipe: str, offline: bool, sets: tuple[tuple[str, str], ...], as_json: bool, debug: bool) -> int:
    """Check RECIPE and tell every problem at once, each with its place.

    Its sources are asked for their columns, unless --offline. Exits with 2 when the recipe is invalid, with 1 when
    only a source cannot be reached.
    """
    request = RunRequest(recipe=recipe, output="", run_id="", sources=addresses(sets))
    problems, warnings = _check(request, offline)
    if as_json:
        document = {
            "valid": not problems,
            "errors": [f"{p['path']}: {p['message']}" if p["path"] else p["message"] for p in problems],
            "warnings": [w["message"] for w in warnings],
            "details": problems,
        }
        print_json(document)
    else:
        _show(recipe, problems, warnings, offline)
    statuses = {exit_status(str(p["code"])) for p in problems}
    return DONE if not problems else INVALID if INVALID in statuses else max(statuses)


def _check(request: RunRequest, offline: bool) -> tuple[list[Detail], list[Detail]]:
    try:
        found, warnings = read_recipe(request)
    except KallaError as error:
        return _details(error, ""), []
    told = [w.as_dict() for w in warnings]
    schemas: dict[str, Schema | None] = {LEFT: None, RIGHT: None}
    problems: list[Detail] = []
    if not offline:
        schemas, problems = _schemas(request, found)
    more, hints = _check_sql(found, schemas)
    problems += more
    if not offline and not problems and None not in schemas.values():
        problems += _check_whole(request)
    return problems, told + hints


def _schemas(request: RunRequest, recipe: Recipe) -> tuple[dict[str, Schema | None], list[Detail]]:
    """The columns of each side that can be reached, and what is wrong with the others."""
    schemas: dict[str, Schema | None] = {}
    problems: list[Detail] = []
    for side, name in SIDES.items():
        source = getattr(recipe.sources, name)
        schemas[side] = None
        if source.uri is None:
            continue  # given anew for each run
        try:
            schemas[side] = connector_for(source, roots=request.roots).schema()
        except KallaError as error:
            problems += _details(error, f"sources.{name}")
    return schemas, problems


def _check_sql(recipe: Recipe, schemas: dict[str, Schema | None]) -> tuple[list[Detail], list[Detail]]:
    sides = [side_input(getattr(recipe.sources, name), schemas[side]) for side, name in SIDES.items()]
    _, problems, warnings = check_match_sql(recipe.match_sql, sides[0], sides[1], signatures())
    return [p.as_dict() for p in problems], [w.as_dict() for w in warnings]


def _check_whole(request: RunRequest) -> list[Detail]:
    """What remains: keys, declared columns and filters against the sources."""
    try:
        prepare(request)
    except KallaError as error:
        return _details(error, "")
    return []


def _details(error: KallaError, path: str) -> list[Detail]:
    message = f"{error.message} {error.hint}".strip()
    return error.details or [{"path": path, "message": message, "code": error.code}]


def _show(recipe: str, problems: list[Detail], warnings: list[Detail], offline: bool) -> None:
    console = out()
    for problem in problems:
        place = [styled(problem["path"], "bold"), "  "] if problem["path"] else []
        line(console, styled("Problem ", "bold red"), *place, problem["message"])
        line(console, "        ", styled(problem["code"], "dim"))
    print_warnings(console, warnings)
    if problems:
        line(console, f"{recipe} has {plural(len(problems), 'problem')}.")
    else:
        checked = "its sources were not asked" if offline else "checked with its sources"
        line(console, styled("Valid: ", "bold green"), f"{recipe}, {checked}.")
