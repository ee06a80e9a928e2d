"""Sources named on the command line, and their rows as it prints them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors import Preview
from pipelines.cli.console import line, number, out, print_json, print_rows, styled
from recipe import SOURCE_CLASSES, Column, infer_type, parse_uri

# A source needs a key; a look at its records does not.
_NO_KEY = ("-",)


def source_at(uri: str) -> Any:
    """The source of a recipe that would name this address. Raises RecipeError ``source.invalid_uri``."""
    kind = infer_type(uri)
    parse_uri(kind, uri)  # its error never repeats the address, which may hold a password
    alias = "".join(c if c.isalnum() or c in "._-" else "_" for c in Path(uri.partition("?")[0]).stem)[:100]
    document = {"alias": alias or "source", "uri": uri, "primary_key": _NO_KEY}
    return SOURCE_CLASSES[kind].model_validate(document)


def described(columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    """Columns for programs, as the API gives them."""
    return [{"name": c.name, "data_type": c.native or str(c.kind), "nullable": c.nullable} for c in columns]


def show(alias: str, masked_uri: str, found: Preview, as_json: bool) -> None:
    """Print rows: a table for people, the rows object for programs."""
    if as_json:
        print_json(
            {
                "alias": alias,
                "uri": masked_uri,
                "columns": described(found.columns),
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
    shown = f"{number(len(found.rows))} of {number(found.total_rows)} records of {masked_uri}"
    line(console, styled(shown, "dim"))
