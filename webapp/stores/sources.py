"""Registered sources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update

from webapp.db.database import Database
from webapp.db.models import Source, now
from webapp.db.statements import changed, insert_or_update
from webapp.stores.vault import Vault


@dataclass(frozen=True)
class SourceRecord:
    """A registered source. ``uri`` is plain, with its password: mask it before it leaves the service."""

    alias: str
    uri: str
    source_type: str
    status: str
    created_at: datetime
    updated_at: datetime

    def __repr__(self) -> str:
        return f"SourceRecord(alias={self.alias!r}, source_type={self.source_type!r}, status={self.status!r})"


class SourceStore:
    """Sources by alias; their addresses are sealed in the database."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def get(self, alias: str) -> SourceRecord | None:
        """The source of that alias, None when there is none."""
        with self._database.session() as session:
            row = session.scalar(select(Source).where(Source.alias == alias))
        return None if row is None else self._record(row)

    def put(self, alias: str, uri: str, source_type: str, status: str = "connected") -> None:
        """Insert the source, or replace what is stored under its alias."""
        moment = now()
        given = {"uri": self._vault.seal(uri), "source_type": source_type, "status": status, "updated_at": moment}
        values = {"alias": alias, "created_at": moment, **given}
        with self._database.session() as session:
            insert_or_update(session, Source, values, "alias", lambda _: given)

    def set_status(self, alias: str, status: str) -> None:
        """Note how the source was found; nothing happens for an unknown alias."""
        with self._database.session() as session:
            session.execute(update(Source).where(Source.alias == alias).values(status=status, updated_at=now()))

    def delete(self, alias: str) -> bool:
        """Whether there was one."""
        with self._database.session() as session:
            return changed(session, delete(Source).where(Source.alias == alias))

    def count(self) -> int:
        """How many there are."""
        with self._database.session() as session:
            return session.scalar(select(func.count()).select_from(Source)) or 0

    def list(self, limit: int = 1000, offset: int = 0) -> list[SourceRecord]:
        """Newest first."""
        newest = select(Source).order_by(Source.created_at.desc(), Source.id.desc()).limit(limit).offset(offset)
        with self._database.session() as session:
            return [self._record(row) for row in session.scalars(newest)]

    def _record(self, row: Source) -> SourceRecord:
        return SourceRecord(
            alias=row.alias,
            uri=self._vault.open(row.uri),
            source_type=row.source_type,
            status=row.status,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
