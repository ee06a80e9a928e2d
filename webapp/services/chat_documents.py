"""Conversations as API and pages show them (contract 4.4), masked."""

from __future__ import annotations

from typing import Any

from webapp.agent.places import shown_uri
from webapp.agent.session import SIDES, Session
from webapp.context import Kalla
from webapp.services import utc_text
from webapp.stores.chat import IDLE, INTERRUPTED, WORKING
from webapp.stores.masking import mask_all


def driver_name(app: Kalla) -> str:
    """Who leads conversations in this installation."""
    return "claude" if app.settings.anthropic_api_key else "guided"


def model_name(app: Kalla) -> str:
    """Which model is asked where one is."""
    from webapp.agent.claude import model_of  # brings the SDK, which guided mode does not need

    return model_of(app.settings)


def document(app: Kalla, session: Session, lease: str) -> dict[str, Any]:
    """The session as the contract shows it (4.4), with what the page needs besides."""
    values = session.to_row()
    values.pop("working")
    messages = [{name: m for name, m in message.items() if name != "turn"} for message in session.messages]
    body = {
        "session_id": session.session_id,
        "id": session.session_id,
        **values,
        "messages": messages,
        "created_at": utc_text(session.created_at),
        "updated_at": utc_text(session.updated_at),
        "version": session.version,
        "driver": session.working.driver or driver_name(app),
        "turn": _state(session, lease),
        "sides": sides(app, session),
    }
    found: dict[str, Any] = mask_all(body)
    return found


def _state(session: Session, lease: str) -> str:
    if lease == WORKING:
        return WORKING
    return INTERRUPTED if session.working.turn is not None else IDLE


def sides(app: Kalla, session: Session) -> dict[str, Any]:
    """Both sources for people."""
    return {side: _side(app, session, side) for side in SIDES}


def _side(app: Kalla, session: Session, side: str) -> dict[str, Any] | None:
    place = session.place(side)
    if place is None:
        return None
    return {
        "alias": place.alias,
        "source_type": place.source_type,
        "uri": shown_uri(app, place),
        "filename": place.filename,
        "columns": place.columns,
        "total_rows": place.total_rows,
        "shown": len(session.sample(side) or []),
        "personal": place.personal,
        "masked": session.masked_columns(side),
    }
