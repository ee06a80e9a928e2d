"""Conversations for API and pages (contract 2.6): one turn at a time, by whoever holds the session's lease.

A turn runs to its end whoever listens. An app that is killed leaves a lease that runs out; the turn is then gone on
with, by the next request that asks for it or by the sweeper.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from recipe import KallaError, write_json
from webapp.agent.cards import Card
from webapp.agent.compact import compact
from webapp.agent.driver import Driver
from webapp.agent.entries import EVENTS, Called, Noted, Result, RunEnded
from webapp.agent.events import Said, apply, read_said
from webapp.agent.history import LOST
from webapp.agent.orchestrator import Emit, Turn
from webapp.agent.session import SIDES, Session
from webapp.agent.tools_runs import final_card, finish_progress
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.services import invalid_body, note, texts, utc_text
from webapp.services.chat_documents import document, driver_name, sides
from webapp.services.chat_lease import Held, found_row, hold, hold_new, unknown_session
from webapp.stores.chat import WORKING
from webapp.stores.masking import mask_all
from webapp.stores.runs import FINAL

log = logging.getLogger(__name__)

MOST_TURNS = 12  # each holds a thread of the server, or one beside it
MOST_MESSAGES = 1000
MOST_CHARACTERS = 3_000_000  # of all messages: a session has to fit into its row
MOST_ENTRIES = 1500
MOST_RESUMES = 3
_TURNS = threading.BoundedSemaphore(MOST_TURNS)


def _silent(event: str, data: dict[str, Any]) -> None:
    """For turns that nobody listens to."""


# --- reading -------------------------------------------------------------------------------------------


def create(app: Kalla) -> dict[str, Any]:
    """A new conversation, stored."""
    session = Session(str(uuid.uuid4()))
    app.chats.insert(session.session_id, session.to_row())
    note(app, "chat.create", session.session_id)
    return get(app, session.session_id)


def list_sessions(app: Kalla, limit: int = 1000, offset: int = 0) -> list[dict[str, Any]]:
    """Newest first."""
    return [
        {
            "session_id": str(row["id"]),
            **{name: row[name] for name in ("phase", "status", "title", "message_count")},
            **{name: utc_text(row[name]) for name in ("created_at", "updated_at")},
        }
        for row in app.chats.list(limit, offset)
    ]


def get(app: Kalla, session_id: str) -> dict[str, Any]:
    """The whole session, masked. A run that has ended meanwhile is taken note of first; the agent then speaks about it
    beside this request. Raises ServiceError ``chat.session_not_found``."""
    row = found_row(app, session_id)
    if row.values["status"] == "running" and follow(app, session_id):
        row = found_row(app, session_id)
    return document(app, Session.from_row(row.values), row.turn)


def sent(app: Kalla, session_id: str) -> list[dict[str, Any]]:
    """What went to the model, exactly, newest first. Raises ServiceError ``chat.session_not_found``."""
    found_row(app, session_id)
    return [{"at": utc_text(moment), **body} for moment, body in app.chats.requests(session_id)]


# --- changing outside of turns -------------------------------------------------------------------------


def delete(app: Kalla, session_id: str) -> dict[str, Any]:
    """Forget a conversation; a turn at work in it stops. Raises ServiceError ``chat.session_not_found``."""
    if not app.chats.delete(session_id):
        raise unknown_session()
    note(app, "chat.delete", session_id)
    return {"success": True, "message": "Conversation deleted"}


def stop(app: Kalla, session_id: str) -> dict[str, Any]:
    """Ask the turn at work to end. Raises ServiceError ``chat.session_not_found``."""
    found_row(app, session_id)
    is_there = app.chats.ask_to_stop(session_id)
    return {"success": True, "message": "The turn ends" if is_there else "No turn is in progress"}


def reset(app: Kalla, session_id: str) -> dict[str, Any]:
    """Start over under the same id. Raises ServiceError ``chat.session_not_found``, ``chat.busy``."""
    with hold(app, session_id) as held:
        fresh = Session(held.session.session_id, version=held.session.version, created_at=held.session.created_at)
        words = "We start over. What was found before is forgotten; recipes and runs stay."
        text = {"type": "text", "content": words}
        fresh.messages = [{"role": "agent", "segments": [text], "timestamp": utc_text(datetime.now(UTC))}]
        fresh.log(Noted(words))
        held.session = fresh
        held.save()
    note(app, "chat.reset", session_id)
    return get(app, session_id)


def set_privacy(app: Kalla, session_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Show or mask one column for the model: ``{side, column, show}``; ``{sides}`` as they are then.

    Raises ServiceError ``request.invalid_body``, ``chat.session_not_found``, ``chat.busy``.
    """
    side, column = texts(body, "side", "column")
    show = body.get("show")
    if side not in SIDES:
        raise invalid_body(("side", "must be left or right"))
    if not isinstance(show, bool):
        raise invalid_body(("show", "must be true or false"))
    with hold(app, session_id) as held:
        place = held.session.place(side)
        if place is None or column not in place.column_names:
            raise invalid_body(("column", f"is none of the {side} source's columns"))
        shown = [name for name in held.session.working.unmasked[side] if name != column]
        held.session.working.unmasked[side] = [*shown, column] if show else shown
        if column not in place.personal:
            place.personal.append(column)  # a person knows better than the profile what is personal
        held.save()
        answer = sides(app, held.session)
    note(app, "chat.privacy", session_id, side=side, column=column, show=show)
    return {"sides": answer}


