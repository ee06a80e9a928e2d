"""``kalla run``: from a recipe to evidence and a result an accountant understands."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipelines.cli.app import Failed
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
from pipelines.launch import Event, launch
from pipelines.options import RunRequest

_DEFAULT_FOLDER = "kalla-evidence"


@click.command("run", short_help="Reconcile the two sources of a recipe and write evidence.")
@click.argument("recipe", type=click.Path())
@click.option(
    "--output", type=click.Path(), metavar="DIR",
    help="The folder for the evidence, new or empty, perhaps in a store (s3://bucket/folder);"
    f" {_DEFAULT_FOLDER}/<recipe id> unless given.",
)  # fmt: skip
@strategy_option
@engine_option
@runner_option
@cluster_options
@partitions_option
@memory_option
@click.option(
    "--staging",
    type=click.Path(file_okay=False),
    metavar="DIR",
    envvar="KALLA_STAGING",
    show_envvar=True,
    help="Where scratch data lies while the run works; beside the evidence unless given. For runs on a cluster also a"
    " folder of a store (s3://bucket/folder), through which its machines then exchange files.",
)
@set_option
@click.option("--overwrite", is_flag=True, help="Replace evidence in DIR, in one step and only by a whole result.")
@json_option
@debug_option
def run(recipe: str, output: str | None, sets: tuple[tuple[str, str], ...], as_json: bool, **options: Any) -> None:
    """Reconcile the two sources of RECIPE, a JSON file, and write evidence.

    Evidence is written whole or not at all. Relative file addresses in a recipe count from the recipe.
    """
    debug = options.pop("debug")
    folder = output or _default_output(recipe)
    if "://" in (options["staging"] or ""):
        options |= {"staging": None, "exchange": options["staging"]}
    request = RunRequest(recipe=recipe, output=folder, run_id=str(uuid.uuid4()), sources=addresses(sets), **options)
    with _progress(show=not as_json) as on_event:
        outcome = launch(request, on_event, on_start=lambda pid: None if as_json else _load_report())
    if outcome["status"] != "completed":
        raise failure(outcome, debug)
    from pipelines.cli.console import out, print_json

    if as_json:
        print_json(outcome)
    else:
        from pipelines.cli import report

        report.print_result(out(), folder, outcome["seconds"])


def _default_output(recipe: str) -> str:
    from recipe import load_recipe

    return str(Path(_DEFAULT_FOLDER, load_recipe(recipe)[0].recipe_id))


def _progress(show: bool) -> contextlib.AbstractContextManager[Callable[[Event], None]]:
    """A progress bar for a terminal; drawing takes a library that nobody else waits for."""
    if not (show and sys.stderr.isatty()):
        return contextlib.nullcontext(lambda event: None)
    from pipelines.cli.progress import progress_bar

    return progress_bar()


def _load_report() -> None:
    """Load what shows the result while the run's process works."""
    threading.Thread(target=importlib.import_module, args=("pipelines.cli.report",), daemon=True).start()


def failure(outcome: dict[str, Any], debug: bool) -> Failed:
    """The error of an outcome that is not completed."""
    error = outcome["error"]
    document = {name: outcome[name] for name in ("run_id", "status", "error")}
    return Failed(error["code"], error["message"], document, outcome.get("trace", "") if debug else "")
