"""A rule in plain words: what ``match_sql`` asks for, as sentences of people who never read SQL."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sqlglot import exp

from recipe import LEFT, Condition, KeyPair, MatchPlan, PlanClass, SideInput, check_match_sql
from udfs import signatures

_COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "equals",
    exp.NEQ: "differs from",
    exp.LT: "is below",
    exp.LTE: "is at most",
    exp.GT: "is above",
    exp.GTE: "is at least",
}
_READ_AS = ("KALLA_NUMBER", "KALLA_EXACT", "KALLA_DATE", "KALLA_TIMESTAMP")
_CALLS: dict[str, Callable[[str, str, str], str]] = {
    "TOLERANCE_MATCH": lambda a, b, most: f"{a} and {b} are at most {most} apart",
    "PERCENT_MATCH": lambda a, b, most: f"{a} and {b} are at most {most} % apart",
    "DATE_WITHIN": lambda a, b, most: f"{a} and {b} are within {most} {'day' if most == '1' else 'days'}",
}
GENERAL = "The rule groups, unites or ranks records, so only its SQL says it in full."


def rule_sentences(match_sql: str) -> list[str]:
    """What must hold for two records to belong together; SQL stays SQL where there is no simpler way to say it.

    Empty for a statement that cannot be read: whoever shows it shows its problems beside it.
    """
    plan = _plan(match_sql)
    if plan is not None and plan.kind is PlanClass.GENERAL:
        return [GENERAL]
    return list(condition_words(match_sql).values())


@lru_cache(maxsize=256)
def condition_words(match_sql: str) -> dict[str, str]:
    """Each key and condition of a statement, as the evidence names it, in words."""
    plan = _plan(match_sql)
    if plan is None:
        return {}
    conditions = (*plan.conditions, *plan.left_only, *plan.right_only)
    keys = {key.sql: _key_sentence(key) for key in plan.keys}
    return keys | {condition.sql: _condition_sentence(condition) for condition in conditions}


@lru_cache(maxsize=256)
def _plan(match_sql: str) -> MatchPlan | None:
    if not match_sql:
        return None
    side = SideInput(schema=None, primary_key=())
    return check_match_sql(match_sql, side, side, signatures())[0]


def _key_sentence(key: KeyPair) -> str:
    left, right = _term(key.left), _term(key.right)
    return f"{left} equals {right}" if left and right else key.sql


def _condition_sentence(condition: Condition) -> str:
    return _sentence(condition.tree) or condition.sql


def _sentence(tree: exp.Expression) -> str | None:
    tree = _bare(tree)
    if isinstance(tree, exp.Anonymous):
        say = _CALLS.get(tree.name.upper())
        terms = [_term(argument) for argument in tree.expressions[:3]]
        return say(str(terms[0]), str(terms[1]), str(terms[2])) if say and len(terms) == 3 and all(terms) else None
    verb = _COMPARISONS.get(type(tree))
    if verb is None:
        return None
    left, right = _term(tree.this), _term(tree.expression)
    return f"{left} {verb} {right}" if left and right else None


def _term(tree: exp.Expression) -> str | None:
    """A column, constant or reference in words; None for anything else."""
    tree = _bare(tree)
    if isinstance(tree, exp.Column):
        return f"{'left' if tree.table == LEFT else 'right'} {tree.name}"
    if isinstance(tree, exp.Literal):
        return f"“{tree.name}”" if tree.is_string else tree.name
    if isinstance(tree, exp.Anonymous) and tree.name.upper() == "NORMALIZE_REF" and len(tree.expressions) == 1:
        inner = _term(tree.expressions[0])
        return f"{inner} (letters and digits only)" if inner else None
    return None


def _bare(tree: exp.Expression) -> exp.Expression:
    """Without parentheses, casts and readings of text, which people do not write."""
    while True:
        if isinstance(tree, (exp.Paren, exp.Cast)):
            tree = tree.this
        elif isinstance(tree, exp.Anonymous) and tree.name.upper() in _READ_AS:
            tree = tree.expressions[0]
        else:
            return tree
