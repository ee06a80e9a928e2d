"""Cards that no tool makes: what the engine asks when a turn ends and nothing waits for the person's answer."""

from __future__ import annotations

from webapp.agent.cards import Card, make, open_cards
from webapp.agent.session import SIDES, Session

_WAITING = ("select", "confirm", "match_proposal", "rule_summary", "result_summary", "upload_request")
_MOST_OPTIONS = 50


def offer(session: Session) -> Card | None:
    """The question that helps on from here, if there is one."""
    if any(not card["card_id"].startswith("result-") for card in open_cards(session, *_WAITING)):
        return None
    if session.phase in ("greeting", "intent"):
        return _choose_source(session)
    if session.phase == "demonstration" and session.confirmed_pairs:
        return _enough(session)
    return None


def _choose_source(session: Session) -> Card | None:
    side = next((side for side in SIDES if session.place(side) is None), None)
    listed = session.sources_list or []
    if side is None or not listed:
        return None
    options = [
        {"value": entry["alias"], "label": entry["alias"], "hint": entry["source_type"]}
        for entry in listed[:_MOST_OPTIONS]
    ]
    title = f"Which source is the {side} one?"
    return make("select", {"title": title, "options": options, "multiple": False, "side": side})


def _enough(session: Session) -> Card:
    count = len(session.confirmed_pairs)
    pairs = "one pair" if count == 1 else f"{count} pairs"
    return make(
        "confirm",
        {
            "title": "Is this enough?",
            "message": f"You confirmed {pairs}. Shall I work out the rule from that?",
            "purpose": "enough_pairs",
        },
    )
