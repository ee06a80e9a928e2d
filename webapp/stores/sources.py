"""Registered sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, select, update

from webapp.db.database import Database
from webapp.db.models import Source, now
from webapp.db.statements import changed, insert_or_update
from webapp.stores.counts import counts
from webapp.stores.vault import Vault

_COLUMNS = [Source.__table__.c[n] for n in ("alias", "uri", "source_type", "status", "created_at", "updated_at")]
_ONE = select(*_COLUMNS).where(Source.__table__.c.alias == bindparam("alias"))
_NEWEST = (
    select(*_COLUMNS)
    .order_by(Source.__table__.c.created_at.desc(), Source.__table__.c.id.desc())
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)


@dataclass(frozen=True)
class SourceRecord:
    """A registered source. ``uri`` is plain, with its password, unless it was asked for ``masked``."""

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
        with self._database.reading() as connection:
            row = connection.execute(_ONE, {"alias": alias}).one_or_none()
        return None if row is None else _record(row, self._vault.open)

    def put(self, alias: str, uri: str, source_type: str, status: str = "connected") -> None:
        """Insert the source, or replace what is stored under its alias."""
        moment = now()
        given = {
            "uri": self._vault.seal(uri),
            "source_type": source_type,
            "status": status,
            "updated_at": moment,
        }
        values = {"alias": alias, "created_at": moment, **given}
        with self._database.session() as session:
            insert_or_update(session, Source, values, "alias", lambda _: given)

    def seal(self, uri: str) -> str:
        """An address as it may wait in a form, encrypted as in the database."""
        return self._vault.seal(uri)

    def unseal(self, text: str) -> str:
        """The address that ``seal`` encrypted. Raises ServiceError ``internal.secret_key`` for any other text that
        claims to be one."""
        return self._vault.open(text)

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
        return counts(self._database).sources

    def list(self, limit: int = 1000, offset: int = 0, *, masked: bool = False) -> list[SourceRecord]:
        """Newest first. ``masked`` addresses are quicker to have, and may be shown."""
        read = self._vault.masked if masked else self._vault.open
        with self._database.reading() as connection:
            return [_record(row, read) for row in connection.execute(_NEWEST, {"limit": limit, "offset": offset})]


def _record(row: Row[*tuple[Any, ...]], read: Callable[[str], str]) -> SourceRecord:
    return SourceRecord(row[0], read(row[1]), *row[2:])
