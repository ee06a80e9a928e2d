"""The tables of the app database. ``webapp/db/migrations`` builds the same ones; a test holds the two together."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Date,
    Double,
    ForeignKey,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from webapp.db.types import BigKey, ExactJson, ExactNumber, PlainText, ShortText, UtcDateTime

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
STATUSES = ("pending", "submitted", "running", "completed", "failed", "cancelled")
SESSION_STATUSES = ("active", "recipe_ready", "running", "completed")
STAGES = ("staging", "matching", "writing_results")
VERSION_TABLE = "kalla_schema"


def now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


class Base(DeclarativeBase):
    """All tables share one MetaData with fixed names for keys and indexes."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it as a plain attribute
        datetime: UtcDateTime(),
        str: PlainText(),
        uuid.UUID: Uuid(),
        dict[str, Any]: ExactJson,
        list[Any]: ExactJson,
    }


class Times:
    """``created_at`` and ``updated_at``; the defaults of the server serve rows that people insert by hand."""

    created_at: Mapped[datetime] = mapped_column(default=now, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(default=now, server_default=func.now())


class Source(Times, Base):
    """A registered source. ``uri`` is sealed by the vault."""

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("alias"), Index(None, "created_at", "id"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    alias: Mapped[str] = mapped_column(ShortText(255))
    uri: Mapped[str]
    source_type: Mapped[str] = mapped_column(ShortText(50))
    status: Mapped[str] = mapped_column(ShortText(50), server_default="connected")


class Recipe(Times, Base):
    """A stored recipe. The addresses inside ``sources`` are sealed by the vault."""

    __tablename__ = "recipes"
    __table_args__ = (UniqueConstraint("recipe_id"), Index(None, "created_at", "id"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    recipe_id: Mapped[str] = mapped_column(ShortText(255))
    name: Mapped[str] = mapped_column(ShortText(255))
    description: Mapped[str] = mapped_column(server_default=text("''"))
    match_sql: Mapped[str]
    match_description: Mapped[str] = mapped_column(server_default=text("''"))
    sources: Mapped[dict[str, Any]]


class Run(Times, Base):
    """One run. ``recipe_id`` has no foreign key: inline and deleted recipes keep their runs."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(_one_of("status", STATUSES), name="status"),
        # Each list, newest first, is one walk along an index, whatever it is filtered by.
        Index(None, "created_at", "id"),
        Index(None, "recipe_id", "created_at", "id"),
        Index(None, "status", "created_at", "id"),
        Index(None, "recipe_id", "status", "created_at", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    recipe_id: Mapped[str] = mapped_column(ShortText(255))
    recipe_name: Mapped[str] = mapped_column(ShortText(255))
    recipe_snapshot: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(ShortText(50), server_default="pending")
    left_source: Mapped[str]
    right_source: Mapped[str]
    left_record_count: Mapped[int] = mapped_column(BigKey, server_default=text("0"))
    right_record_count: Mapped[int] = mapped_column(BigKey, server_default=text("0"))
    matched_count: Mapped[int] = mapped_column(BigKey, server_default=text("0"))
    unmatched_left_count: Mapped[int] = mapped_column(BigKey, server_default=text("0"))
    unmatched_right_count: Mapped[int] = mapped_column(BigKey, server_default=text("0"))
    matched_left_count: Mapped[int] = mapped_column(BigKey, server_default=text("0"))
    matched_right_count: Mapped[int] = mapped_column(BigKey, server_default=text("0"))
    output_matched: Mapped[str | None]
    output_unmatched_left: Mapped[str | None]
    output_unmatched_right: Mapped[str | None]
    warnings: Mapped[list[Any]] = mapped_column(server_default="[]")
    error_message: Mapped[str | None]
    error_stage: Mapped[str | None]
    retry_of: Mapped[uuid.UUID | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    last_callback_at: Mapped[datetime | None]


class RunProgress(Base):
    """The latest report of a run that is at work."""

    __tablename__ = "run_progress"
    __table_args__ = (
        CheckConstraint(_one_of("stage", STAGES), name="stage"),
        CheckConstraint("progress >= 0 AND progress <= 1", name="progress"),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(ShortText(50))
    source: Mapped[str | None]
    progress: Mapped[float | None] = mapped_column(Double)
    matched_count: Mapped[int | None] = mapped_column(BigKey)
    total_left: Mapped[int | None] = mapped_column(BigKey)
    total_right: Mapped[int | None] = mapped_column(BigKey)
    waiting: Mapped[bool] = mapped_column(default=False, server_default=false())
    updated_at: Mapped[datetime] = mapped_column(default=now, server_default=func.now())


class RowCount(Base):
    """How many rows a table holds, kept by triggers in the transaction that adds, changes or takes away a row.

    ``status`` tells runs apart by theirs; it is empty for sources and recipes. Counting 100,000 runs anew takes longer
    than drawing the page that shows their number.
    """

    __tablename__ = "row_counts"

    counted: Mapped[str] = mapped_column(ShortText(50), primary_key=True)
    status: Mapped[str] = mapped_column(ShortText(50), primary_key=True)
    total: Mapped[int] = mapped_column(BigKey)


class ChatSession(Times, Base):
    """One conversation: the fields of contract 4.4, and ``working``, which only the engine reads. No secrets are in it.

    ``version`` counts the writes, so that none overtakes another. ``lease_until`` is set while a turn is at work; a
    turn whose lease ran out was left by an app that is gone. ``stop_asked`` is for whoever holds the lease.
    """

    __tablename__ = "chat_sessions"
    __table_args__ = (
        CheckConstraint(_one_of("status", SESSION_STATUSES), name="status"),
        Index(None, "created_at", "id"),
        Index(None, "status"),
        Index(None, "run_id"),
        Index(None, "lease_until"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(ShortText(50), server_default="active")
    phase: Mapped[str] = mapped_column(ShortText(50), server_default="greeting")
    left_source_alias: Mapped[str | None]
    right_source_alias: Mapped[str | None]
    sources_list: Mapped[list[Any] | None]
    schema_left: Mapped[list[Any] | None]
    schema_right: Mapped[list[Any] | None]
    scope_left: Mapped[list[Any] | None]
    scope_right: Mapped[list[Any] | None]
    sample_left: Mapped[list[Any] | None]
    sample_right: Mapped[list[Any] | None]
    confirmed_pairs: Mapped[list[Any]] = mapped_column(server_default="[]")
    rejected_pairs: Mapped[list[Any]] = mapped_column(server_default="[]")
    unsure_pairs: Mapped[list[Any]] = mapped_column(server_default="[]")
    recipe_draft: Mapped[dict[str, Any] | None]
    run_id: Mapped[str | None] = mapped_column(ShortText(36))
    title: Mapped[str | None]
    validation_approved: Mapped[bool] = mapped_column(Boolean, server_default=false())
    messages: Mapped[list[Any]] = mapped_column(server_default="[]")
    message_count: Mapped[int] = mapped_column(BigKey, server_default=text("0"))
    working: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(BigKey, server_default=text("0"))
    lease_holder: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    stop_asked: Mapped[bool] = mapped_column(Boolean, server_default=false())


class ChatRequest(Base):
    """What one call of the model was given, exactly as sent. Only the latest ones of a conversation are kept."""

    __tablename__ = "chat_requests"
    __table_args__ = (Index(None, "session_id", "id"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("chat_sessions.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(default=now, server_default=func.now())
    body: Mapped[dict[str, Any]]


class RateEvent(Base):
    """Something that is counted for a while: a wrong token from an address, a message, a session that was ended."""

    __tablename__ = "rate_events"
    __table_args__ = (Index(None, "kind", "subject", "created_at"), Index(None, "kind", "created_at"))

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    kind: Mapped[str]
    subject: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now, server_default=func.now())


class AuditEntry(Base):
    """Who changed what, and when. Secrets are masked before they get here."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    created_at: Mapped[datetime] = mapped_column(default=now, server_default=func.now())
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    details: Mapped[dict[str, Any] | None] = mapped_column(ExactJson)


class Invoice(Base):
    """Sample data: the left side of the demonstration, as in docs/sample."""

    __tablename__ = "invoices"

    invoice_id: Mapped[str] = mapped_column(Text, primary_key=True)
    customer_id: Mapped[str] = mapped_column(Text)
    customer_name: Mapped[str] = mapped_column(Text)
    invoice_date: Mapped[date] = mapped_column(Date)
    due_date: Mapped[date] = mapped_column(Date)
    amount: Mapped[Decimal] = mapped_column(ExactNumber)
    currency: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    batch_ref: Mapped[str | None] = mapped_column(Text)


class Payment(Base):
    """Sample data: the right side of the demonstration, as in docs/sample."""

    __tablename__ = "payments"

    payment_id: Mapped[str] = mapped_column(Text, primary_key=True)
    payer_id: Mapped[str | None] = mapped_column(Text)
    payer_name: Mapped[str] = mapped_column(Text)
    payment_date: Mapped[date] = mapped_column(Date)
    paid_amount: Mapped[Decimal] = mapped_column(ExactNumber)
    currency: Mapped[str] = mapped_column(Text)
    payment_method: Mapped[str] = mapped_column(Text)
    reference_number: Mapped[str | None] = mapped_column(Text)
    bank_reference: Mapped[str] = mapped_column(Text)
    notes: Mapped[str | None] = mapped_column(Text)


SAMPLE_TABLES = frozenset({"invoices", "payments", "invoice_aging", "payment_summary"})
OWN_TABLES = (frozenset(Base.metadata.tables) | {VERSION_TABLE, "reconciliation_summary"}) - SAMPLE_TABLES
