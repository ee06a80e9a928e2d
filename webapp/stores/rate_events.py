"""Events that count for a while, such as a wrong token from an address: seen by every process of the app."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select

from webapp.db.database import Database
from webapp.db.models import RateEvent


class RateEvents:
    """Moments by kind and subject. What is older than the caller's window goes when the next one comes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, subject: str, moment: datetime, forget_until: datetime) -> None:
        """Store one; all of this kind up to ``forget_until`` are forgotten."""
        with self._database.session(writes=True) as session:
            session.execute(delete(RateEvent).where(RateEvent.kind == kind, RateEvent.created_at <= forget_until))
            session.add(RateEvent(kind=kind, subject=subject, created_at=moment))

    def latest(self, kind: str, subject: str, after: datetime, most: int) -> list[datetime]:
        """The newest ``most`` moments later than ``after``, newest first."""
        wanted = (
            select(RateEvent.created_at)
            .where(RateEvent.kind == kind, RateEvent.subject == subject, RateEvent.created_at > after)
            .order_by(RateEvent.created_at.desc())
            .limit(most)
        )
        with self._database.reading() as connection:
            return list(connection.scalars(wanted))

    def forget(self, kind: str, subject: str) -> None:
        """Start over for a subject."""
        with self._database.session() as session:
            session.execute(delete(RateEvent).where(RateEvent.kind == kind, RateEvent.subject == subject))
