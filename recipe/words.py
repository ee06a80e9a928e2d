"""A plan's keys and conditions as sentences, for people who never read SQL."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from recipe.compiler import LEFT, Condition, KeyPair

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


def key_in_words(key: KeyPair) -> str:
    """``left invoice_id equals right reference_number``; SQL where there is no simpler way to say it."""
    left, right = term(key.left), term(key.right)
    return f"{left} equals {right}" if left and right else key.sql


def condition_in_words(condition: Condition) -> str:
    """``left amount and right paid_amount are at most 0.02 apart``; SQL where there is no simpler way to say it."""
    return _sentence(condition.tree) or condition.sql


def _sentence(tree: exp.Expression) -> str | None:
    tree = _bare(tree)
    if isinstance(tree, exp.Anonymous):
        say = _CALLS.get(tree.name.upper())
        terms = [term(argument) for argument in tree.expressions[:3]]
        return say(str(terms[0]), str(terms[1]), str(terms[2])) if say and len(terms) == 3 and all(terms) else None
    verb = _COMPARISONS.get(type(tree))
    if verb is None:
        return None
    left, right = term(tree.this), term(tree.expression)
    return f"{left} {verb} {right}" if left and right else None


def term(tree: exp.Expression) -> str | None:
    """A column, constant or reference in words; None for anything else."""
    tree = _bare(tree)
    if isinstance(tree, exp.Column):
        return f"{'left' if tree.table == LEFT else 'right'} {tree.name}"
    if isinstance(tree, exp.Literal):
        return f"“{tree.name}”" if tree.is_string else tree.name
    if isinstance(tree, exp.Anonymous) and tree.name.upper() == "NORMALIZE_REF" and len(tree.expressions) == 1:
        inner = term(tree.expressions[0])
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
