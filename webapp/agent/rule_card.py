"""What the card of a rule shows: the rule in words, what it finds in the rows that were read, and its slider.

A rule that inference itself would write is shown with all that inference knows of it; any other statement, such as the
model's, is put into words from its plan and counted by running it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import sqlglot
from sqlglot import exp

from recipe import MatchPlan, PlanClass, condition_in_words, key_in_words, parse_exact
from webapp.agent.session import Session
from webapp.inference import Analysis, NoRule, Verdicts, draft
from webapp.inference.engine import Bench, TooManyPairs, bench

_LIMITS = {"TOLERANCE_MATCH": ("tolerance", "amount"), "PERCENT_MATCH": ("percent", "percent")}
_MARKS = {
    "amount": ("0", "0.01", "0.02", "0.05", "0.1", "0.5", "1", "5", "10"),
    "percent": ("0", "0.5", "1", "2", "3", "5", "10"),
}
_GENERAL = "The rule groups, unites or ranks records, so only its SQL says it in full."
_MEMBERS = ("left_col", "right_col", "op", "threshold", "sentence", "matches", "leaves", "support", "confidence")
Card = dict[str, Any]


def rule_card(session: Session, analysis: Analysis, match_sql: str, keys: Mapping[str, Sequence[str]]) -> Card:
    """``rules``, ``figures``, ``curve``, ``ambiguities`` of a statement that compiles."""
    with bench(analysis.left, analysis.right) as opened:
        plan = opened.plan(match_sql, keys["left"], keys["right"])
        known = _known(session, analysis, match_sql, [limit for _, limit in _limits(match_sql)])
        if known is not None:
            return known
        try:
            pairs = opened.pairs(match_sql)
        except TooManyPairs:
            words = "This rule gives nearly every record many partners; it does not tell records apart."
            return {"rules": _rules(plan), "figures": None, "curve": None, "ambiguities": [words]}
        return {
            "rules": _rules(plan),
            "figures": _figures(analysis, pairs),
            "curve": _curve(opened, match_sql),
            "ambiguities": _ambiguities(pairs),
        }


def _known(session: Session, analysis: Analysis, match_sql: str, limits: Sequence[str]) -> Card | None:
    """What inference says, when the statement is its own."""
    verdicts = Verdicts(session.confirmed_pairs, session.rejected_pairs, session.unsure_pairs)
    for tolerance in (None, *limits):
        try:
            found = draft(analysis.left, analysis.right, verdicts, tolerance, analysis)
        except (NoRule, ValueError):
            continue  # inference has no rule of its own here, or none with such a limit
        if found.match_sql == match_sql:
            return {
                "rules": [
                    {name: value for name, value in asdict(rule).items() if name in (*_MEMBERS, "counter_examples")}
                    for rule in found.rules
                ],
                "choice": found.choice,
                "figures": asdict(found.figures),
                "curve": None if found.curve is None else asdict(found.curve),
                "ambiguities": list(found.ambiguities),
                "notes": list(found.notes),
            }
    return None


def _figures(analysis: Analysis, pairs: Sequence[tuple[int, int]]) -> Card:
    left, right = (Counter(pair[place] for pair in pairs) for place in (0, 1))
    return {
        "left_total": len(analysis.left.rows),
        "right_total": len(analysis.right.rows),
        "matched_left": len(left),
        "matched_right": len(right),
        "pairs": len(pairs),
        "left_many": sum(count > 1 for count in left.values()),
        "right_many": sum(count > 1 for count in right.values()),
        "is_sample": not (analysis.left.is_whole and analysis.right.is_whole),
    }


def _ambiguities(pairs: Sequence[tuple[int, int]]) -> list[str]:
    found = []
    for place, name in ((0, "left"), (1, "right")):
        many = sum(count > 1 for count in Counter(pair[place] for pair in pairs).values())
        if many:
            records = "One record" if many == 1 else f"{many} records"
            found.append(f"{records} on the {name} side would have several partners.")
    return found


# --- in words ------------------------------------------------------------------------------------------


def _rules(plan: MatchPlan) -> list[Card]:
    if plan.kind is PlanClass.GENERAL:
        return [_rule(_GENERAL)]
    keys = [_rule(key_in_words(key), _name(key.left), _name(key.right), "eq") for key in plan.keys]
    conditions = (*plan.conditions, *plan.left_only, *plan.right_only)
    return [*keys, *(_condition(condition.tree, condition_in_words(condition)) for condition in conditions)]


def _condition(tree: exp.Expression, words: str) -> Card:
    for call in tree.find_all(exp.Anonymous):
        if call.name.upper() in _LIMITS and len(call.expressions) == 3:
            left, right, limit = call.expressions
            op = _LIMITS[call.name.upper()][0]
            return _rule(words, _name(left), _name(right), op, limit.name or limit.sql())
    return _rule(words)


def _rule(words: str, left: str = "", right: str = "", op: str = "condition", threshold: str | None = None) -> Card:
    """Only what is known: a statement that somebody wrote has no support in verdicts."""
    sentence = f"{words[:1].upper()}{words[1:]}"
    names = dict.fromkeys(_MEMBERS)
    return {
        **names,
        "left_col": left,
        "right_col": right,
        "op": op,
        "threshold": threshold,
        "sentence": sentence,
        "counter_examples": [],
    }


def _name(tree: exp.Expression) -> str:
    return ", ".join(dict.fromkeys(column.name for column in tree.find_all(exp.Column)))


# --- the slider ----------------------------------------------------------------------------------------


def _limits(match_sql: str) -> list[tuple[str, str]]:
    """Function and limit of each comparison with a constant limit."""
    return [(call.name.upper(), call.expressions[2].name) for call in _calls(sqlglot.parse_one(match_sql, "postgres"))]


def _calls(tree: exp.Expr) -> Iterator[exp.Anonymous]:
    for call in tree.find_all(exp.Anonymous):
        is_limit = call.name.upper() in _LIMITS and len(call.expressions) == 3
        if is_limit and isinstance(call.expressions[2], exp.Literal):
            yield call


def _curve(opened: Bench, match_sql: str) -> Card | None:
    """Matched rows by limit, where the statement has exactly one limit and gives no more pairs than can be counted."""
    tree = sqlglot.parse_one(match_sql, "postgres")
    calls = list(_calls(tree))
    if len(calls) != 1:
        return None
    call = calls[0]
    threshold = call.expressions[2].name
    unit = _LIMITS[call.name.upper()][1]
    marks = {Decimal(mark) for mark in _MARKS[unit]} | {parse_exact(threshold) or Decimal(0)}
    points = []
    for mark in sorted(marks):
        call.expressions[2].replace(exp.Literal.number(format(mark, "f")))
        try:
            pairs = opened.pairs(tree.sql("postgres"))
        except TooManyPairs:
            return None
        left, right = ({pair[place] for pair in pairs} for place in (0, 1))
        points.append({"threshold": format(mark, "f"), "matched_left": len(left), "matched_right": len(right)})
    label = f"Largest difference between {_name(call.expressions[0])} and {_name(call.expressions[1])}"
    return {"label": label, "unit": unit, "threshold": threshold, "points": points}
