"""``kalla source``: what the app does with a source, at a terminal and by the same functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from connectors import Connector, connector_for, declared_key, search_key
from pipelines.cli.console import line, number, out, plural, print_json, styled, table
from pipelines.cli.options import debug_option, json_option
from pipelines.cli.rows import described, show, source_at
from recipe import FilterCondition, RecipeError, parse_filters, place_uri, read_json

Where = Sequence[tuple[str, str, str]]
_MOST_LISTED = 5_000


@click.group("source")
def source() -> None:
    """Look at a source: a file, an object, a table or an index, named by its address."""


def _limit(most: int, default: int, words: str) -> Callable[[Any], Any]:
    return click.option("--limit", type=click.IntRange(1, most), default=default, show_default=True, help=words)


_where = click.option(
    "--where",
    type=(str, str, str),
    multiple=True,
    metavar="COLUMN OP VALUE",
    help="Only records that pass; several are joined with AND.",
)


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("uri", metavar="URI")(json_option(debug_option(command)))


@source.command("test", short_help="Try whether it can be read.")
@_shared
def test(uri: str, as_json: bool, debug: bool) -> None:
    """Try whether the source at URI can be read. Exits with 1 when it cannot."""
    connector = _connector(uri)
    began = time.perf_counter()
    columns = connector.schema()
    milliseconds = round((time.perf_counter() - began) * 1000)
    if as_json:
        print_json({"ok": True, "uri": connector.masked_uri, "columns": len(columns), "latency_ms": milliseconds})
        return
    line(out(), f"{connector.masked_uri} can be read: {plural(len(columns), 'column')}, {milliseconds} ms.")


@source.command("tables", short_help="List tables, indexes or files.")
@_limit(_MOST_LISTED, 1000, "Names to show.")
@_shared
def tables(uri: str, limit: int, as_json: bool, debug: bool) -> None:
    """List what lies in the place that URI names: the tables of a database, the indexes of a server, the files of a
    folder (ending in /). A table, index or file in it may be named too."""
    found = _connector(place_uri(uri)).listed(limit)
    if as_json:
        print_json({"tables": [vars(entry) for entry in found.entries], "complete": found.complete})
        return
    console = out()
    console.print(table(["name", "kind", "address"], [(e.name, e.kind, e.uri) for e in found.entries]))
    more = "" if found.complete else "; there are more, see --limit"
    line(console, styled(f"{number(len(found.entries))} shown{more}", "dim"))


@source.command("schema", short_help="Show its columns.")
@_shared
def schema(uri: str, as_json: bool, debug: bool) -> None:
    """Show the columns of the source at URI, with the source's own types."""
    connector = _connector(uri)
    columns = connector.schema()
    if as_json:
        print_json({"uri": connector.masked_uri, "columns": described(columns)})
        return
    rows = [(c.name, c.native or c.kind, "" if c.nullable else "never empty") for c in columns]
    out().print(table(["column", "type", ""], rows))


@source.command("preview", short_help="Show its first records.")
@_where
@_limit(1000, 10, "Records to show.")
@_shared
def preview(uri: str, where: Where, limit: int, as_json: bool, debug: bool) -> None:
    """Show the first records of the source at URI that pass the filters, and how many pass."""
    chosen = source_at(uri)
    connector = connector_for(chosen)
    show(chosen.alias, connector.masked_uri, connector.preview(limit, _filters(where)), as_json)


@source.command("count", short_help="Count its records.")
@_where
@_shared
def count(uri: str, where: Where, as_json: bool, debug: bool) -> None:
    """Count the records of the source at URI that pass the filters."""
    connector = _connector(uri)
    found = connector.count(_filters(where))
    if as_json:
        print_json({"uri": connector.masked_uri, "total_rows": found})
        return
    passing = " pass the filters" if where and found != 1 else " passes the filters" if where else ""
    line(out(), f"{plural(found, 'record')} in {connector.masked_uri}{passing}")


@source.command("keys", short_help="Suggest a primary key.")
@_shared
def keys(uri: str, as_json: bool, debug: bool) -> None:
    """Say which columns tell the records of the source at URI apart: the declared key, else what the data proves."""
    connector = _connector(uri)
    found = declared_key(connector) or search_key(connector)
    if as_json:
        told = {"uri": connector.masked_uri, "detected_keys": list(found.columns), "confidence": found.confidence}
        print_json(told | {"declared": found.declared, "rows_checked": found.rows_checked})
        return
    looked = (
        "declared" if found.declared else f"{found.confidence} confidence, {plural(found.rows_checked, 'record')} read"
    )
    line(out(), f"{', '.join(found.columns) or 'No key was found.'} ({looked})")


def _connector(uri: str) -> Connector:
    return connector_for(source_at(uri))


def _filters(where: Where) -> tuple[FilterCondition, ...]:
    """Conditions as recipes have them. Raises RecipeError ``filter.*``."""
    checked = parse_filters([{"column": c, "op": op, "value": _value(value)} for c, op, value in where], "--where")
    if checked.problems:
        raise RecipeError.from_problems(checked.problems)
    return checked.filters


def _value(text: str) -> Any:
    """A JSON number, text or list; what is none of them is a text as it stands: ``100.00``, ``"007"``, ``[1, 2]``,
    ``2026-01-31``."""
    try:
        found = read_json(text)
    except RecipeError:
        return text
    return text if found is None or isinstance(found, bool | dict) else found
