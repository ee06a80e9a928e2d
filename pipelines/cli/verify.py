"""``kalla verify``: recompute everything that a manifest says."""

from __future__ import annotations

import click
from rich.console import Console

from pipelines.cli.console import line, out, print_json, styled
from pipelines.cli.exits import DONE, FAILED
from pipelines.cli.options import debug_option, json_option
from pipelines.evidence import CHECKS, Check
from pipelines.evidence import verify as check_evidence


@click.command("verify", short_help="Check that evidence holds what its manifest says.")
@click.argument("folder", metavar="DIR", type=click.Path())
@json_option
@debug_option
def verify(folder: str, as_json: bool, debug: bool) -> int:
    """Check the evidence in DIR: files, hashes, every record once, counts, reasons and control totals, from the rows.

    Exits with 1 when a check fails.
    """
    console = out()
    found = check_evidence(folder, on_check=lambda check: None if as_json else show_check(console, check))
    if as_json:
        document = {
            "evidence": found.evidence,
            "run_id": found.run_id,
            "status": "completed" if found.ok else "failed",
            "ok": found.ok,
            "manifest_sha256": found.manifest_sha256,
            "checks": [check.as_dict() for check in found.checks],
        }
        print_json(document)
    elif found.ok:
        line(
            console,
            styled("The evidence is sound.", "bold green"),
            f" SHA-256 of manifest.json: {found.manifest_sha256}",
        )
    else:
        failed = sum(not check.ok for check in found.checks)
        line(
            console,
            styled(f"The evidence is not sound: {failed} of {len(found.checks)} checks fail.", "bold red"),
        )
        line(console, "Do not rely on it. Restore it from a backup, or run the recipe again.")
    return DONE if found.ok else FAILED


def show_check(console: Console, check: Check) -> None:
    """One line for a check: a word, not only a colour."""
    mark = styled("ok    ", "green") if check.ok else styled("FAILED", "bold red")
    line(console, mark, "  ", CHECKS.get(check.name, check.name.replace("_", " ")), ": ", check.detail)
