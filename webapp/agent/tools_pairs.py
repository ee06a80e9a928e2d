"""Tools that ask about pairs and learn from the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from recipe import parse_exact
from webapp.agent.cards import open_cards
from webapp.agent.context import ToolContext, ToolError
from webapp.agent.pair_differences import differences
from webapp.agent.phases import WANTED_PAIRS
from webapp.agent.places import insight_of
from webapp.agent.privacy import masker_of
from webapp.agent.session import SIDES, Pair, Row, Session
from webapp.agent.tools import InferRules, ProposeMatch, RowRef
from webapp.inference import infer_rules as inferred

_RULE = ("left_col", "right_col", "op", "threshold", "confidence", "support", "discriminating", "reasoning")


def propose_match(context: ToolContext, given: ProposeMatch) -> dict[str, Any]:
    """A card with both rows, whole."""
    session = context.session
    pair: Pair = {
        "left": _row(session, "left", given.left_row),
        "right": _row(session, "right", given.right_row),
    }
    if pair in session.judged_pairs:
        raise ToolError("The person has already judged this pair. Propose another one.")
    waiting = [*open_cards(session, "match_proposal"), *context.added]
    if any(_pair_of(card["data"]) == pair for card in waiting if card["card_type"] == "match_proposal"):
        raise ToolError("This pair has been proposed and waits for an answer.")
    number = len(session.judged_pairs) + len([c for c in waiting if c["card_type"] == "match_proposal"]) + 1
    insight = insight_of(context.app, session)
    data = {
        **pair,
        "reasoning": given.reasoning,
        "number": number,
        "wanted": WANTED_PAIRS,
        "differences": differences(insight.analysis, pair) if insight.analysis is not None else [],
    }
    card = context.show("match_proposal", data)
    return {**pair, "reasoning": given.reasoning, "card_id": card["card_id"]}


def _pair_of(data: Mapping[str, Any]) -> Pair:
    return {side: data[side] for side in SIDES}


def _row(session: Session, side: str, wanted: RowRef) -> Row:
    """The row of the sample that is meant: by its number, or by fields that one row alone has."""
    sample = session.sample(side) or []
    if isinstance(wanted, int):
        if not 0 <= wanted < len(sample):
            raise ToolError(f"The {side} sample has rows 0 to {len(sample) - 1}; {wanted} is none of them.")
        return sample[wanted]
    if not wanted:
        raise ToolError(f"Say which {side} row: give its number in the sample.")
    masker = masker_of(session)
    fitting = [row for row in sample if _fits(row, wanted) or _fits(masker.row(side, row), wanted)]
    if not fitting:
        raise ToolError(f"This {side} row is not in the sample. Rows must not be made up: give the number of one.")
    if any(row != fitting[0] for row in fitting[1:]):
        raise ToolError(f"{len(fitting)} rows of the {side} sample have these fields. Give the row's number instead.")
    return fitting[0]


def _fits(row: Row, wanted: Mapping[str, str | int | Decimal | None]) -> bool:
    return all(name in row and _equal(row[name], value) for name, value in wanted.items())


def _equal(cell: str | None, value: str | int | Decimal | None) -> bool:
    if isinstance(value, int | Decimal):
        return cell is not None and parse_exact(cell) == value
    return cell == value


def infer_rules(context: ToolContext, given: InferRules) -> list[dict[str, Any]]:
    """Comparisons of these columns, best first."""
    session = context.session
    if not session.confirmed_pairs:
        raise ToolError("No pair is confirmed yet, so nothing can be learnt. Propose pairs first.")
    for side, names in (("left", given.left_columns), ("right", given.right_columns)):
        place = session.place(side)
        known = [] if place is None else place.column_names
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ToolError(f"The {side} source has no column {unknown[0]!r}. Its columns are {', '.join(known)}.")
    insight = insight_of(context.app, session)
    assert insight.right is not None, "a confirmed pair has two sides"
    rules = inferred(
        insight.left,
        insight.right,
        session.confirmed_pairs,
        session.rejected_pairs,
        given.left_columns,
        given.right_columns,
    )
    session.working.rules = [asdict(rule) for rule in rules]
    more = ("sentence", "matches", "leaves", "left_pattern", "right_pattern")
    return [
        {name: getattr(rule, name) for name in (*_RULE, *more)} | {"contradicted_by": len(rule.counter_examples)}
        for rule in rules
    ]
