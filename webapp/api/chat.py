"""The conversation: /api/chat (contract 2.6)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from webapp.agent.phases import NAMES as PHASES
from webapp.agent.session import STATUSES
from webapp.context import kalla
from webapp.services import chat
from webapp.services.chat_stream import stream_turn
from webapp.web import schemas
from webapp.web.chat_limit import check_rate
from webapp.web.described import PAGING, describe
from webapp.web.requests import json_body, limit_and_offset

blueprint = Blueprint("chat", __name__)

_PHASE = schemas.one_of(*PHASES)
_STATUS = schemas.one_of(*STATUSES)
_DRIVER = schemas.one_of("claude", "guided")
_TEXT_SEGMENT = schemas.record({"type": schemas.one_of("text"), "content": schemas.TEXT})
_CARD_SEGMENT = schemas.record(
    {
        "type": schemas.one_of("card"),
        "card_type": schemas.TEXT,
        "card_id": schemas.TEXT,
        "data": schemas.OBJECT,
    },
    {
        "answer": schemas.record(
            {"action": schemas.TEXT, "value": schemas.ANY, "words": schemas.TEXT, "at": schemas.TIME}
        )
    },
)
_SEGMENTS = schemas.listed({"anyOf": [_TEXT_SEGMENT, _CARD_SEGMENT]})
_ROLE = schemas.one_of("agent", "user")
_MESSAGE = schemas.record(
    {"role": _ROLE, "segments": _SEGMENTS, "timestamp": schemas.TIME}, {"files": schemas.listed(schemas.OBJECT)}
)
_DRAFT = schemas.nullable(schemas.OBJECT)
_FILE = schemas.record(
    {"s3_uri": schemas.FILLED},
    {
        "filename": schemas.TEXT,
        "columns": schemas.listed(schemas.TEXT),
        "row_count": schemas.COUNT,
        "upload_id": schemas.TEXT,
    },
)
_ANSWER = schemas.record({"card_id": schemas.FILLED, "action": schemas.FILLED}, {"value": schemas.ANY})
_TURN = schemas.record(
    {
        "session_id": schemas.UUID,
        "phase": _PHASE,
        "status": _STATUS,
        "message": _MESSAGE,
        "recipe_draft": _DRAFT,
        "version": schemas.COUNT,
        "driver": _DRIVER,
    }
)
_PAIRS = schemas.listed(schemas.record({"left": schemas.OBJECT, "right": schemas.OBJECT}))
_LIST = schemas.nullable(schemas.listed(schemas.OBJECT))
_SIDE = schemas.nullable(
    schemas.record(
        {
            "alias": schemas.TEXT,
            "source_type": schemas.TEXT,
            "uri": schemas.nullable(schemas.TEXT),
            "filename": schemas.nullable(schemas.TEXT),
            "columns": schemas.listed(schemas.OBJECT),
            "total_rows": schemas.nullable(schemas.COUNT),
            "shown": schemas.COUNT,
            "personal": schemas.listed(schemas.TEXT),
            "masked": schemas.listed(schemas.TEXT),
        }
    )
)
_SIDES = schemas.record({"left": _SIDE, "right": _SIDE})
_SESSION = schemas.record(
    {
        "session_id": schemas.UUID,
        "id": schemas.UUID,
        "status": _STATUS,
        "phase": _PHASE,
        "left_source_alias": schemas.nullable(schemas.TEXT),
        "right_source_alias": schemas.nullable(schemas.TEXT),
        "sources_list": _LIST,
        "schema_left": _LIST,
        "schema_right": _LIST,
        "scope_left": _LIST,
        "scope_right": _LIST,
        "sample_left": _LIST,
        "sample_right": _LIST,
        "confirmed_pairs": _PAIRS,
        "rejected_pairs": _PAIRS,
        "unsure_pairs": _PAIRS,
        "recipe_draft": _DRAFT,
        "run_id": schemas.nullable(schemas.UUID),
        "title": schemas.nullable(schemas.TEXT),
        "validation_approved": schemas.FLAG,
        "messages": schemas.listed(_MESSAGE),
        "created_at": schemas.TIME,
        "updated_at": schemas.TIME,
        "version": schemas.COUNT,
        "driver": _DRIVER,
        "turn": schemas.one_of("idle", "working", "interrupted"),
        "sides": _SIDES,
    }
)
_BODY_ERRORS = ("request.malformed_json", "request.invalid_body")
_UNKNOWN = "chat.session_not_found"
_ID = {"session_id": schemas.UUID}


@blueprint.post("/api/chat/sessions")
@describe(
    "Begin a conversation",
    tag="Chat",
    response=schemas.record({"session_id": schemas.UUID, "phase": _PHASE, "status": _STATUS}),
    errors=("chat.too_many_messages",),
)
def create() -> dict[str, Any]:
    """An empty conversation."""
    check_rate()
    made = chat.create(kalla())
    return {name: made[name] for name in ("session_id", "phase", "status")}


@blueprint.get("/api/chat/sessions")
@describe(
    "Conversations",
    tag="Chat",
    query=PAGING,
    response=schemas.listed(
        schemas.record(
            {
                "session_id": schemas.UUID,
                "phase": _PHASE,
                "status": _STATUS,
                "title": schemas.nullable(schemas.TEXT),
                "message_count": schemas.COUNT,
                "created_at": schemas.TIME,
                "updated_at": schemas.TIME,
            }
        )
    ),
    errors=("request.invalid_parameter",),
)
def list_sessions() -> list[dict[str, Any]]:
    """Newest first."""
    return chat.list_sessions(kalla(), *limit_and_offset())


@blueprint.get("/api/chat/sessions/<session_id>")
@describe("One conversation", tag="Chat", path=_ID, response=_SESSION, errors=(_UNKNOWN,))
def get_session(session_id: str) -> dict[str, Any]:
    """The whole of it, masked."""
    return chat.get(kalla(), session_id)


@blueprint.delete("/api/chat/sessions/<session_id>")
@describe("Delete a conversation", tag="Chat", path=_ID, response=schemas.SUCCESS, errors=(_UNKNOWN,))
def delete_session(session_id: str) -> dict[str, Any]:
    """Recipes and runs that came of it stay."""
    return chat.delete(kalla(), session_id)


@blueprint.post("/api/chat/sessions/<session_id>/reset")
@describe(
    "Start a conversation over",
    tag="Chat",
    description="The same id with a fresh state; the conversation says so.",
    path=_ID,
    response=_SESSION,
    errors=(_UNKNOWN, "chat.busy"),
)
def reset_session(session_id: str) -> dict[str, Any]:
    """The session as it is then."""
    return chat.reset(kalla(), session_id)


@blueprint.post("/api/chat/sessions/<session_id>/stop")
@describe(
    "Stop the turn that is in progress",
    tag="Chat",
    description="The agent stops after the step it is at; nothing is lost. Without a turn nothing happens.",
    path=_ID,
    response=schemas.SUCCESS,
    errors=(_UNKNOWN,),
)
def stop_turn(session_id: str) -> dict[str, Any]:
    """Ask for it."""
    return chat.stop(kalla(), session_id)


@blueprint.post("/api/chat/sessions/<session_id>/privacy")
@describe(
    "Show or mask a column for the model",
    tag="Chat",
    description="Columns that look personal are masked until somebody says to show them.",
    path=_ID,
    request=schemas.record({"side": schemas.one_of("left", "right"), "column": schemas.FILLED, "show": schemas.FLAG}),
    response=schemas.record({"sides": _SIDES}),
    errors=(*_BODY_ERRORS, _UNKNOWN, "chat.busy"),
)
def set_privacy(session_id: str) -> dict[str, Any]:
    """The sides as they are then."""
    return chat.set_privacy(kalla(), session_id, json_body())


@blueprint.get("/api/chat/sessions/<session_id>/sent")
@describe(
    "What was sent to the model",
    tag="Chat",
    description="Exactly as it was sent, newest first, for the latest requests. Empty in guided mode.",
    path=_ID,
    response=schemas.listed(
        schemas.record(
            {
                "at": schemas.TIME,
                "model": schemas.TEXT,
                "system": schemas.ANY,
                "messages": schemas.listed(schemas.OBJECT),
                "tools": schemas.listed(schemas.OBJECT),
            }
        )
    ),
    errors=(_UNKNOWN,),
)
def sent(session_id: str) -> list[dict[str, Any]]:
    """The latest requests."""
    return chat.sent(kalla(), session_id)


@blueprint.post("/api/chat")
@describe(
    "Say something, answer a card, or send files",
    tag="Chat",
    description=(
        "Without session_id a new conversation begins. A card's answer is handled before the text that comes with it. "
        "With resume and a session_id alone, an interrupted turn goes on. With Accept: text/event-stream the turn is "
        "streamed: events text, tool, segment, phase, and at last done with the whole answer, or error. The turn runs "
        "to its end even when the caller goes away."
    ),
    request=schemas.record(
        {},
        {
            "session_id": schemas.TEXT,
            "message": schemas.TEXT,
            "card_response": _ANSWER,
            "files": schemas.listed(_FILE),
            "resume": schemas.FLAG,
        },
    ),
    response=_TURN,
    errors=(
        *_BODY_ERRORS,
        "chat.empty_message",
        "chat.unknown_card",
        "chat.invalid_action",
        _UNKNOWN,
        "chat.card_answered",
        "chat.busy",
        "chat.session_full",
        "chat.too_many_messages",
        "chat.too_many_turns",
        "upload.invalid_uri",
        "upload.not_found",
        "upload.empty",
        "upload.unreadable",
        "upload.too_large",
    ),
)
def turn() -> Response | dict[str, Any]:
    """One turn."""
    check_rate()
    body = json_body()
    if request.accept_mimetypes.best_match(["application/json", "text/event-stream"]) == "text/event-stream":
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return Response(stream_turn(kalla(), body), mimetype="text/event-stream", headers=headers)
    return chat.turn(kalla(), body)