# --- turns ---------------------------------------------------------------------------------------------


def driver_for(app: Kalla) -> Driver:
    """The model when there is a key, else the guided mode."""
    if app.settings.anthropic_api_key:
        from webapp.agent.claude import ClaudeDriver  # brings the SDK, which guided mode does not need

        return ClaudeDriver(app.settings, app.chats.add_request)
    from webapp.agent.guided import GuidedDriver

    return GuidedDriver(app)


@dataclass
class Prepared:
    """A turn that has begun and is stored; ``run`` does it. Nothing else happens to the session until then."""

    held: Held
    turn: Turn | None  # None: there is nothing to do

    def run(self, emit: Emit = _silent) -> dict[str, Any]:
        """Work to the end; the response of contract 2.6. Raises what an unforeseen fault raises."""
        try:
            if self.turn is not None:
                self.turn.emit = emit
                self.turn.run()
            return _response(self.held, self.turn)
        finally:
            self.held.close()
            _TURNS.release()
            _follow_up(self.held)


def _follow_up(held: Held) -> None:
    """A run that was quicker than the turn which started it."""
    if held.session.status == "running":
        try:
            follow(held.app, held.session.session_id)
        except KallaError as error:
            log.warning("conversation %s does not follow its run yet: %s", held.session.session_id, error.code)


def _response(held: Held, turn: Turn | None) -> dict[str, Any]:
    session = held.session
    message = {"role": "agent", "segments": [], "timestamp": utc_text(datetime.now(UTC))}
    if turn is not None:
        message = {name: value for name, value in turn.message.items() if name != "turn"}
    body: dict[str, Any] = mask_all(
        {
            "session_id": session.session_id,
            "phase": session.phase,
            "status": session.status,
            "message": message,
            "recipe_draft": session.recipe_draft,
            "version": session.version,
            "driver": session.working.driver or driver_name(held.app),
        }
    )
    return body


def turn(app: Kalla, body: Mapping[str, Any], emit: Emit = _silent) -> dict[str, Any]:
    """One turn: what the person sent, and the agent's answer. Raises as ``begin``."""
    return begin(app, body).run(emit)


def begin(app: Kalla, body: Mapping[str, Any]) -> Prepared:
    """Check and store what the person sent; the turn is then ready to run.

    Raises ServiceError ``request.invalid_body``, ``chat.*``, ``upload.*``; then nothing has changed.
    """
    session_id = body.get("session_id")
    if session_id is not None and not isinstance(session_id, str):
        raise invalid_body(("session_id", "must be text"))
    if body.get("resume") not in (None, False):
        return _resume_asked(app, session_id, body)
    said = read_said(app, body)
    if session_id is None and said.card_response is not None:
        raise ServiceError("A new conversation has no cards.", code="chat.unknown_card")
    with _place():
        held = _new(app) if session_id is None else hold(app, session_id)
        return _prepared(held, lambda: _take_in(held, said))


def _take_in(held: Held, said: Said) -> list[Card]:
    session = held.session
    _refuse_full(session)
    answered = {entry.call_id for entry in session.working.entries if isinstance(entry, Result)}
    lost = [e for e in session.working.entries if isinstance(e, Called) and e.id not in answered]
    apply(held.app, session, said, utc_text(datetime.now(UTC)))
    for entry in lost:  # a turn that was left is given up when the person goes on
        place = session.working.entries.index(entry) + 1
        session.working.entries.insert(place, Result(entry.id, entry.name, error=LOST))
    session.working.turn = None
    _prune(session)
    return []


def _refuse_full(session: Session) -> None:
    is_full = len(session.messages) >= MOST_MESSAGES or len(write_json(session.messages)) > MOST_CHARACTERS
    if is_full:
        raise ServiceError(
            "This conversation is full.", code="chat.session_full", hint="Start a new one; its recipe and run stay."
        )


def _prune(session: Session) -> None:
    """Forget the oldest turns of a long history; what they found is in the session's own fields."""
    entries = session.working.entries
    if len(entries) <= MOST_ENTRIES:
        return
    begins = [n for n, entry in enumerate(entries) if isinstance(entry, EVENTS) and n >= len(entries) - MOST_ENTRIES]
    session.working.entries = entries[begins[0] :] if begins else entries[-MOST_ENTRIES:]


