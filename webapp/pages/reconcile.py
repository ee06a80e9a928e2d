"""``/reconcile``: the conversation, readable and usable without JavaScript; its forms call what the API calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import redirect, render_template, request, url_for

from recipe import KallaError
from webapp.context import Kalla, kalla
from webapp.errors import ServiceError
from webapp.pages import card, notices, reconcile_cards, reconcile_view, uploading
from webapp.pages.frame import blueprint, status_for
from webapp.pages.reconcile_view import CardPart, Conversation
from webapp.services import chat as service
from webapp.services import chat_documents as documents
from webapp.services import runs as run_service
from webapp.web.chat_limit import check_rate

Answer = Any  # a page, or a page with its status, or a redirect
LISTED = 12
NAMED = 2  # registered sources that the first page names as an example


@dataclass(frozen=True)
class Fault:
    """What went wrong with a form: beside the card it belongs to, or below the message, which stays as it was."""

    error: KallaError
    card_id: str = ""
    message: str = ""


@blueprint.get("/reconcile")
def reconcile() -> str:
    """A new conversation, and those that there are."""
    return conversation_page(_nothing_said())


def _nothing_said() -> dict[str, Any]:
    """A session document before there is a session."""
    return {"session_id": "", "phase": "greeting", "status": "active", "driver": documents.driver_name(kalla())}


@blueprint.get("/reconcile/<session_id>")
def reconcile_session(session_id: str) -> str:
    """One conversation as it stands."""
    return conversation_page(service.get(kalla(), session_id))


def conversation_page(document: Mapping[str, Any], fault: Fault | None = None) -> str:
    """The page of a session document, with what went wrong with the form that was sent."""
    app = kalla()
    view = reconcile_view.conversation(document)
    return render_template(
        "reconcile.html",
        view=replace(view, fault=fault),
        shown=_shown(app, view),
        following=document["status"] == "running",  # until its end has been told: the run itself may be over before
        sessions=_sessions(app, view.id),
        sources=[source.alias for source in app.sources.list(NAMED)] if not view.messages else [],
        model="" if view.is_guided else documents.model_name(app),
        sample_rows=app.settings.llm_sample_rows,
        notice_words=notices.current(),
    )


def _cards(view: Conversation) -> list[CardPart]:
    return [part for message in view.messages for part in message.parts if isinstance(part, CardPart)]


def _shown(app: Kalla, view: Conversation) -> dict[str, Any]:
    """What each card shows, by its id."""
    return {part.id: _value(app, view, part) for part in _cards(view)}


def _value(app: Kalla, view: Conversation, part: CardPart) -> Any:
    data = part.data
    if part.type == "match_proposal":
        return card.pair(data)
    if part.type == "sample_table":
        return reconcile_cards.grid(data.get("columns") or (), data.get("rows") or ())
    if part.type == "rule_summary":
        return reconcile_cards.rule(data)
    if part.type == "progress":
        return reconcile_cards.progress(app, data)
    if part.type == "result_summary":
        totals = {side: found.total if found else None for side, found in view.sides.items()}
        return reconcile_cards.result(app, data, view.names, totals)
    return None


def _sessions(app: Kalla, current: str) -> list[dict[str, Any]]:
    """Conversations in which something was said, newest first."""
    found = service.list_sessions(app, LISTED)
    return [
        item | {"words": reconcile_view.list_words(item)}
        for item in found
        if item["message_count"] or item["session_id"] == current
    ]


# --- what a person says ----------------------------------------------------------------------------------


@blueprint.post("/reconcile/say")
@blueprint.post("/reconcile/<session_id>/say")
def reconcile_say(session_id: str | None = None) -> Answer:
    """A message, files, or both."""
    text = request.form.get("message", "")
    try:
        session_id = session_id or str(service.create(kalla())["session_id"])
        body: dict[str, Any] = {"session_id": session_id, "files": _files(session_id)}
        if text.strip():
            body["message"] = text
        return _turn(body)
    except KallaError as error:
        return _again(session_id, Fault(error, message=text))


@blueprint.post("/reconcile/<session_id>/cards/<card_id>")
def reconcile_card(session_id: str, card_id: str) -> Answer:
    """The answer to a card, by the button that was pressed."""
    try:
        reply: dict[str, Any] = {"card_id": card_id, "action": request.form.get("action", "")}
        value = _reply_value(session_id)
        if value is not None:
            reply["value"] = value
        return _turn({"session_id": session_id, "card_response": reply})
    except KallaError as error:
        return _again(session_id, Fault(error, card_id))


@blueprint.post("/reconcile/<session_id>/resume")
def reconcile_resume(session_id: str) -> Answer:
    """Go on with a turn that was interrupted."""
    try:
        return _turn({"session_id": session_id, "resume": True})
    except KallaError as error:
        return _again(session_id, Fault(error))


def _turn(body: Mapping[str, Any]) -> Answer:
    check_rate()
    answer = service.turn(kalla(), body)
    return redirect(url_for("pages.reconcile_session", session_id=answer["session_id"], _anchor="latest"), 303)


def _again(session_id: str | None, fault: Fault) -> Answer:
    """The conversation with what went wrong; an unknown one is the error's own page."""
    if fault.error.code == "chat.session_not_found":
        raise fault.error
    document = service.get(kalla(), session_id) if session_id else _nothing_said()
    return conversation_page(document, fault), status_for(fault.error)


