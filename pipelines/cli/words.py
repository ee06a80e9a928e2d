"""A plan's keys and conditions as sentences."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from recipe import LEFT, Condition, KeyPair, PlanClass

CLASSES = {
    PlanClass.EQUI: "records are brought together by equal keys",
    PlanClass.INEQUALITY: "records are compared by conditions without an equal key",
    PlanClass.GENERAL: "the statement groups, unites or ranks records, so it runs as a whole",
}
_SIDES = {True: "left", False: "right"}
_READ_AS = ("KALLA_NUMBER", "KALLA_EXACT", "KALLA_DATE", "KALLA_TIMESTAMP")
_COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "equals",
    exp.NEQ: "differs from",
    exp.LT: "is below",
    exp.LTE: "is at most",
    exp.GT: "is above",
    exp.GTE: "is at least",
}


def key_in_words(key: KeyPair) -> str:
    """``left invoice_id equals right reference_number``; SQL where there is no simpler way to say it."""
    left, right = term(key.left), term(key.right)
    return f"{left} equals {right}" if left and right else key.sql


def condition_in_words(condition: Condition) -> str:
    """``left amount and right paid_amount at most 0.02 apart``; SQL where there is no simpler way to say it."""
    return _sentence(condition.tree) or condition.sql


def _sentence(tree: exp.Expression) -> str | None:
    tree = _bare(tree)
    if isinstance(tree, exp.Anonymous):
        return _call(tree)
    verb = _COMPARISONS.get(type(tree))
    if verb is None:
        return None
    left, right = term(tree.this), term(tree.expression)
    return f"{left} {verb} {right}" if left and right else None


def _call(tree: exp.Anonymous) -> str | None:
    say = _CALLS.get(tree.name.upper())
    terms = [term(argument) for argument in tree.expressions[:3]]
    if say is None or len(terms) < 3 or not all(terms):
        return None
    return say(str(terms[0]), str(terms[1]), str(terms[2]))


_CALLS: dict[str, Callable[[str, str, str], str]] = {
    "TOLERANCE_MATCH": lambda a, b, most: f"{a} and {b} at most {most} apart",
    "PERCENT_MATCH": lambda a, b, most: f"{a} and {b} at most {most} % apart",
    "DATE_WITHIN": lambda a, b, most: f"{a} and {b} at most {most} days apart",
}


def term(tree: exp.Expression) -> str | None:
    """A column or constant in words; None for anything else."""
    tree = _bare(tree)
    if isinstance(tree, exp.Column):
        return f"{_SIDES[tree.table == LEFT]} {tree.name}"
    if isinstance(tree, exp.Literal):
        return f"'{tree.name}'" if tree.is_string else tree.name
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
