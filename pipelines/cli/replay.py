"""``kalla replay``: the same recipe on the same sources must give the same evidence."""

from __future__ import annotations

import click

from pipelines.cli.console import line, out, print_json, styled
from pipelines.cli.exits import DONE, FAILED
from pipelines.cli.options import addresses, debug_option, json_option, memory_option, set_option
from pipelines.cli.progress import progress_bar
from pipelines.cli.verify import show_check
from pipelines.evidence import Comparison
from pipelines.evidence import replay as run_again


@click.command("replay", short_help="Run the recipe of some evidence again and compare.")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option(
    "--output", type=click.Path(), metavar="DIR", help="Keep the new evidence here; thrown away unless given."
)
@set_option
@click.option("--allow-changed", is_flag=True, help="Compare even when a source is not what the run had read.")
@memory_option
@json_option
@debug_option
def replay(
    folder: str,
    output: str | None,
    sets: tuple[tuple[str, str], ...],
    allow_changed: bool,
    memory_limit: int | None,
    as_json: bool,
    debug: bool,
) -> int:
    """Run the recipe in DIR again on the recorded sources and compare counts, totals and the bytes of every part.

    Passwords are not kept in evidence: give the address of a database with --set. Exits with 1 when something differs.
    """
    with progress_bar(not as_json) as on_event:
        found = run_again(folder, output, on_event, addresses(sets), allow_changed, memory_limit)
    if as_json:
        print_json(_document(folder, found))
    else:
        _show(found)
    return DONE if found.ok else FAILED


def _document(folder: str, found: Comparison) -> dict[str, object]:
    return {
        "evidence": folder,
        "run_id": found.run_id,
        "replay_run_id": found.replay_run_id,
        "status": "completed" if found.ok else "failed",
        "ok": found.ok,
        "checks": [check.as_dict() for check in found.checks],
        "versions": {name: list(pair) for name, pair in found.versions.items()},
        "output": found.output,
    }


def _show(found: Comparison) -> None:
    console = out()
    for check in found.checks:
        show_check(console, check)
    for name, (was, now) in found.versions.items():
        line(
            console,
            styled("Note ", "yellow"),
            f"{name} was {was}, is {now}: the bytes of parts may differ by that alone",
        )
    if found.ok:
        line(console, styled("The replay gave the same evidence.", "bold green"))
    else:
        line(console, styled("The replay gave other evidence.", "bold red"))
    if found.output:
        line(console, "New evidence: ", styled(found.output, "bold"))
