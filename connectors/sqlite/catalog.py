"""What a database file says about one table or view: its columns, and by what its rows have an order."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass

from connectors.errors import ConnectorError, SourceNotFound
from connectors.sqlite.types import SqliteColumn, column_of
from recipe import nearest_names

_ROWIDS = ("rowid", "_rowid_", "oid")
_MOST_NAMES = 5_000
_NAMES = (
    "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    " AND (type = 'view' OR sql NOT LIKE 'create virtual%') ORDER BY name LIMIT ?"
)


@dataclass(frozen=True)
class Table:
    """A table or view. ``rowid`` is the name by which its row numbers can be asked for, None where it has none;
    ``order`` is the ORDER BY of its rows, "" for a view, and for a table without a key whose columns hide the row
    number. ``is_keyed`` says that no two rows, and no NULL, can be alike in the declared key."""

    name: str
    kind: str
    columns: tuple[SqliteColumn, ...]
    rowid: str | None
    order: str
    is_keyed: bool

    def select(self, columns: tuple[SqliteColumn, ...], where: str = "") -> str:
        """A query for these columns of its rows in order."""
        shown = ", ".join(quoted(one.name) for one in columns) or "NULL"
        return f"SELECT {shown} FROM {quoted(self.name)}{where}{self.order}"  # noqa: S608 - names are quoted


def quoted(name: str) -> str:
    """The name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def names(connection: sqlite3.Connection, limit: int = _MOST_NAMES) -> list[tuple[str, str]]:
    """Names and kinds of tables and views, by name."""
    return connection.execute(_NAMES, [limit]).fetchall()


def find_table(connection: sqlite3.Connection, shown: str, name: str) -> Table:
    """The table or view of exactly this name. Raises SourceNotFound with the nearest names."""
    found = connection.execute(
        "SELECT type, sql FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?", [name]
    ).fetchone()
    if found is None:
        close = nearest_names(name, [known for known, _ in names(connection)])
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "Check the table in the address."
        raise SourceNotFound(
            f"There is no table {name!r} in {shown}.",
            code="source.table_not_found",
            hint=f"{hint} Names count exactly, capitals included.",
        )
    kind, text = found
    if kind == "table" and str(text).upper().startswith("CREATE VIRTUAL"):
        raise ConnectorError(
            f"{name!r} in {shown} is a virtual table.", code="source.unsupported_type", hint="Name a stored table."
        )
    described = connection.execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
    columns = tuple(
        column_of(column, declared or "", not bound, key)
        for _, column, declared, bound, _, key, hidden in described
        if hidden != 1  # 2 and 3 are generated columns
    )
    rowid = _rowid(connection, name, columns) if kind == "table" else None
    return Table(name, kind, columns, rowid, _order(kind, columns, rowid), _is_keyed(connection, name, columns))


def _is_keyed(connection: sqlite3.Connection, name: str, columns: tuple[SqliteColumn, ...]) -> bool:
    """SQLite lets NULLs into a primary key unless its columns are NOT NULL, as those of a table WITHOUT ROWID always
    are, or the key is the row number itself, which needs no index."""
    key = [one for one in columns if one.key]
    if all(not one.column.nullable for one in key):
        return bool(key)
    return not any(index[3] == "pk" for index in connection.execute(f"PRAGMA index_list({quoted(name)})"))


def _rowid(connection: sqlite3.Connection, name: str, columns: tuple[SqliteColumn, ...]) -> str | None:
    taken = {one.name.lower() for one in columns}
    for word in _ROWIDS:
        if word in taken:
            continue
        with suppress(sqlite3.OperationalError):  # a table WITHOUT ROWID
            connection.execute(f"SELECT {word} FROM {quoted(name)} LIMIT 0")  # noqa: S608 - the name is quoted
            return word
        return None
    return None


def _order(kind: str, columns: tuple[SqliteColumn, ...], rowid: str | None) -> str:
    if rowid is not None:
        return f" ORDER BY {rowid}"
    key = sorted((one for one in columns if one.key), key=lambda one: one.key)
    return f" ORDER BY {', '.join(quoted(one.name) for one in key)}" if kind == "table" and key else ""
