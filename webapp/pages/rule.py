"""The rule of the recipe form: pairs of columns, a tolerance, a number of days; and the match_sql it stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres

_NUMBER = re.compile(r"\d{1,12}(\.\d{1,10})?")
_DAYS = re.compile(r"\d{1,5}")
_LEFT, _RIGHT = "l", "r"
_KEYWORDS = frozenset(Postgres.Tokenizer.KEYWORDS)


@dataclass(frozen=True)
class KeyRow:
    """Two columns that must be equal. ``loose``: only their letters and digits count, in capitals."""

    left: str
    right: str
    loose: bool = False


@dataclass(frozen=True)
class Rule:
    """What the form asks for. ``amounts`` and ``dates`` are a left and a right column; the limits belong to them."""

    keys: tuple[KeyRow, ...]
    amounts: tuple[str, str] | None = None
    tolerance: str = "0"
    dates: tuple[str, str] | None = None
    days: str = "0"


def limit_problem(text: str, whole: bool) -> str | None:
    """What is wrong with a tolerance or a number of days; None when it can be used."""
    if (_DAYS if whole else _NUMBER).fullmatch(text.strip()):
        return None
    return "Give a whole number of days, such as 5." if whole else "Give a number of at least 0, such as 0.02."


def build_match_sql(rule: Rule, left_key: tuple[str, ...], right_key: tuple[str, ...]) -> str:
    """The statement: a join of both sources over the rule, showing its columns and both keys."""
    conditions: list[exp.Expression] = [_key_condition(key) for key in rule.keys]
    if rule.amounts:
        limit = exp.Literal.number(format(Decimal(rule.tolerance.strip()), "f"))
        conditions.append(_call("tolerance_match", *_both(rule.amounts), limit))
    if rule.dates:
        conditions.append(_call("date_within", *_both(rule.dates), exp.Literal.number(str(int(rule.days)))))
    columns = [_column(_LEFT, name) for name in _shown(rule, 0, left_key)]
    columns += [_column(_RIGHT, name) for name in _shown(rule, 1, right_key)]
    tree = exp.select(*columns).from_(exp.alias_(exp.to_table("left_src"), _LEFT, table=True))
    tree = tree.join(exp.alias_(exp.to_table("right_src"), _RIGHT, table=True), on=exp.and_(*conditions))
    return tree.sql(dialect="postgres", pretty=True, normalize_functions=False)


def rule_in_words(rule: Rule) -> str:
    """One sentence for people: stored as the recipe's match_description."""
    parts = [_key_words(key) for key in rule.keys]
    if rule.amounts:
        left, right = rule.amounts
        same = Decimal(rule.tolerance) == 0
        parts.append(f"{left} and {right} are " + ("the same amount" if same else f"at most {rule.tolerance} apart"))
    if rule.dates:
        left, right = rule.dates
        days = int(rule.days)
        near = "the same day" if days == 0 else f"within {days} {'day' if days == 1 else 'days'} of each other"
        parts.append(f"{left} and {right} are {near}")
    return f"Two records belong together when {_joined(parts)}."


def _key_words(key: KeyRow) -> str:
    return f"{key.left} equals {key.right}" + (" by letters and digits alone" if key.loose else "")


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _shown(rule: Rule, side: int, key: tuple[str, ...]) -> tuple[str, ...]:
    pairs = [(row.left, row.right) for row in rule.keys]
    pairs += [pair for pair in (rule.amounts, rule.dates) if pair]
    return tuple(dict.fromkeys([*key, *(pair[side] for pair in pairs)]))


def _key_condition(key: KeyRow) -> exp.Expression:
    left, right = _both((key.left, key.right))
    if key.loose:
        left, right = _call("normalize_ref", left), _call("normalize_ref", right)
    return exp.EQ(this=left, expression=right)


def _both(pair: tuple[str, str]) -> tuple[exp.Expression, exp.Expression]:
    return _column(_LEFT, pair[0]), _column(_RIGHT, pair[1])


def _column(side: str, name: str) -> exp.Column:
    """Quoted where an unquoted name could be read as something else."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None and name.upper() not in _KEYWORDS
    return exp.Column(this=exp.to_identifier(name, quoted=not plain), table=exp.to_identifier(side))


def _call(name: str, *arguments: exp.Expression) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))
