"""The audit log: who changed what, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from recipe import mask_text
from webapp.db.database import Database
from webapp.db.models import AuditEntry
from webapp.stores.masking import mask_all
from webapp.stores.vault import Vault


@dataclass(frozen=True)
class AuditRecord:
    """One entry. ``details`` are masked."""

    actor: str
    action: str
    subject: str
    details: dict[str, Any] | None
    created_at: datetime


class AuditStore:
    """Entries are only ever added."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database

    def record(self, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> None:
        """Add an entry; addresses in any of its texts are masked."""
        entry = AuditEntry(
            actor=mask_text(actor),
            action=action,
            subject=mask_text(subject),
            details=None if details is None else mask_all(dict(details)),
        )
        with self._database.session() as session:
            session.add(entry)

    def list(self, limit: int = 1000, offset: int = 0) -> list[AuditRecord]:
        """Newest first."""
        newest = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit).offset(offset)
        with self._database.session() as session:
            return [
                AuditRecord(row.actor, row.action, row.subject, row.details, row.created_at)
                for row in session.scalars(newest)
            ]
