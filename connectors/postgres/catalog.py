"""What the system catalogue says about a table: where it is, its columns, the parts it is stored in.

The table is found as the database would find it: with a schema exactly there, without one along the search
path. Nothing comes from information_schema, which hides what the user does not own and merges equal names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from connectors.errors import ConnectorError, SourceChanged, SourceDataError, SourceNotFound
from connectors.postgres.session import place_text, table_text
from connectors.postgres.types import MAX_DIGITS, PgColumn
from recipe import PostgresAddress, nearest_names

RELATION_KINDS = {
    "r": "table",
    "v": "view",
    "m": "materialised view",
    "p": "partitioned table",
    "f": "foreign table",
}
_OTHER_KINDS = {"i": "index", "I": "index", "S": "sequence", "c": "composite type", "t": "TOAST table"}
_TID_RANGES_SINCE = 140000
_MOST_NEIGHBOURS = 5000  # names among which the nearest are looked for


@dataclass(frozen=True)
class Table:
    """A relation that can be read."""

    oid: int
    schema: str
    name: str
    relkind: str
    server_version: int
    columns: tuple[PgColumn, ...]

    @property
    def identifier(self) -> sql.Composable:
        return sql.Identifier(self.schema, self.name)

    @property
    def text(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def is_stored(self) -> bool:
        """Whether rows lie in blocks of this relation or its partitions."""
        return self.relkind in ("r", "m", "p")


@dataclass(frozen=True)
class Unit:
    """A relation that holds rows of a table: the table itself, a leaf partition, an inheriting child.

    ``only`` False reads the relation with everything below it. ``blocks`` is 0 where ranges are impossible.
    """

    schema: str
    name: str
    only: bool
    blocks: int


_FIND_QUALIFIED = """
SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s"""

_FIND_BY_PATH = """
SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass(pg_catalog.quote_ident(%s))"""

_NEIGHBOURS = """
SELECT n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid), c.relkind FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY 1, 2 LIMIT %s"""

_COLUMNS = """
WITH RECURSIVE walk AS (
  SELECT a.attnum, a.attname, a.attnotnull AS bound, a.attcollation,
         pg_catalog.format_type(a.atttypid, a.atttypmod) AS shown, a.atttypid AS typid, a.atttypmod AS typmod
  FROM pg_catalog.pg_attribute a WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT w.attnum, w.attname, w.bound OR t.typnotnull, w.attcollation, w.shown, t.typbasetype, t.typtypmod
  FROM walk w JOIN pg_catalog.pg_type t ON t.oid = w.typid WHERE t.typtype = 'd')
SELECT w.attname, w.shown, w.typid, w.typmod, NOT w.bound, coalesce(l.collisdeterministic, true),
       CASE WHEN w.typid = 790 THEN pg_catalog.scale(0::money::numeric) ELSE 2 END
FROM walk w JOIN pg_catalog.pg_type t ON t.oid = w.typid AND t.typtype <> 'd'
LEFT JOIN pg_catalog.pg_collation l ON l.oid = w.attcollation ORDER BY w.attnum"""

# A rewrite (TRUNCATE, VACUUM FULL) between snapshot and lock shows as a file number unknown to the snapshot.
_UNITS = """
WITH RECURSIVE tree AS (
  SELECT %s::oid AS oid
  UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON i.inhparent = t.oid{pending})
SELECT c.oid, n.nspname, c.relname, c.relkind, coalesce(a.amname, '') = 'heap',
       coalesce(pg_catalog.pg_relation_size(c.oid), 0) / pg_catalog.current_setting('block_size')::bigint,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
       pg_catalog.row_security_active(c.oid),
       c.relkind IN ('r', 'm') AND c.relfilenode <> 0
         AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode
FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam WHERE c.relkind <> 'p' ORDER BY c.oid"""

_BYTES = """
WITH RECURSIVE tree AS (
  SELECT %s::oid AS oid
  UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON i.inhparent = t.oid)
