"""``kalla preview``: the first records of a source, as a run would read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from connectors import connector_for
from pipelines.cli.console import line, number, out, print_json, print_rows, styled
from pipelines.cli.options import SIDES, debug_option, json_option
from pipelines.options import RunRequest
from pipelines.prepare import read_recipe
from recipe import SOURCE_CLASSES, RecipeError, Source, infer_type, parse_uri

# A source needs a key; a look at its records does not.
_NO_KEY = ("-",)


@click.command("preview", short_help="Show the first records of a source.")
@click.argument("source", metavar="RECIPE|URI")
@click.option("--side", type=click.Choice(SIDES), default="left", show_default=True, help="The side of a recipe.")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="Records to show.")
@json_option
@debug_option
def preview(source: str, side: str, limit: int, as_json: bool, debug: bool) -> None:
    """Show the first records of one side of a recipe, after its filters, or of the source at URI."""
    chosen: Any = _of_recipe(source, side) if source.lower().endswith(".json") else _of_uri(source)
    connector = connector_for(chosen)
    found = connector.preview(limit, chosen.filters)
    if as_json:
        columns = [
            {"name": c.name, "data_type": c.native or str(c.kind), "nullable": c.nullable} for c in found.columns
        ]
        print_json(
            {
                "alias": chosen.alias,
                "uri": connector.masked_uri,
                "columns": columns,
                "rows": found.rows,
                "total_rows": found.total_rows,
                "preview_rows": len(found.rows),
            }
        )
        return
    console = out()
    numeric = [i for i, c in enumerate(found.columns) if c.kind.is_number]
    headers = [f"{c.name} ({c.native or c.kind})" for c in found.columns]
    print_rows(console, headers, found.rows, numeric)
    shown = f"{number(len(found.rows))} of {number(found.total_rows)} records of {connector.masked_uri}"
    line(console, styled(shown, "dim"))


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


def _of_uri(uri: str) -> Any:
    kind = infer_type(uri)
    parse_uri(kind, uri)  # its error never repeats the address, which may hold a password
    alias = "".join(c if c.isalnum() or c in "._-" else "_" for c in Path(uri.partition("?")[0]).stem)[:100]
    document = {"alias": alias or "source", "uri": uri, "primary_key": _NO_KEY}
    return SOURCE_CLASSES[kind].model_validate(document)
