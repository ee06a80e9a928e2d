"""Conversations, and what was sent to the model in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FOUND = (
    *("sources_list", "schema_left", "schema_right", "scope_left", "scope_right", "sample_left", "sample_right"),
    "recipe_draft",
)
PAIRS = ("confirmed_pairs", "rejected_pairs", "unsure_pairs", "messages")


def upgrade() -> None:
    """Two tables more."""
    op.create_table(
        "chat_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(50), nullable=False, server_default="active"),
        sa.Column("phase", sa.String(50), nullable=False, server_default="greeting"),
        *(sa.Column(f"{side}_source_alias", sa.Text()) for side in ("left", "right")),
        *(sa.Column(name, JSON) for name in FOUND),
        *(sa.Column(name, JSON, nullable=False, server_default="[]") for name in PAIRS),
        sa.Column("run_id", sa.String(36)),
        sa.Column("title", sa.Text()),
        sa.Column("validation_approved", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("message_count", BIG, nullable=False, server_default=sa.text("0")),
        sa.Column("working", JSON, nullable=False),
        sa.Column("version", BIG, nullable=False, server_default=sa.text("0")),
        sa.Column("lease_holder", sa.Text()),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        _moment("created_at"),
        _moment("updated_at"),
        sa.CheckConstraint(
            "status IN ('active', 'recipe_ready', 'running', 'completed')", name=op.f("ck_chat_sessions_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_sessions")),
    )
    for columns in (["created_at", "id"], ["status"], ["run_id"], ["lease_until"]):
        op.create_index(op.f("ix_chat_sessions_" + "_".join(columns)), "chat_sessions", columns)
    op.create_table(
        "chat_requests",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        _moment("created_at"),
        sa.Column("body", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_requests")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["chat_sessions.id"], name=op.f("fk_chat_requests_session_id"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_chat_requests_session_id_id"), "chat_requests", ["session_id", "id"])


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
