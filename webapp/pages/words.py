"""A rule in plain words: what ``match_sql`` asks for, as sentences of people who never read SQL."""

from __future__ import annotations

from functools import lru_cache

from recipe import MatchPlan, PlanClass, SideInput, check_match_sql, condition_in_words, key_in_words
from udfs import signatures

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
    keys = {key.sql: key_in_words(key) for key in plan.keys}
    return keys | {condition.sql: condition_in_words(condition) for condition in conditions}


@lru_cache(maxsize=256)
def _plan(match_sql: str) -> MatchPlan | None:
    if not match_sql:
        return None
    side = SideInput(schema=None, primary_key=())
    return check_match_sql(match_sql, side, side, signatures())[0]