SELECT coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0)
FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid WHERE c.relkind IN ('r', 'm')"""

_KEY = """
SELECT a.attname FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %s AND i.indisprimary ORDER BY k.place"""


def find_table(cursor: Any, address: PostgresAddress) -> Table:
    """The table that the address names. Raises SourceNotFound with the nearest names."""
    if address.table_schema is None:
        cursor.execute(_FIND_BY_PATH, [address.table])
    else:
        cursor.execute(_FIND_QUALIFIED, [address.table_schema, address.table])
    found = cursor.fetchone()
    if found is None:
        raise _not_found(cursor, address)
    oid, schema, name, relkind = found
    if relkind not in RELATION_KINDS:
        raise SourceNotFound(
            f"{place_text(address)} is a {_OTHER_KINDS.get(relkind, 'relation')}, not a table or view.",
            code="source.table_not_found",
            hint="Name a table, view, materialised view, partitioned or foreign table.",
        )
    cursor.execute(_COLUMNS, [oid])
    columns = tuple(PgColumn(n, s, t, m, nullable, eq, cents) for n, s, t, m, nullable, eq, cents in cursor.fetchall())
    if not columns:
        raise ConnectorError(f"{place_text(address)} has no columns.", hint="Name a table that has some.")
    return Table(oid, schema, name, relkind, cursor.connection.server_version, columns)


def _not_found(cursor: Any, address: PostgresAddress) -> SourceNotFound:
    cursor.execute(_NEIGHBOURS, [_MOST_NEIGHBOURS])
    known = cursor.fetchall()
    plain = {f"{schema}.{name}" for schema, name, *_ in known} | {name for _, name, visible, _ in known if visible}
    wanted = table_text(address)
    elsewhere = [f"{schema}.{name}" for schema, name, *_ in known if name == address.table]
    close = list(dict.fromkeys(elsewhere + nearest_names(wanted, sorted(plain))))[:3]
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "Check the table in the address."
    where = "on the search path" if address.table_schema is None else "in its schema"
    return SourceNotFound(
        f"There is no table {place_text(address)} {where}.",
        code="source.table_not_found",
        hint=f"{hint} Names count exactly, capitals included.",
    )


def names(cursor: Any, limit: int) -> list[tuple[str, str]]:
    """What can be read in the database, the first ``limit`` by name: its name as an address writes it, and its kind."""
    cursor.execute(_NEIGHBOURS, [limit])
    return [
        (f"{_written(schema)}.{_written(name)}", RELATION_KINDS[kind]) for schema, name, _, kind in cursor.fetchall()
    ]


def _written(name: str) -> str:
    return name if not set(name) & set('".') else '"' + name.replace('"', '""') + '"'


def storage_units(cursor: Any, table: Table, where: str) -> tuple[list[Unit], bool]:
    """The relations that hold the table's rows, in row order, and whether row security hides rows.

    A partition that the user may read only through its parent, or row security, makes the table one unit.
    Raises SourceChanged when the table was rewritten after the transaction's snapshot.
    """
    pending = sql.SQL(" AND NOT i.inhdetachpending" if table.server_version >= _TID_RANGES_SINCE else "")
    cursor.execute(sql.SQL(_UNITS).format(pending=pending), [table.oid])
    found = cursor.fetchall()
    if any(row[8] for row in found):
        raise SourceChanged(f"The source {where} was rewritten at the moment of reading.", hint="Run again.")
    secured = any(row[7] for row in found)
    through_root = secured or any(row[0] != table.oid and not row[6] for row in found)
    if through_root or not table.is_stored:
        return [Unit(table.schema, table.name, False, 0)], secured
    ranges = table.server_version >= _TID_RANGES_SINCE
    units = [
        Unit(schema, name, True, blocks if heap and ranges else 0)
        for _, schema, name, relkind, heap, blocks, *_ in found
        if blocks or not (heap and relkind in ("r", "m"))  # without a block there is no row
    ]
    return units, False


def stored_bytes(cursor: Any, table: Table) -> int | None:
    """Bytes on disk of the table with everything below it; None where it has no storage of its own."""
    if not table.is_stored:
        return None
    cursor.execute(_BYTES, [table.oid])
    return int(cursor.fetchone()[0])


def primary_key(cursor: Any, table: Table) -> tuple[str, ...]:
    """The declared primary key, in its order; empty when there is none."""
    cursor.execute(_KEY, [table.oid])
    return tuple(name for (name,) in cursor.fetchall())


def measure(cursor: Any, table: Table, where: str) -> dict[str, int]:
    """The scale of every numeric that does not declare one, from one pass over the data.

    Raises SourceDataError ``source.unrepresentable_value`` for NaN, infinities and more than 38 digits.
    """
    measured = [c for c in table.columns if c.is_measured]
    if not measured:
        return {}
    least = sql.SQL("pg_catalog.min_scale" if table.server_version >= 130000 else "pg_catalog.scale")
    form = sql.SQL("max({0})::text, min({0})::text, max(pg_catalog.scale({0})), max({1}({0}))")
    facts = sql.SQL(", ").join(form.format(c.identifier, least) for c in measured)
    cursor.execute(sql.SQL("SELECT {} FROM {}").format(facts, table.identifier))
    row = cursor.fetchone()
    return {c.name: _scale(c, row[4 * i : 4 * i + 4], where) for i, c in enumerate(measured)}


def _scale(column: PgColumn, facts: tuple[str | None, str | None, int | None, int | None], where: str) -> int:
    greatest, smallest, widest, least = facts
    ends = [text for text in (greatest, smallest) if text is not None]
    for text in ends:
        if text.endswith(("NaN", "Infinity")):
            raise unrepresentable(where, column.name, text, "an exact number cannot hold it")
    digits = max((len(text.lstrip("-").partition(".")[0].lstrip("0")) for text in ends), default=0)
    for scale in (widest or 0, least or 0):  # as written if that fits, else without trailing zeros
        if digits + scale <= MAX_DIGITS:
            return scale
    held = f"{digits} digits before the point beside {least} after it"
    raise unrepresentable(where, column.name, held, f"exact numbers have at most {MAX_DIGITS}")


def unrepresentable(where: str, column: str, value: str, reason: str = "") -> SourceDataError:
    """The error for a value that has no Arrow form; it names table and column."""
    shown = value if len(value) <= 60 else value[:60] + "..."
    because = f"; {reason}" if reason else ""
    return SourceDataError(
        f"The source {where} holds {shown} in column {column!r}, which cannot be represented{because}.",
        code="source.unrepresentable_value",
        hint="Correct the value, or read a view that leaves the row out or casts the column to text.",
    )


__all__ = [
    "RELATION_KINDS",
    "Table",
    "Unit",
    "find_table",
    "measure",
    "names",
    "primary_key",
    "storage_units",
    "stored_bytes",
    "unrepresentable",
]
