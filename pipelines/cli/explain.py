"""``kalla explain``: what a recipe does and how it would run, without reading a record."""

from __future__ import annotations

from typing import Any

import click

from pipelines.cli.console import line, out, plural, print_json, styled
from pipelines.cli.options import (
    addresses,
    cluster_options,
    debug_option,
    engine_option,
    json_option,
    memory_option,
    partitions_option,
    runner_option,
    set_option,
    strategy_option,
)
from pipelines.cli.report import print_warnings
from pipelines.options import RunRequest
from pipelines.prepare import SIDES, Prepared, prepare
from recipe import PlanClass, condition_in_words, key_in_words

_CLASSES = {
    PlanClass.EQUI: "records are brought together by equal keys",
    PlanClass.INEQUALITY: "records are compared by conditions without an equal key",
    PlanClass.GENERAL: "the statement groups, unites or ranks records, so it runs as a whole",
}


@click.command("explain", short_help="Say in words what a recipe does and how it would run.")
@click.argument("recipe", type=click.Path())
@strategy_option
@engine_option
@runner_option
@cluster_options
@partitions_option
@memory_option
@set_option
@json_option
@debug_option
def explain(recipe: str, sets: tuple[tuple[str, str], ...], as_json: bool, debug: bool, **options: Any) -> None:
    """Say in words what RECIPE does: keys, conditions, columns, and how it would run and why."""
    request = RunRequest(recipe=recipe, output="", run_id="", sources=addresses(sets), **options)
    prepared = prepare(request)
    splits = {name: _splits(prepared, side, request.partitions) for side, name in SIDES.items()}
    if as_json:
        print_json(_document(prepared, splits))
    else:
        _show(prepared, splits)


def _splits(prepared: Prepared, side: str, partitions: int) -> int:
    """In how many parts a source would be read; 0 when the engine reads the file in place."""
    connector = prepared.connectors[side]
    if connector.in_place_path() and not prepared.sources[side].filters and prepared.run_plan.strategy == "local":
        return 0
    with connector.open_snapshot() as snapshot:
        return len(connector.plan_splits(snapshot, partitions))


def _conditions(prepared: Prepared) -> list[dict[str, str]]:
    plan = prepared.plan
    found = [("both", c) for c in plan.conditions]
    found += [("left", c) for c in plan.left_only] + [("right", c) for c in plan.right_only]
    return [{"side": side, "sql": c.sql, "words": condition_in_words(c)} for side, c in found]


def _sources(prepared: Prepared, splits: dict[str, int]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "alias": prepared.sources[side].alias,
            "type": prepared.sources[side].type,
            "uri": prepared.connectors[side].masked_uri,
            "primary_key": list(prepared.sources[side].primary_key),
            "columns": [{"name": c.name, "data_type": c.native or str(c.kind)} for c in prepared.schemas[side]],
            "filters": len(prepared.sources[side].filters),
            "splits": splits[name],
        }
        for side, name in SIDES.items()
    }


def _document(prepared: Prepared, splits: dict[str, int]) -> dict[str, Any]:
    plan = prepared.plan
    return {
        "recipe_id": prepared.recipe.recipe_id,
        **prepared.run_plan.as_dict(),
        "class_words": _CLASSES[plan.kind],
        "keys": [{"sql": k.sql, "words": key_in_words(k)} for k in plan.keys],
        "conditions": _conditions(prepared),
        "columns": [o.name for o in plan.outputs],
        "control_totals": {
            "left": [n for n, _ in plan.left_numbers],
            "right": [n for n, _ in plan.right_numbers],
        },
        "sources": _sources(prepared, splits),
        "warnings": [w.as_dict() for w in prepared.warnings],
    }


def _show(prepared: Prepared, splits: dict[str, int]) -> None:
    console = out()
    plan = prepared.plan
    line(console, styled(prepared.recipe.name, "bold"), "  ", styled(prepared.recipe.recipe_id, "dim"))
    for name, source in _sources(prepared, splits).items():
        line(console, f"{name.title()}: {source['alias']}, {source['type']}, {source['uri']}")
        parts = plural(source["splits"], "part") if source["splits"] else "in place"
        names = ", ".join(source["primary_key"])
        filters = f", {plural(source['filters'], 'filter')}" if source["filters"] else ""
        line(console, f"  key {names}; {plural(len(source['columns']), 'column')}; read {parts}{filters}")
    line(console)
    line(console, styled("Rule: ", "bold"), _CLASSES[plan.kind])
    for key in plan.keys:
        line(console, "  ", key_in_words(key))
    for condition in _conditions(prepared):
        line(console, "  ", condition["words"])
    if not plan.keys and not _conditions(prepared):
        line(console, "  ", prepared.recipe.match_sql)
    line(console, styled("Columns of matched rows: ", "bold"), ", ".join(o.name for o in plan.outputs))
    totals = [f"left {n}" for n, _ in plan.left_numbers] + [f"right {n}" for n, _ in plan.right_numbers]
    line(console, styled("Control totals: ", "bold"), ", ".join(totals) or "none: no numeric column is used")
    line(console)
    for reason in prepared.run_plan.reasons:
        line(console, reason)
    for statement in prepared.run_plan.statements:
        line(console, "  ", statement)
    print_warnings(console, [w.as_dict() for w in prepared.warnings])
