"""What a person sends, and what it does to the conversation before the agent answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipe import Problem, mask_text
from webapp.agent import cards, phases
from webapp.agent.entries import Attached, CardReply, Entry, Moved, UserText
from webapp.agent.places import attach
from webapp.agent.session import SIDES, Session
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.objects import Upload, parse_upload
from webapp.services import invalid_body
from webapp.stores.masking import mask_all

MOST_TEXT = 20_000
MOST_FILES = 8
_TITLE = 80
_VERDICTS = {"confirm": "confirmed", "reject": "rejected", "unsure": "unsure"}


@dataclass(frozen=True)
class Said:
    """A checked request: text, answer to a card (checked later, against the session), files."""

    text: str
    card_response: Mapping[str, Any] | None
    files: tuple[Upload, ...]


def read_said(app: Kalla, body: Mapping[str, Any]) -> Said:
    """What a body says. Raises ServiceError ``request.invalid_body``, ``chat.empty_message``, ``upload.*``."""
    text = body.get("message")
    if text is not None and not isinstance(text, str):
        raise invalid_body(("message", "must be text"))
    if text is not None and len(text) > MOST_TEXT:
        raise invalid_body(("message", f"must have at most {MOST_TEXT} characters"))
    reply = body.get("card_response")
    if reply is not None and not isinstance(reply, Mapping):
        raise invalid_body(("card_response", "must be an object"))
    files = _files(app, body.get("files"))
    said = Said((text or "").strip(), reply, files)
    if not (said.text or reply is not None or files):
        problem = Problem("message", "is empty", "chat.empty_message")
        raise ServiceError(
            "There is nothing to answer.",
            code="chat.empty_message",
            hint="Write something, answer a card, or send a file.",
            details=[problem],
        )
    return said


def _files(app: Kalla, given: object) -> tuple[Upload, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(f, Mapping) for f in given) or len(given) > MOST_FILES:
        raise invalid_body(("files", f"must be a list of at most {MOST_FILES} uploaded files"))
    return tuple(read_file(app, f, f"files[{index}]") for index, f in enumerate(given))


def read_file(app: Kalla, given: Mapping[str, Any], path: str) -> Upload:
    """The uploaded file that an attachment names; what else it says is not believed.

    Raises ServiceError ``request.invalid_body``, ``upload.invalid_uri``, ``upload.not_found``, ``upload.empty``.
    """
    uri = given.get("s3_uri")
    if not isinstance(uri, str):
        raise invalid_body((f"{path}.s3_uri", "must be text"))
    upload = parse_upload(app.settings, uri)
    if app.objects.size(upload) == 0:
        raise ServiceError(f"The file {upload.filename} is empty.", code="upload.empty", hint="Export it again.")
    return upload


def apply(app: Kalla, session: Session, said: Said, moment: str) -> list[Entry]:
    """Let the session know what was said: the reply first, then files and text; entries of it, moves included.

    The person's message is added to the conversation. Raises ServiceError ``chat.*``, ``upload.*`` before anything is
    changed.
    """
    reply = None if said.card_response is None else cards.check_reply(session, mask_all(said.card_response))
    files = list(said.files)
    asked_side = None
    if reply is not None and reply.card["card_type"] == "upload_request":
        files.insert(0, read_file(app, reply.value, "card_response.value"))
        asked_side = reply.card["data"].get("side")
    entries: list[Entry] = []
    if reply is not None:
        entries += _reply(session, reply, moment)
    if files:
        entries += _attached(app, session, files, asked_side)
    text = mask_text(said.text)
    if text:
        entries.append(UserText(text))
    _message(session, reply, files, text, moment)
    session.title = session.title or _title(files, text)
    session.log(*entries)
    moves = phases.settle(session)
    session.log(*moves)
    return [*entries, *moves]


def _reply(session: Session, reply: cards.Reply, moment: str) -> list[Entry]:
    cards.answer(reply, moment)
    card = reply.card
    entry = CardReply(card["card_id"], card["card_type"], reply.action, reply.value, reply.words, dict(card["data"]))
    return [entry, *_EFFECTS.get(card["card_type"], _nothing)(session, reply)]


def _nothing(session: Session, reply: cards.Reply) -> list[Moved]:
    return []


def _judged(session: Session, reply: cards.Reply) -> list[Moved]:
    data = reply.card["data"]
    session.judge({side: data[side] for side in SIDES}, _VERDICTS[reply.action])
    if session.recipe_draft is not None and phases.is_before("demonstration", session.phase):
        session.working.saved = False  # the rule was made without this pair
        session.withdraw_approval()
    return []


def _confirmed(session: Session, reply: cards.Reply) -> list[Moved]:
    if reply.card["data"].get("purpose") == "enough_pairs":
        session.working.enough = reply.action == "confirm"
    return []


def _rule_judged(session: Session, reply: cards.Reply) -> list[Moved]:
    return _back_to_rule(session) if reply.action == "adjust" else []


def _result_judged(session: Session, reply: cards.Reply) -> list[Moved]:
    if reply.action == "approve":
        session.validation_approved = True
        return []
    return _back_to_rule(session)


def _back_to_rule(session: Session) -> list[Moved]:
    """The draft stays as the one to change; it does not count as saved, and nothing is approved."""
    session.working.saved = False
    session.withdraw_approval()
    if not phases.is_before("inference", session.phase):
        return []
    return [phases.move(session, "inference", "the rule is to be adjusted")]


_EFFECTS = {
    "match_proposal": _judged,
    "confirm": _confirmed,
    "rule_summary": _rule_judged,
    "result_summary": _result_judged,
}


def _attached(app: Kalla, session: Session, files: Sequence[Upload], side: str | None) -> list[Entry]:
    """Name the files. Where the agent could not look at them, the conversation goes back to choosing sources."""
    listed = []
    for upload in files:
        place = attach(app, session, upload)
        listed.append({"alias": place.alias, "filename": upload.filename, "side": side})
        side = None
    cards.withdraw(session, "upload_request", "select", words="A file was sent")
    moved: list[Entry] = []
    if "get_source_preview" not in phases.phase_of(session).tools:
        moved += phases.go_back(session, "intent")
    return [Attached(listed), *moved]


def _message(session: Session, reply: cards.Reply | None, files: Sequence[Upload], text: str, moment: str) -> None:
    """The person's bubble."""
    words = [reply.words] if reply is not None else []
    words += [text] if text else []
    message: dict[str, Any] = {
        "role": "user",
        "segments": [{"type": "text", "content": content} for content in words],
        "timestamp": moment,
    }
    if files:
        message["files"] = [{"filename": upload.filename, "upload_id": upload.upload_id} for upload in files]
        if not words:
            names = ", ".join(upload.filename for upload in files)
            message["segments"] = [{"type": "text", "content": f"Sent {names}"}]
    session.messages.append(message)


def _title(files: Sequence[Upload], text: str) -> str | None:
    if files:
        return " and ".join(upload.filename for upload in files)[:_TITLE]
    return text.replace("\n", " ")[:_TITLE] or None
