"""What the app does. Functions take the app's parts first, give bodies as the contract has them, raise KallaError."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from recipe import Problem
from webapp.context import Kalla
from webapp.errors import ServiceError

# Who acts: "local", "session", "token", or "system" outside of requests. The web layer sets it.
ACTOR: ContextVar[str] = ContextVar("kalla_actor", default="system")


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC with ``Z``, as every answer writes times.

    >>> utc_text(datetime(2026, 1, 5, 9, 30, tzinfo=UTC))
    '2026-01-05T09:30:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def note(app: Kalla, action: str, subject: str, **details: object) -> None:
    """Write into the audit log who did what."""
    app.audit.record(ACTOR.get(), action, subject, details or None)


def texts(body: Mapping[str, Any], *names: str, filled: bool = True) -> list[str]:
    """Members of a body that must be texts; ``filled`` also asks that they hold something, and no NUL.

    Raises ServiceError ``request.invalid_body`` with all that are wrong.
    """
    wrong = []
    for name in names:
        value = body.get(name)
        if value is None:
            wrong.append((name, "is missing"))
        elif not isinstance(value, str):
            wrong.append((name, "must be text"))
        elif filled and not value:
            wrong.append((name, "must not be empty"))
        elif filled and "\x00" in value:
            wrong.append((name, "must not contain a NUL character"))
    if wrong:
        raise invalid_body(*wrong)
    return [body[name] for name in names]


def invalid_body(*wrong: tuple[str, str]) -> ServiceError:
    """The error of members that break their rule; each is a path and what completes "<path> ..."."""
    problems = [Problem(path, rule, "request.invalid_body") for path, rule in wrong]
    sentence = "; ".join(f"{p.path} {p.message}" for p in problems)
    return ServiceError(f"The body cannot be used: {sentence}.", code="request.invalid_body", details=problems)
