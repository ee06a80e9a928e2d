"""Rules as a match_sql, written as a tree: names are quoted by sqlglot, constants are literals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres

from recipe import Kind
from webapp.inference.columns import Columns
from webapp.inference.model import Rule
from webapp.inference.values import CURRENCY

LEFT, RIGHT = "l", "r"
_KEYWORDS = frozenset(Postgres.Tokenizer.KEYWORDS)
_FAR = 99_999  # days; behind every real difference
Sides = tuple[Columns, Columns]


@dataclass(frozen=True)
class Statement:
    """What a match_sql is made of. ``closest`` are rules by whose nearness partners are ranked where ``one_to_one``
    lets each record have one partner only; records that two partners fit equally well stay without."""

    rules: tuple[Rule, ...]
    left_pk: tuple[str, ...]
    right_pk: tuple[str, ...]
    one_to_one: bool = False
    closest: tuple[Rule, ...] = ()


def match_sql(statement: Statement, sides: Sides) -> str:
    """The text of a statement, in PostgreSQL's SQL."""
    tree = _ranked(statement, sides) if statement.one_to_one else _joined(statement, sides)
    return tree.sql(dialect="postgres", pretty=True, normalize_functions=False)


def _joined(statement: Statement, sides: Sides) -> exp.Select:
    columns = [_column(*shown) for shown in _shown(statement)]
    return _from(exp.select(*columns), statement, sides)


def _from(select: exp.Select, statement: Statement, sides: Sides) -> exp.Select:
    conditions = [condition(rule, sides, alone=not any(r.is_key for r in statement.rules)) for rule in statement.rules]
    left = exp.alias_(exp.to_table("left_src"), LEFT, table=True)
    right = exp.alias_(exp.to_table("right_src"), RIGHT, table=True)
    return select.from_(left).join(right, on=exp.and_(*conditions))


def condition(rule: Rule, sides: Sides, *, alone: bool = False) -> exp.Expr:
    """One rule as a condition. ``alone``: equal amounts are written as an equality, so that the join has a key."""
    if rule.is_key:
        left, right = _key(rule, 0, sides), _key(rule, 1, sides)
        return exp.EQ(this=left, expression=right)
    left, right = _value(rule, 0, sides), _value(rule, 1, sides)
    threshold = exp.Literal.number(rule.threshold or "0")
    if rule.op == "tolerance":
        if alone and rule.threshold == "0":
            return exp.EQ(this=_numeric(left), expression=_numeric(right))
        return _call("tolerance_match", left, right, threshold)
    if rule.op == "percent":
        return _call("percent_match", left, right, threshold)
    if rule.op == "date_within":
        return _call("date_within", left, right, threshold)
    return exp.GTE(this=_call("text_similarity", left, right), expression=threshold)


def _numeric(tree: exp.Expr) -> exp.Expr:
    return exp.cast(tree, "numeric", dialect="postgres")


def _key(rule: Rule, at: int, sides: Sides) -> exp.Expr:
    """The comparable side of an equality."""
    name = (rule.left_col, rule.right_col)[at]
    column = _column(at, name)
    if rule.op == "eq":
        both = sides[0].profile.column(rule.left_col).kind, sides[1].profile.column(rule.right_col).kind
        return exp.cast(column, "date", dialect="postgres") if both == ("date", "date") else column
    pattern = (rule.left_pattern, rule.right_pattern)[at]
    text: exp.Expr = column
    if pattern:
        text = _call("regex_extract", exp.Upper(this=column), exp.Literal.string(pattern))
    return _call("normalize_ref", text, *([exp.true()] if rule.strip_zeros else []))


def _value(rule: Rule, at: int, sides: Sides) -> exp.Expr:
    """The side of a comparison: amounts without signs of currencies, texts in capitals."""
    name = (rule.left_col, rule.right_col)[at]
    tree: exp.Expr = _column(at, name)
    if rule.op in ("tolerance", "percent"):
        if sides[at].profile.column(name).cleaning:
            tree = _call("REGEXP_REPLACE", tree, *map(exp.Literal.string, (CURRENCY, "", "g")))
        if at == 1 and rule.negated:
            tree = exp.Neg(this=_numeric(tree) if sides[at].table.kind(name) is Kind.TEXT else tree)
    elif rule.op == "similarity":
        tree = exp.Upper(this=tree)
    return tree


# --- one partner each ----------------------------------------------------------------------------------