class _place:
    """One of the places for turns; it is given back here only when the turn does not come about."""

    def __enter__(self) -> None:
        if not _TURNS.acquire(blocking=False):
            raise ServiceError(
                "Too many conversations are at work at this moment.",
                code="chat.too_many_turns",
                hint="Try again in a moment.",
                headers={"Retry-After": "5"},
            )

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            _TURNS.release()


def _new(app: Kalla) -> Held:
    """A new conversation that this request holds."""
    held = hold_new(app)
    note(app, "chat.create", held.session.session_id)
    return held


def _prepared(held: Held, take_in: Callable[[], Sequence[Card]]) -> Prepared:
    """Let the session know what has happened, and open the turn. Gives the lease back when that fails."""
    try:
        cards = take_in()
        driver = driver_for(held.app)
        held.session.working.driver = driver.name
        made = Turn(held.app, held.session, driver, held.save, _silent, held.stopping.is_set)
        made.open(cards)
    except BaseException:
        held.close()
        raise
    held.keep()
    return Prepared(held, made)


def _resume_asked(app: Kalla, session_id: str | None, body: Mapping[str, Any]) -> Prepared:
    if session_id is None or body.get("resume") is not True:
        raise invalid_body(("resume", "must be true, with a session_id alone"))
    if any(body.get(name) for name in ("message", "card_response", "files")):
        raise invalid_body(("resume", "must come with a session_id alone"))
    with _place():
        held = hold(app, session_id)
        return _resumed(held) or Prepared(held, None)


def _resumed(held: Held) -> Prepared | None:
    """The turn that was left, or the one that is owed when the run has ended; None when there is neither."""
    if held.session.working.turn is not None:
        return _prepared(held, lambda: _again(held.session))
    ended = _ended_run(held)
    return None if ended is None else _prepared(held, lambda: _run_ended(held, ended))


def _again(session: Session) -> list[Card]:
    state = session.working.turn
    assert state is not None, "there is a turn to go on with"
    state.resumed += 1
    if state.resumed > MOST_RESUMES:
        # It has brought the app down again and again: its steps count as used up, and the turn ends with a word.
        state.steps = 1_000_000
    return []


# --- runs ----------------------------------------------------------------------------------------------


def run_ended(app: Kalla, run_id: str) -> None:
    """A run has reached its final status: the conversations that wait for it go on."""
    for session_id in app.chats.waiting_for(run_id):
        follow(app, session_id)


def follow(app: Kalla, session_id: str) -> bool:
    """Take note of the end of a session's run; the agent then sums it up on a thread of its own.

    Returns whether the session has changed. Nothing happens while it is at work, or its run is.
    """
    row = app.chats.get(session_id)
    if row is None or row.turn == WORKING or row.values["status"] != "running":
        return False
    try:
        with _place():
            held = hold(app, session_id)
            ended = _ended_run(held)
            prepared = None if ended is None else _prepared(held, lambda: _run_ended(held, ended))
    except ServiceError as error:
        if error.code in ("chat.busy", "chat.too_many_turns", "chat.session_not_found"):
            return False
        raise
    if prepared is None:
        held.close()
        _TURNS.release()
        return False
    beside(prepared.run)
    return True


def beside(run: Callable[[], Any]) -> threading.Thread:
    """Do the work of a turn on a thread of its own, as the same actor."""
    context = contextvars.copy_context()

    def work() -> None:
        try:
            context.run(run)
        except Exception:
            # Nobody waits for this turn; it is kept as interrupted and can be gone on with.
            log.exception("a turn failed")

    thread = threading.Thread(target=work, name="kalla-chat-turn", daemon=True)
    thread.start()
    return thread


def _ended_run(held: Held) -> str | None:
    """The run that this session waits for, once it is final."""
    session = held.session
    if session.status != "running" or session.run_id is None:
        return None
    run = held.app.runs.get(session.run_id)
    return session.run_id if run is None or run.status in FINAL else None


def _run_ended(held: Held, run_id: str) -> list[Card]:
    session = held.session
    session.status = "completed"
    if held.app.runs.get(run_id) is None:
        finish_progress(session, run_id, "failed")
        return []
    card = final_card(held.app, run_id)
    finish_progress(session, run_id, card["data"]["status"])
    session.log(RunEnded(compact(card["data"])))
    return [card]


# --- looking after -------------------------------------------------------------------------------------


def look_after(app: Kalla) -> None:
    """Go on with turns that a killed app left, and with conversations whose run has ended unnoticed."""
    for session_id in app.chats.interrupted():
        try:
            _look_after(app, session_id)
        except ServiceError as error:
            log.warning("conversation %s stays as it is: %s", session_id, error.code)
    for session_id, _ in app.chats.waiting():
        follow(app, session_id)


def _look_after(app: Kalla, session_id: str) -> None:
    with _place():
        held = hold(app, session_id)
        prepared = _resumed(held)
    if prepared is None:
        held.close()
        _TURNS.release()
    else:
        log.info("conversation %s goes on after an interruption", session_id)
        beside(prepared.run)
