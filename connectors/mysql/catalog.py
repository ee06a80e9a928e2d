"""What a server says about one table or view: its columns, its key, and by what its rows have an order."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.errors import SourceNotFound
from connectors.mysql.session import Session
from connectors.mysql.types import MysqlColumn, column_of, quoted
from recipe import nearest_names

_MOST_NAMES = 5_000
_KINDS = {"BASE TABLE": "table", "SYSTEM VERSIONED": "table", "VIEW": "view"}
_NAMES = (
    "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
    " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') ORDER BY TABLE_NAME LIMIT "
)
_TABLE = "SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES"
_COLUMNS = (
    "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, NUMERIC_PRECISION, NUMERIC_SCALE, EXTRA"
    " FROM information_schema.COLUMNS"
)
_KEY = "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS"
_SIZES = "SELECT TABLE_NAME, TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES"


@dataclass(frozen=True)
class Table:
    """A table or view. ``key`` is the declared primary key, in its order; () where there is none, or where this user
    may not read all of it. ``columns`` are those that SELECT * gives: invisible ones may be in the key alone."""

    name: str
    kind: str
    engine: str | None
    columns: tuple[MysqlColumn, ...]
    key: tuple[str, ...]

    def select(self, columns: tuple[MysqlColumn, ...], where: str) -> str:
        """A query for these columns of the rows that pass, in order.

        Without a key the table is scanned: an index that fits the conditions or the columns would give another order.
        """
        shown = ", ".join(one.printed for one in columns) or "NULL"
        scan = " USE INDEX ()" if self.kind == "table" and not self.key else ""
        order = f" ORDER BY {', '.join(map(quoted, self.key))}" if self.key else ""
        return f"SELECT {shown} FROM {quoted(self.name)}{scan} WHERE {where}{order}"  # noqa: S608 - names are quoted


def names(session: Session, limit: int = _MOST_NAMES) -> list[tuple[str, str]]:
    """Names and kinds of the tables and views of the database, by name."""
    return [(text(name), _KINDS[text(kind)]) for name, kind in session.run(f"{_NAMES}{limit:d}")]


def find_table(session: Session) -> Table:
    """The table or view of exactly the address's name. Raises SourceNotFound with the nearest names."""
    name = session.address.table
    for _, kind, engine in _described(session, _TABLE):
        if kind in _KINDS:
            return _table(session, name, _KINDS[kind], engine or None)
    close = nearest_names(name, [known for known, _ in names(session)])
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "Check the table in the address."
    raise SourceNotFound(
        f"The source {session.where} names a table that does not exist, or that this user may not see.",
        code="source.table_not_found",
        hint=f"{hint} Names count exactly, capitals included.",
    )


def _table(session: Session, name: str, kind: str, engine: str | None) -> Table:
    described = _described(session, _COLUMNS, " ORDER BY ORDINAL_POSITION")
    columns = tuple(
        column_of(column, base.lower(), declared.partition(" /*")[0], nullable == "YES", _whole(digits), _whole(scale))
        for _, column, base, declared, nullable, digits, scale, extra in described
        if "INVISIBLE" not in extra.upper().split()
    )
    key = tuple(one for _, one in _described(session, _KEY, " AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX"))
    readable = {column for _, column, *_ in described}
    return Table(name, kind, engine, columns, key if readable.issuperset(key) else ())


def sizes(session: Session) -> tuple[int | None, int | None]:
    """About how many rows the table has, and their bytes on the server; None for a view."""
    if not session.is_mariadb and session.major >= 8:
        session.run("SET SESSION information_schema_stats_expiry = 0")  # else of a day ago
    for _, rows, size in _described(session, _SIZES):
        return _whole(rows), _whole(size)
    return None, None


def _described(session: Session, select: str, rest: str = "") -> list[tuple[str, ...]]:
    """Rows about the address's table, NULL as ""; the catalogue itself may compare names without capitals."""
    name = session.address.table
    wanted = f"{select} WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {literal(name)}{rest}"
    rows = [tuple("" if cell is None else text(cell) for cell in row) for row in session.run(wanted)]
    return [row for row in rows if row[0] == name]


def literal(text: str) -> str:
    """The text as a literal of SQL, of which nothing can be misread."""
    return f"_utf8mb4 x'{text.encode('utf-8', 'surrogatepass').hex()}'"


def text(cell: bytes | None) -> str:
    return (cell or b"").decode("utf-8", "replace")


def _whole(text: str) -> int | None:
    return int(text) if text.isdigit() else None
