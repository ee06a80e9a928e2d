"""Sources, recipes, runs with their progress, the audit log, and the tables of the sample."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MONEY = sa.Numeric(18, 2).with_variant(sa.Text(), "sqlite")
COUNTS = (
    "left_record_count",
    "right_record_count",
    "matched_count",
    "unmatched_left_count",
    "unmatched_right_count",
    "matched_left_count",
    "matched_right_count",
)
SUMMARY = """
CREATE VIEW reconciliation_summary AS
SELECT
    id AS run_id, recipe_id, recipe_name, status, left_source, right_source,
    left_record_count, right_record_count, matched_count, unmatched_left_count, unmatched_right_count,
    CASE WHEN status = 'completed'
        THEN ROUND(100.0 * matched_left_count / NULLIF(left_record_count, 0), 2) END AS match_rate_pct,
    {duration} AS duration_seconds,
    started_at, completed_at, created_at
FROM runs
"""
DURATION = {
    "postgresql": "ROUND(EXTRACT(EPOCH FROM completed_at - started_at)::numeric, 3)",
    "sqlite": "ROUND((julianday(completed_at) - julianday(started_at)) * 86400.0, 3)",
}
AGING = """
CREATE VIEW invoice_aging AS
SELECT
    invoice_id, customer_name, amount, currency, due_date,
    CASE WHEN {days} > 0 THEN {days} ELSE 0 END AS days_overdue,
    CASE
        WHEN {days} <= 0 THEN 'not due'
        WHEN {days} <= 30 THEN '1-30 days'
        WHEN {days} <= 60 THEN '31-60 days'
        WHEN {days} <= 90 THEN '61-90 days'
        ELSE 'over 90 days'
    END AS age
FROM invoices
WHERE status NOT IN ('paid', 'cancelled')
"""
DAYS = {
    "postgresql": "(CURRENT_DATE - due_date)",
    "sqlite": "CAST(julianday(CURRENT_DATE) - julianday(due_date) AS INTEGER)",
}
PAYMENT_SUMMARY = """
CREATE VIEW payment_summary AS
SELECT
    currency, payment_method, COUNT(*) AS payments, SUM(paid_amount) AS paid_amount,
    MIN(payment_date) AS first_payment, MAX(payment_date) AS last_payment
FROM payments
GROUP BY currency, payment_method
"""


def upgrade() -> None:
    """From an empty database."""
    dialect = op.get_context().dialect.name
    _sources_and_recipes()
    _runs()
    _audit_log()
    op.execute(SUMMARY.format(duration=DURATION[dialect]))
    present = sa.inspect(op.get_bind()).get_table_names()  # docs/sample/seed.sql may have been run before
    if "invoices" not in present:
        _invoices()
        op.execute(AGING.format(days=DAYS[dialect]))
    if "payments" not in present:
        _payments()
        op.execute(PAYMENT_SUMMARY)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _sources_and_recipes() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alias", sa.String(255), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("source_type", sa.String(50), nullable=False),
        sa.Column("status", sa.String(50), nullable=False, server_default="connected"),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("alias", name=op.f("uq_sources_alias")),
    )
    op.create_index(op.f("ix_sources_created_at_id"), "sources", ["created_at", "id"])
    op.create_table(
        "recipes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recipe_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("match_sql", sa.Text(), nullable=False),
        sa.Column("match_description", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("sources", JSON, nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipes")),
        sa.UniqueConstraint("recipe_id", name=op.f("uq_recipes_recipe_id")),
    )
    op.create_index(op.f("ix_recipes_created_at_id"), "recipes", ["created_at", "id"])


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recipe_id", sa.String(255), nullable=False),
        sa.Column("recipe_name", sa.String(255), nullable=False),
        sa.Column("recipe_snapshot", JSON, nullable=False),
        sa.Column("status", sa.String(50), nullable=False, server_default="pending"),
        sa.Column("left_source", sa.Text(), nullable=False),
        sa.Column("right_source", sa.Text(), nullable=False),
        *(sa.Column(name, BIG, nullable=False, server_default=sa.text("0")) for name in COUNTS),
        sa.Column("output_matched", sa.Text()),
        sa.Column("output_unmatched_left", sa.Text()),
        sa.Column("output_unmatched_right", sa.Text()),
        sa.Column("warnings", JSON, nullable=False, server_default="[]"),
        sa.Column("error_message", sa.Text()),
        sa.Column("error_stage", sa.Text()),
        sa.Column("retry_of", sa.Uuid()),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("last_callback_at", sa.DateTime(timezone=True)),
        _moment("created_at"),
        _moment("updated_at"),
        sa.CheckConstraint(
            "status IN ('pending', 'submitted', 'running', 'completed', 'failed', 'cancelled')",
            name=op.f("ck_runs_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    for columns in ([], ["recipe_id"], ["status"], ["recipe_id", "status"]):
        indexed = [*columns, "created_at", "id"]
        op.create_index(op.f("ix_runs_" + "_".join(indexed)), "runs", indexed)
    op.create_table(
        "run_progress",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.String(50), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("progress", sa.Double()),
        *(sa.Column(name, BIG) for name in ("matched_count", "total_left", "total_right")),
        _moment("updated_at"),
        sa.CheckConstraint("stage IN ('staging', 'matching', 'writing_results')", name=op.f("ck_run_progress_stage")),
        sa.CheckConstraint("progress >= 0 AND progress <= 1", name=op.f("ck_run_progress_progress")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_progress_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_progress")),
    )


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        _moment("created_at"),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("actor", "action", "subject")),
        sa.Column("details", JSON),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )


def _invoices() -> None:
    op.create_table(
        "invoices",
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("customer_name", sa.Text(), nullable=False),
        sa.Column("invoice_date", sa.Date(), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=False),
        sa.Column("amount", MONEY, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("batch_ref", sa.Text()),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("pk_invoices")),
    )


def _payments() -> None:
    op.create_table(
        "payments",
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("payer_id", sa.Text()),
        sa.Column("payer_name", sa.Text(), nullable=False),
        sa.Column("payment_date", sa.Date(), nullable=False),
        sa.Column("paid_amount", MONEY, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("reference_number", sa.Text()),
        sa.Column("bank_reference", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text()),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_payments")),
    )
