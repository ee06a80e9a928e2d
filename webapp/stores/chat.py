"""Conversations: written in order by whoever holds their lease, and what was sent to the model in them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update

from webapp.db.database import Database
from webapp.db.models import ChatRequest, ChatSession, now
from webapp.db.statements import changed

MOST_REQUESTS = 32  # of one conversation; each repeats what the one before held
IDLE, WORKING, INTERRUPTED = "idle", "working", "interrupted"


@dataclass(frozen=True)
class SessionRow:
    """A stored conversation: ``values`` by column, and ``turn``: ``idle``, ``working`` (somebody holds the lease) or
    ``interrupted`` (whoever held it is gone)."""

    values: dict[str, Any]
    turn: str


class ChatStore:
    """Conversations by id; an id that is no UUID names none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, session_id: str, values: Mapping[str, Any], holder: str | None = None, seconds: float = 0) -> None:
        """Store a new conversation, leased at once to a ``holder``."""
        lease = _lease(holder, seconds) if holder is not None else {}
        with self._database.session() as session:
            session.add(ChatSession(id=uuid.UUID(session_id), version=0, **_columns(values), **lease))

    def get(self, session_id: str) -> SessionRow | None:
        """The conversation, None when there is none."""
        key = _key(session_id)
        if key is None:
            return None
        with self._database.session() as session:
            row = session.get(ChatSession, key)
            return None if row is None else SessionRow(_values(row), _turn(row))

    def delete(self, session_id: str) -> bool:
        """Whether there was one. A turn that is at work can then store nothing more."""
        key = _key(session_id)
        if key is None:
            return False
        with self._database.session() as session:
            session.execute(delete(ChatRequest).where(ChatRequest.session_id == key))
            return changed(session, delete(ChatSession).where(ChatSession.id == key))

    def exists(self, session_id: str) -> bool:
        """Whether there is such a conversation."""
        key = _key(session_id)
        return key is not None and bool(self._ids(ChatSession.id == key))

    # --- leases ----------------------------------------------------------------------------------------

    def take(self, session_id: str, holder: str, seconds: float) -> SessionRow | None:
        """The conversation, leased to ``holder`` for so long; None while somebody else holds it.

        ``turn`` tells how it was found: ``idle`` or ``interrupted``.
        """
        key = _key(session_id)
        if key is None:
            return None
        free = or_(ChatSession.lease_until.is_(None), ChatSession.lease_until < now())
        with self._database.session(writes=True) as session:
            before = session.get(ChatSession, key)
            found = IDLE if before is None else _turn(before)
            taken = update(ChatSession).where(ChatSession.id == key, free)
            taken = taken.values(**_lease(holder, seconds), stop_asked=False)
            if before is None or not changed(session, taken):
                return None
            session.refresh(before)
            return SessionRow(_values(before), found)

    def renew(self, session_id: str, holder: str, seconds: float) -> bool:
        """Hold on; False when the lease is somebody else's, or the conversation is gone."""
        return self._change(session_id, holder, _lease(holder, seconds))

    def release(self, session_id: str, holder: str) -> None:
        """Give the lease back."""
        self._change(session_id, holder, {"lease_holder": None, "lease_until": None, "stop_asked": False})

    def ask_to_stop(self, session_id: str) -> bool:
        """Ask whoever holds the lease to end; False when nobody does."""
        key = _key(session_id)
        if key is None:
            return False
        with self._database.session() as session:
            held = update(ChatSession).where(ChatSession.id == key, ChatSession.lease_until >= now())
            return changed(session, held.values(stop_asked=True))

    def should_stop(self, session_id: str, holder: str) -> bool:
        """Whether the holder has been asked to end, or holds nothing any more: lease lost, conversation deleted."""
        mine = select(ChatSession.stop_asked).where(ChatSession.id == uuid.UUID(session_id))
        with self._database.reading() as connection:
            asked = connection.scalar(mine.where(ChatSession.lease_holder == holder))
        return asked is None or bool(asked)

    def save(self, session_id: str, holder: str, version: int, values: Mapping[str, Any]) -> bool:
        """Store the next version; False, and nothing is stored, when another one came between or the lease is lost."""
        changes = {**_columns(values), "version": version + 1, "updated_at": now()}
        return self._change(session_id, holder, changes, ChatSession.version == version)

    def _change(self, session_id: str, holder: str, values: Mapping[str, Any], *more: Any) -> bool:
        key = uuid.UUID(session_id)
        with self._database.session() as session:
            wanted = update(ChatSession).where(ChatSession.id == key, ChatSession.lease_holder == holder, *more)
            return changed(session, wanted.values(**values))

    # --- what needs attention --------------------------------------------------------------------------

    def interrupted(self) -> list[str]:
        """Conversations whose turn was left by an app that is gone."""
        return self._ids(ChatSession.lease_until < now())

    def waiting_for(self, run_id: str) -> list[str]:
        """Conversations that wait for the end of a run."""
        return self._ids(ChatSession.run_id == run_id, ChatSession.status == "running")

    def waiting(self) -> list[tuple[str, str]]:
        """Conversations that wait for a run, with its id."""
        statement = select(ChatSession.id, ChatSession.run_id).where(ChatSession.status == "running")
        with self._database.session() as session:
            return [(str(key), run_id) for key, run_id in session.execute(statement) if run_id is not None]

    def _ids(self, *wanted: Any) -> list[str]:
        with self._database.session() as session:
            return [str(key) for key in session.scalars(select(ChatSession.id).where(*wanted))]

    # --- what was sent ---------------------------------------------------------------------------------

    def add_request(self, session_id: str, body: Mapping[str, Any]) -> None:
        """Keep what a call of the model is given; the oldest ones beyond the latest few go."""
        key = uuid.UUID(session_id)
        old = (
            select(ChatRequest.id)
            .where(ChatRequest.session_id == key)
            .order_by(ChatRequest.id.desc())
            .offset(MOST_REQUESTS)
        )
        with self._database.session(writes=True) as session:
            session.add(ChatRequest(session_id=key, body=dict(body)))
            session.flush()
            gone = [*session.scalars(old)]
            if gone:
                session.execute(delete(ChatRequest).where(ChatRequest.id.in_(gone)))

    def requests(self, session_id: str) -> list[tuple[datetime, dict[str, Any]]]:
        """Newest first."""
        newest = (
            select(ChatRequest)
            .where(ChatRequest.session_id == uuid.UUID(session_id))
            .order_by(ChatRequest.id.desc())
            .limit(MOST_REQUESTS)
        )
        with self._database.session() as session:
            return [(row.created_at, row.body) for row in session.scalars(newest)]

    def list(self, limit: int = 1000, offset: int = 0) -> list[dict[str, Any]]:
        """Newest first, without what was said."""
        names = ("id", "phase", "status", "title", "message_count", "created_at", "updated_at")
        statement = (
            select(*(getattr(ChatSession, name) for name in names))
            .order_by(ChatSession.created_at.desc(), ChatSession.id.desc())
            .limit(limit)
            .offset(offset)
        )
        with self._database.session() as session:
            return [dict(zip(names, row, strict=True)) for row in session.execute(statement)]


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "message_count": len(values["messages"])}


def _lease(holder: str, seconds: float) -> dict[str, Any]:
    return {"lease_holder": holder, "lease_until": now() + timedelta(seconds=seconds)}


def _turn(row: ChatSession) -> str:
    if row.lease_until is None:
        return IDLE
    return WORKING if row.lease_until >= now() else INTERRUPTED


def _values(row: ChatSession) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in ChatSession.__table__.columns}


def _key(session_id: str) -> uuid.UUID | None:
    try:
        key = uuid.UUID(session_id)
    except ValueError:
        return None
    return key if str(key) == session_id.lower() else None
