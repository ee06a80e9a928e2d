"""Events that count for a while, such as a wrong token from an address: seen by every process of the app."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from webapp.db.database import Database
from webapp.db.models import RateEvent
from webapp.db.statements import one_at_a_time


class RateEvents:
    """Moments by kind and subject. What is older than the caller's window goes when the next one comes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, subject: str, moment: datetime, window: timedelta) -> None:
        """Store one; all of this kind that are older than the window are forgotten."""
        with self._database.session(writes=True) as session:
            _forget_old(session, kind, moment - window)
            session.add(RateEvent(kind=kind, subject=subject, created_at=moment))

    def take(self, kind: str, subject: str, moment: datetime, window: timedelta, most: int) -> datetime | None:
        """Store one unless ``most`` stand in the window, whoever else asks at the same time: the oldest of these
        then."""
        with self._database.session(writes=True) as session:
            one_at_a_time(session, f"{kind}\0{subject}")
            _forget_old(session, kind, moment - window)
            found = list(session.scalars(_latest(kind, subject, moment, window, most)))
            if len(found) >= most:
                return found[-1]
            session.add(RateEvent(kind=kind, subject=subject, created_at=moment))
            return None

    def latest(self, kind: str, subject: str, moment: datetime, window: timedelta, most: int) -> list[datetime]:
        """The newest ``most`` in the window, newest first."""
        with self._database.reading() as connection:
            return list(connection.scalars(_latest(kind, subject, moment, window, most)))

    def forget(self, kind: str, subject: str) -> None:
        """Start over for a subject."""
        with self._database.session() as session:
            session.execute(delete(RateEvent).where(RateEvent.kind == kind, RateEvent.subject == subject))


def _forget_old(session: Session, kind: str, until: datetime) -> None:
    session.execute(delete(RateEvent).where(RateEvent.kind == kind, RateEvent.created_at <= until))


def _latest(kind: str, subject: str, moment: datetime, window: timedelta, most: int) -> Select[datetime]:
    """Later than now by a window only if the clock was set back since: such ones do not count."""
    near = RateEvent.created_at > moment - window, RateEvent.created_at <= moment + window
    mine = RateEvent.kind == kind, RateEvent.subject == subject
    return select(RateEvent.created_at).where(*mine, *near).order_by(RateEvent.created_at.desc()).limit(most)