def _reply_value(session_id: str) -> Any:
    """What goes with the pressed button: a text, chosen options, a tolerance, an uploaded file."""
    form = request.form
    if "file" in request.files:
        files = _files(session_id, "file")
        if not files:
            raise ServiceError("No file was chosen.", code="upload.empty", hint="Choose a CSV, Parquet or XLSX file.")
        return files[0]
    if form.get("tolerance"):
        return {"tolerance": form["tolerance"]}
    if "choice" in form:
        chosen = form.getlist("choice")
        return chosen if len(chosen) > 1 else chosen[0]
    return form.get("value", "").strip() or None


def _files(session_id: str, name: str = "files") -> list[dict[str, Any]]:
    """The files of the form, stored, as FileAttachments; the reader of the conversation looks into them itself."""
    parts = [part for part in request.files.getlist(name) if part.filename]
    return [uploading.attached(part, session_id) for part in parts]


# --- what a person decides beside it ---------------------------------------------------------------------


@blueprint.post("/reconcile/<session_id>/privacy")
def reconcile_privacy(session_id: str) -> Answer:
    """Show or mask a column for the model."""
    form = request.form
    body = {"side": form.get("side", ""), "column": form.get("column", ""), "show": form.get("show") == "yes"}
    try:
        service.set_privacy(kalla(), session_id, body)
    except KallaError as error:
        return _again(session_id, Fault(error))
    return redirect(url_for("pages.reconcile_session", session_id=session_id, _anchor="about"), 303)


@blueprint.get("/reconcile/<session_id>/sent")
def reconcile_sent(session_id: str) -> str:
    """What went to the model, as it went."""
    app = kalla()
    document = service.get(app, session_id)
    return render_template(
        "reconcile_sent.html",
        session_id=session_id,
        title=reconcile_view.title_of(document),
        requests=reconcile_view.sent(service.sent(app, session_id)),
    )


@blueprint.post("/reconcile/<session_id>/runs/<run_id>/cancel")
def reconcile_cancel(session_id: str, run_id: str) -> Answer:
    """Stop the run of a progress card."""
    try:
        run_service.cancel(kalla(), run_id)
    except KallaError as error:
        if error.code != "run.final":  # it ended by itself: the conversation shows how
            return _again(session_id, Fault(error))
    return redirect(url_for("pages.reconcile_session", session_id=session_id, _anchor="latest"), 303)


@blueprint.get("/reconcile/<session_id>/<any(reset, delete):what>")
def reconcile_question(session_id: str, what: str) -> str:
    """Asks before anything is lost."""
    document = service.get(kalla(), session_id)
    return render_template(
        "reconcile_question.html",
        session_id=session_id,
        what=what,
        title=reconcile_view.title_of(document),
        messages=len(document.get("messages") or ()),
    )


@blueprint.post("/reconcile/<session_id>/reset")
def reconcile_reset(session_id: str) -> Answer:
    """Begin again in the same conversation."""
    try:
        service.reset(kalla(), session_id)
    except KallaError as error:  # a turn is in progress
        return _again(session_id, Fault(error))
    return redirect(url_for("pages.reconcile_session", session_id=session_id, _anchor="latest"), 303)


@blueprint.post("/reconcile/<session_id>/delete")
def reconcile_delete(session_id: str) -> Answer:
    """Forget a conversation; its recipe and runs stay."""
    service.delete(kalla(), session_id)
    return redirect(url_for("pages.reconcile", done="conversation-deleted"), 303)