def _ranked(statement: Statement, sides: Sides) -> exp.Select:
    """Candidates, ranked from both sides; pairs that are each other's single best."""
    shown = _shown(statement)
    names = _output_names(shown)
    outputs = [names[one] for one in shown]
    keys = [[names[(at, name)] for name in pk] for at, pk in enumerate((statement.left_pk, statement.right_pk))]
    taken = set(outputs)
    scores = [(_free(f"score_{at}", taken), tree) for at, tree in enumerate(_scores(statement, sides), start=1)]
    ranks = [_free(f"{side}_rank", taken) for side in ("left", "right")]
    ties = [_free(f"{side}_ties", taken) for side in ("left", "right")]
    candidates = exp.select(*(exp.alias_(_column(*one), names[one], quoted=True) for one in shown))
    candidates = candidates.select(*(exp.alias_(tree, name) for name, tree in scores))
    candidates = _from(candidates, statement, sides)
    order = exp.Order(expressions=[exp.Ordered(this=exp.column(name), desc=False) for name, _ in scores])
    ranked = exp.select(*map(_output, outputs)).from_("candidates")
    for name, key in zip(ranks, keys, strict=True):
        window = exp.Window(this=exp.Anonymous(this="RANK"), partition_by=[*map(_output, key)], order=order.copy())
        ranked = ranked.select(exp.alias_(window, name))
    best = exp.select(*map(_output, outputs)).from_("ranked").where(*(exp.column(name).eq(1) for name in ranks))
    for name, key in zip(ties, keys, strict=True):
        window = exp.Window(this=exp.Count(this=exp.Star()), partition_by=[*map(_output, key)])
        best = best.select(exp.alias_(window, name))
    final = exp.select(*map(_output, outputs)).from_("best").where(*(exp.column(name).eq(1) for name in ties))
    return final.with_("candidates", as_=candidates).with_("ranked", as_=ranked).with_("best", as_=best)


def _scores(statement: Statement, sides: Sides) -> list[exp.Expr]:
    """Smaller is nearer. Texts count in tenths first, so that days decide between names that are about as alike."""
    fine: list[exp.Expr] = []
    found: list[exp.Expr] = []
    for rule in statement.closest:
        left, right = _value(rule, 0, sides), _value(rule, 1, sides)
        if rule.op == "similarity":
            apart = exp.Sub(this=exp.Literal.number(1), expression=_call("text_similarity", left, right))
            found.append(_coalesced(_call("ROUND", apart, exp.Literal.number(1)), 2))
            fine.append(_coalesced(apart.copy(), 2))
        elif rule.op == "date_within":
            days = exp.Sub(this=_as_date(left), expression=_as_date(right))
            found.append(_coalesced(exp.Abs(this=exp.paren(days)), _FAR))
        else:
            gap = exp.Sub(this=_numeric(left), expression=_numeric(right))
            found.append(exp.Abs(this=gap))
    return [*found, *fine] or [exp.Literal.number(1)]


def _as_date(tree: exp.Expr) -> exp.Expr:
    return exp.cast(tree, "date", dialect="postgres")


def _coalesced(tree: exp.Expr, default: int) -> exp.Expr:
    return exp.Coalesce(this=tree, expressions=[exp.Literal.number(default)])


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _output(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def _output_names(shown: Sequence[tuple[int, str]]) -> dict[tuple[int, str], str]:
    """A name for each column that is shown; those of both sides get their side's word."""
    folded = [name.casefold() for _, name in shown]
    taken: set[str] = set()
    names = {}
    for at, name in shown:
        wanted = name if folded.count(name.casefold()) == 1 else f"{('left', 'right')[at]}_{name}"
        names[(at, name)] = _free(wanted, taken)
    return names


# --- names ---------------------------------------------------------------------------------------------


def _shown(statement: Statement) -> list[tuple[int, str]]:
    """Keys first, then the columns that the rules compare, each once."""
    rules = (*statement.rules, *statement.closest)
    left = dict.fromkeys([*statement.left_pk, *(rule.left_col for rule in rules)])
    right = dict.fromkeys([*statement.right_pk, *(rule.right_col for rule in rules)])
    return [*((0, name) for name in left), *((1, name) for name in right)]


def _column(at: int, name: str) -> exp.Column:
    """Quoted where an unquoted name could be read as something else."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None and name.upper() not in _KEYWORDS
    return exp.Column(this=exp.to_identifier(name, quoted=not plain), table=exp.to_identifier((LEFT, RIGHT)[at]))


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))
