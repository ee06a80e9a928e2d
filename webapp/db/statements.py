"""Statements that SQLAlchemy spells differently for the two databases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Executable, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from webapp.db.models import Base

Insert = postgresql.Insert | sqlite.Insert


def insert_or_update(
    session: Session,
    model: type[Base],
    values: Mapping[str, Any],
    key: str,
    changes: Callable[[Insert], Mapping[str, Any]],
    condition: Callable[[Insert], ColumnElement[bool]] | None = None,
) -> bool:
    """Insert ``values``, or, where the row of that ``key`` is there, make ``changes`` to it; in one statement.

    ``changes`` and ``condition`` get the statement, whose ``excluded`` holds the values that met a row.
    Returns whether a row was written: an existing one that fails the ``condition`` stays as it is.
    """
    for_postgres = session.get_bind().dialect.name == "postgresql"
    statement: Insert = postgresql.insert(model) if for_postgres else sqlite.insert(model)
    statement = statement.values(**values)
    where = condition(statement) if condition is not None else None
    return changed(session, statement.on_conflict_do_update(index_elements=[key], set_=changes(statement), where=where))


def changed(session: Session, statement: Executable) -> bool:
    """Execute, and say whether a row was touched."""
    result = session.execute(statement)
    assert isinstance(result, CursorResult), "only INSERT, UPDATE and DELETE come here"
    return bool(result.rowcount > 0)


def one_at_a_time(session: Session, name: str) -> None:
    """Hold others that ask for the same name until this transaction ends. SQLite has one writer at a time anyway: the
    session has to be one that ``writes``."""
    if session.get_bind().dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
