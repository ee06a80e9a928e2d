"""The eight cards of contract 4.3: made, found, and checked when they are answered.

What a reply means is decided from the stored card, never from what the browser sends along.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from recipe import Problem
from webapp.agent.session import Session
from webapp.errors import ServiceError
from webapp.services import utc_text

MOST_REASON = 2000
Card = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A type of card: prefixes of its ids, and its actions with their words; ``{}`` is where a text goes."""

    prefixes: tuple[str, ...]
    actions: Mapping[str, str]
    needs_value: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "select": Kind(("select",), {"select": "{}"}, ("select",)),
    "confirm": Kind(("confirm",), {"confirm": "Yes", "cancel": "No"}),
    "sample_table": Kind(("sample",), {}),
    "match_proposal": Kind(
        ("match",),
        {"confirm": "Yes, these belong together", "reject": "No, these do not match", "unsure": "Not sure"},
    ),
    "rule_summary": Kind(("rules",), {"approve": "The rule is right", "adjust": "Change the rule"}, ("adjust",)),
    "progress": Kind(("progress",), {}),
    "result_summary": Kind(
        ("validation", "result"), {"approve": "The result is right", "adjust": "Change it"}, ("adjust",)
    ),
    "upload_request": Kind(("upload",), {"uploaded": "Here is the file"}, ("uploaded",)),
}


def make(card_type: str, data: Mapping[str, Any], prefix: str | None = None) -> Card:
    """A new card as a segment of a message."""
    kind = KINDS[card_type]
    chosen = prefix or kind.prefixes[0]
    assert chosen in kind.prefixes, f"{chosen} is no prefix of {card_type}"
    return {"type": "card", "card_type": card_type, "card_id": f"{chosen}-{uuid.uuid4()}", "data": dict(data)}


def all_cards(session: Session) -> Iterator[Card]:
    """Every card of a conversation, oldest first."""
    for message in session.messages:
        yield from (segment for segment in message["segments"] if segment["type"] == "card")


def open_cards(session: Session, *card_types: str) -> list[Card]:
    """Cards of these types that wait for an answer."""
    return [card for card in all_cards(session) if card["card_type"] in card_types and "answer" not in card]


def find(session: Session, card_id: str) -> Card:
    """The card of that id. Raises ServiceError ``chat.unknown_card``."""
    for card in all_cards(session):
        if card["card_id"] == card_id:
            return card
    raise ServiceError("This conversation has no such card.", code="chat.unknown_card", hint="Load the page again.")


@dataclass(frozen=True)
class Reply:
    """A checked answer to a card."""

    card: Card
    action: str
    value: Any
    words: str


def check_reply(session: Session, given: object) -> Reply:
    """The answer ``{card_id, action, value?}``, against the stored card.

    Raises ServiceError ``request.invalid_body``, ``chat.unknown_card``, ``chat.card_answered``,
    ``chat.invalid_action``.
    """
    if not isinstance(given, Mapping) or not isinstance(given.get("card_id"), str):
        raise _invalid("card_response", "must be an object with card_id and action", "request.invalid_body")
    card = find(session, given["card_id"])
    action, value = given.get("action"), given.get("value")
    kind = KINDS[card["card_type"]]
    allowed = actions_of(card)
    if not isinstance(action, str) or action not in allowed:
        words = f"must be one of {', '.join(allowed)}" if allowed else "is not possible: this card takes no answer"
        raise _invalid("card_response.action", words)
    if "answer" in card:
        raise ServiceError("This card has been answered.", code="chat.card_answered", hint="Load the page again.")
    if action in kind.needs_value and value in (None, "", [], {}):
        raise _invalid("card_response.value", "is missing")
    value = _CHECKS.get(card["card_type"], _reason)(card, action, value)
    return Reply(card, action, value, _in_words(card, action, value))


def actions_of(card: Card) -> tuple[str, ...]:
    """What a card may be answered with; the final result is only shown."""
    if card["card_id"].startswith("result-"):
        return ()
    return tuple(KINDS[card["card_type"]].actions)


def answer(reply: Reply, moment: str) -> None:
    """Note the answer on the stored card."""
    reply.card["answer"] = {"action": reply.action, "value": reply.value, "words": reply.words, "at": moment}


def withdraw(session: Session, *card_types: str, words: str = "No longer asked") -> None:
    """Close open cards whose question is over."""
    for card in open_cards(session, *card_types):
        card["answer"] = {
            "action": "withdrawn",
            "value": None,
            "words": words,
            "at": utc_text(session.updated_at),
        }


def _invalid(path: str, rule: str, code: str = "chat.invalid_action") -> ServiceError:
    return ServiceError(f"{path} {rule}.", code=code, details=[Problem(path, rule, code)])


# --- values --------------------------------------------------------------------------------------------


def _reason(card: Card, action: str, value: Any) -> Any:
    """An optional text."""
    if value is None:
        return None
    if isinstance(value, Mapping) and set(value) == {"reason"}:
        value = value["reason"]
    if not isinstance(value, str) or len(value) > MOST_REASON:
        raise _invalid("card_response.value", f"must be a text of at most {MOST_REASON} characters")
    return value.strip() or None


def _choice(card: Card, action: str, value: Any) -> Any:
    known = {option["value"] for option in card["data"]["options"]}
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) and one in known for one in several):
        raise _invalid("card_response.value", "must be one of the options")
    if card["data"]["multiple"]:
        return list(dict.fromkeys(several))
    if len(several) != 1:
        raise _invalid("card_response.value", "must be one option")
    return several[0]


def _adjustment(card: Card, action: str, value: Any) -> Any:
    """A text, or an object with ``text``, ``tolerance`` or both."""
    if action != "adjust" or not isinstance(value, Mapping):
        return _reason(card, action, value)
    wrong = set(value) - {"text", "tolerance"} or not all(isinstance(v, str) and v.strip() for v in value.values())
    if wrong or any(len(v) > MOST_REASON for v in value.values()):
        raise _invalid("card_response.value", "must hold text, tolerance or both, as texts")
    return {name: text.strip() for name, text in value.items()}


def _file(card: Card, action: str, value: Any) -> Any:
    if not isinstance(value, Mapping) or not isinstance(value.get("s3_uri"), str):
        raise _invalid("card_response.value", "must be the uploaded file with its s3_uri")
    return dict(value)


_CHECKS: Mapping[str, Callable[[Card, str, Any], Any]] = {
    "select": _choice,
    "rule_summary": _adjustment,
    "result_summary": _adjustment,
    "upload_request": _file,
}


def _in_words(card: Card, action: str, value: Any) -> str:
    """The bubble that the person sees, and what the model reads first."""
    words = KINDS[card["card_type"]].actions[action]
    if card["card_type"] == "select":
        labels = {option["value"]: option["label"] for option in card["data"]["options"]}
        return ", ".join(labels[one] for one in (value if isinstance(value, list) else [value]))
    if card["card_type"] == "upload_request":
        return f"{words}: {value.get('filename') or 'uploaded'}"
    if isinstance(value, Mapping):
        parts = [f"allow a difference of {value['tolerance']}" if "tolerance" in value else "", value.get("text", "")]
        return f"{words}: {'; '.join(part for part in parts if part)}"
    return f"{words}: {value}" if value else words
