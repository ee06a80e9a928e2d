"""Rules and findings in words, for people who never read SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from webapp.inference.model import Link, Rule


def rule_sentence(rule: Rule) -> str:
    """What a rule asks for, without a full stop.

    >>> rule_sentence(Rule("amount", "paid", "tolerance", "0.02", 1.0, 1.0, True, "", ""))
    'amount and paid are at most 0.02 apart'
    """
    left, right, limit = rule.left_col, rule.right_col, rule.threshold or ""
    if left == right:
        left, right = f"the left {left}", f"the right {right}"
    other = ", with the opposite sign," if rule.negated else ""
    if rule.op == "eq":
        return f"{left} equals {right}"
    if rule.op == "normalized":
        return f"{left} and {right} are the same reference, whatever the blanks, signs and capitals"
    if rule.op == "contains":
        inside, whole = (right, left) if rule.right_pattern else (left, right)
        return f"{inside} contains the reference in {whole}"
    if rule.op == "regex":
        return f"{left} and {right} contain the same reference"
    if rule.op == "tolerance":
        same = f"{left} and {right}{other} are the same amount"
        return same if limit in ("", "0") else f"{left} and {right}{other} are at most {limit} apart"
    if rule.op == "percent":
        return f"{left} and {right}{other} differ by at most {limit} %"
    if rule.op == "date_within":
        return (
            f"{left} and {right} are the same day"
            if limit == "0"
            else f"{left} and {right} are within {days(int(limit))}"
        )
    return f"{left} and {right} read alike"


def days(number: int) -> str:
    """``1 day``, ``2 days``."""
    return "1 day" if number == 1 else f"{number} days"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: ``1 record``, ``1,240 records``.

    >>> counted(1240, "record"), counted(1, "match", "matches")
    ('1,240 records', '1 match')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def joined(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def description(rules: Sequence[Rule], one_to_one: bool, closest: Sequence[Rule]) -> str:
    """One paragraph for people: stored as the recipe's match_description."""
    said = [f"Two records belong together when {joined([rule_sentence(rule) for rule in rules])}."]
    if one_to_one:
        said.append(choice(closest))
    return " ".join(said)


def choice(closest: Sequence[Rule]) -> str:
    """Which one of several partners a record gets."""
    by = {"similarity": "the most alike text", "date_within": "the nearest date"}
    nearest = [by.get(rule.op, "the nearest amount") for rule in closest]
    return (
        "Each record gets one partner at most"
        + (f": of several that fit, the one with {joined(nearest)}" if nearest else "")
        + "; where two fit equally well, none is chosen."
    )


def link_rule(link: Link) -> Rule:
    """A link as a rule."""
    found = Rule(
        link.left_col,
        link.right_col,
        link.op,
        None,
        confidence=0.0,
        support=1.0,
        discriminating=True,
        reasoning=link.why,
        sentence="",
        left_pattern=link.left_pattern,
        right_pattern=link.right_pattern,
        strip_zeros=link.strip_zeros,
    )
    return with_sentence(found)


def with_sentence(rule: Rule) -> Rule:
    """The rule with its sentence."""
    return replace(rule, sentence=rule_sentence(rule))
