"""What the processes of one app have to know of each other: events that are counted, and turns that should stop."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """One table and one column more."""
    op.create_table(
        "rate_events",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_events")),
    )
    for columns in (["kind", "subject", "created_at"], ["kind", "created_at"]):
        op.create_index(op.f("ix_rate_events_" + "_".join(columns)), "rate_events", columns)
    op.add_column("chat_sessions", sa.Column("stop_asked", sa.Boolean(), nullable=False, server_default=sa.false()))
