"""How many sources, recipes and runs there are, kept by triggers in the transaction of each change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATUSES = ("pending", "submitted", "running", "completed", "failed", "cancelled")
# Each table, and where it has the status of a row: only runs have one.
COUNTED = {"sources": "", "recipes": "", "runs": "status"}
SQLITE_ROW = """
CREATE TRIGGER {table}_counted_{event} AFTER {event} ON {table} BEGIN
    UPDATE row_counts SET total = total {change} WHERE counted = '{table}' AND status = {status};
END
"""
SQLITE_MOVE = """
CREATE TRIGGER runs_counted_update AFTER UPDATE OF status ON runs WHEN OLD.status <> NEW.status BEGIN
    UPDATE row_counts SET total = total - 1 WHERE counted = 'runs' AND status = OLD.status;
    UPDATE row_counts SET total = total + 1 WHERE counted = 'runs' AND status = NEW.status;
END
"""
# Once a statement, whatever number of rows it touches; always in the order of the statuses, so that two transactions
# never wait for each other.
POSTGRES_FUNCTION = """
CREATE FUNCTION {table}_counted_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE moved record;
BEGIN
    FOR moved IN
        SELECT status, sum(number) AS number FROM ({changes}) AS changes
        GROUP BY status HAVING sum(number) <> 0 ORDER BY status
    LOOP
        UPDATE row_counts SET total = total + moved.number WHERE counted = '{table}' AND status = moved.status;
    END LOOP;
    RETURN NULL;
END $$
"""
POSTGRES_COME = "SELECT {status} AS status, 1 AS number FROM come"
POSTGRES_GONE = "SELECT {status} AS status, -1 AS number FROM gone"
POSTGRES_TRIGGER = """
CREATE TRIGGER {table}_counted_{event} AFTER {event} ON {table} REFERENCING {names}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_counted_{event}()
"""
POSTGRES_EMPTIED = (
    """
CREATE FUNCTION {table}_counted_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE row_counts SET total = 0 WHERE counted = '{table}';
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER {table}_counted_truncate AFTER TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_counted_truncate()
""",
)
FILL = "INSERT INTO row_counts (counted, status, total) SELECT '{table}', {status}, count(*) FROM {table}{where}"


def upgrade() -> None:
    """The triggers first: they hold back other processes until the counts are there."""
    op.create_table(
        "row_counts",
        sa.Column("counted", sa.String(50), nullable=False),
        sa.Column("status", sa.String(50), nullable=False),
        sa.Column("total", BIG, nullable=False),
        sa.PrimaryKeyConstraint("counted", "status", name=op.f("pk_row_counts")),
    )
    on_sqlite = op.get_context().dialect.name == "sqlite"
    for table, status in COUNTED.items():
        (_sqlite if on_sqlite else _postgres)(table, status)
        for value in STATUSES if status else ("",):
            where = f" WHERE status = '{value}'" if status else ""
            op.execute(FILL.format(table=table, status=f"'{value}'", where=where))


def _sqlite(table: str, status: str) -> None:
    for event, change, row in (("insert", "+ 1", "NEW"), ("delete", "- 1", "OLD")):
        shown = f"{row}.{status}" if status else "''"
        op.execute(SQLITE_ROW.format(table=table, event=event, change=change, status=shown))
    if status:
        op.execute(SQLITE_MOVE)


def _postgres(table: str, status: str) -> None:
    come, gone = (side.format(status=status or "''") for side in (POSTGRES_COME, POSTGRES_GONE))
    events = {"insert": (come, "NEW TABLE AS come"), "delete": (gone, "OLD TABLE AS gone")}
    if status:
        events["update"] = (f"{come} UNION ALL {gone}", "OLD TABLE AS gone NEW TABLE AS come")
    for event, (changes, names) in events.items():
        op.execute(POSTGRES_FUNCTION.format(table=table, event=event, changes=changes))
        op.execute(POSTGRES_TRIGGER.format(table=table, event=event, names=names))
    for statement in POSTGRES_EMPTIED:
        op.execute(statement.format(table=table))
