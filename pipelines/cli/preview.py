"""``kalla preview``: the first records of a source, as a run would read them."""

from __future__ import annotations

from typing import Any

import click

from connectors import connector_for
from pipelines.cli.options import SIDES, debug_option, json_option
from pipelines.cli.rows import show, source_at
from pipelines.options import RunRequest
from pipelines.prepare import read_recipe
from recipe import RecipeError, Source


@click.command("preview", short_help="Show the first records of a source.")
@click.argument("source", metavar="RECIPE|URI")
@click.option("--side", type=click.Choice(SIDES), default="left", show_default=True, help="The side of a recipe.")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="Records to show.")
@json_option
@debug_option
def preview(source: str, side: str, limit: int, as_json: bool, debug: bool) -> None:
    """Show the first records of one side of a recipe, after its filters, or of the source at URI."""
    chosen: Any = _of_recipe(source, side) if source.lower().endswith(".json") else source_at(source)
    connector = connector_for(chosen)
    found = connector.preview(limit, chosen.filters)
    show(chosen.alias, connector.masked_uri, found, as_json)


def _of_recipe(path: str, side: str) -> Source:
    recipe, _ = read_recipe(RunRequest(recipe=path, output="", run_id=""))
    source: Source = getattr(recipe.sources, side)
    if source.uri is None:
        raise RecipeError(
            f"The {side} source {source.alias!r} has no address; it is given anew for each run.",
            code="run.source_missing",
            hint="Preview the file itself: kalla preview FILE.",
        )
    return source
