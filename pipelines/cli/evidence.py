"""``kalla evidence show`` and ``kalla evidence export``."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.cli import report
from pipelines.cli.console import line, number, out, plural, print_json, print_rows, styled
from pipelines.cli.options import debug_option, json_option
from pipelines.evidence import FORMATS, SETS, Evidence, export_workbook
from pipelines.evidence import export as export_set


@click.group("evidence", short_help="Look at evidence, or export it.")
def evidence() -> None:
    """Look at evidence, or export it for a spreadsheet."""


@evidence.command("show", short_help="Show the result, or rows of a set.")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--set", "set_name", type=click.Choice(SETS), help="Show rows of this set; the result unless given.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Rows to show.")
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True, help="Rows to skip.")
@json_option
@debug_option
def show(folder: str, set_name: str | None, limit: int, offset: int, as_json: bool, debug: bool) -> None:
    """Show the result in DIR, or rows of one set."""
    found = Evidence(folder)
    if set_name is not None:
        _show_rows(found, set_name, limit, offset, as_json)
    elif as_json:
        print_json({"evidence": found.shown, "manifest_sha256": found.manifest_sha256, **found.manifest})
    else:
        report.print_result(out(), folder)


def _show_rows(found: Evidence, set_name: str, limit: int, offset: int, as_json: bool) -> None:
    page = found.rows(set_name, limit, offset)
    if as_json:
        columns = [{"name": c.name, "data_type": c.type} for c in page.columns]
        print_json(
            {
                "set": set_name,
                "offset": page.offset,
                "columns": columns,
                "rows": page.rows,
                "total_rows": page.total,
                "preview_rows": len(page.rows),
            }
        )
        return
    console = out()
    numeric = [i for i, c in enumerate(page.columns) if c.type.startswith(("integer", "decimal", "double"))]
    print_rows(console, [c.name for c in page.columns], page.rows, numeric)
    if page.rows:
        last = page.offset + len(page.rows)
        line(
            console,
            styled(
                f"Rows {number(page.offset + 1)} to {number(last)} of {number(page.total)} in {set_name}",
                "dim",
            ),
        )
    elif page.total:
        line(
            console,
            styled(f"{set_name} has {plural(page.total, 'row')}; none after row {number(page.offset)}", "dim"),
        )
    else:
        line(console, styled(f"{set_name} has no rows", "dim"))


@evidence.command("export", short_help="Write a set, or all of them, to one file.")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--set", "set_name", type=click.Choice(SETS), help="The set; all three in one workbook unless given.")
@click.option("--format", "format_name", type=click.Choice(FORMATS), help="By the name of FILE unless given.")
@click.option("--to", "target", required=True, type=click.Path(), metavar="FILE", help="The file to write.")
@click.option("--raw", is_flag=True, help="CSV: leave texts as they are, also those a spreadsheet would run.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@json_option
@debug_option
def export(
    folder: str,
    set_name: str | None,
    format_name: str | None,
    target: str,
    raw: bool,
    overwrite: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Write one set of the evidence in DIR to a CSV, workbook or Parquet file, or all sets to one workbook.

    A text that begins like a formula gets an apostrophe in a CSV, so that no spreadsheet runs it.
    """
    chosen = format_name or Path(target).suffix.lower().removeprefix(".")
    if chosen not in FORMATS:
        raise click.UsageError(f"Say what to write with --format {'|'.join(FORMATS)}, or name FILE so.")
    if set_name is not None:
        rows = export_set(folder, set_name, chosen, target, raw, overwrite)
    elif chosen == "xlsx":
        rows = export_workbook(folder, target, overwrite)
    else:
        raise click.UsageError(f"A {chosen} file holds one set: choose it with --set {'|'.join(SETS)}.")
    if as_json:
        document = {
            "status": "completed",
            "file": str(Path(target).absolute()),
            "format": chosen,
            "set": set_name,
            "rows": rows,
        }
        print_json(document)
    else:
        line(out(), f"{plural(rows, 'row')} written to ", styled(target, "bold"))
