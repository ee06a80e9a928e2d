"""Why a part of a statement is refused: the clause or function named, with its code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sqlglot import exp

from recipe.compiler.builtins import BUILTINS
from recipe.compiler.report import FORBIDDEN, UNSUPPORTED, UNTRACEABLE, Findings

_SAME_RESULT = "the same input must give the same result"
_NOT_REPEATABLE = (
    exp.CurrentTimestamp,
    exp.CurrentDate,
    exp.CurrentTime,
    exp.CurrentDatetime,
    exp.Rand,
    exp.Randn,
    exp.Uuid,
    exp.CurrentTimestampLTZ,
    exp.Localtime,
    exp.Localtimestamp,
)
_NOT_REPEATABLE_NAMES = frozenset(
    "AGE ANY_VALUE ARBITRARY CLOCK_TIMESTAMP CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP FIRST "
    "GEN_RANDOM_UUID GET_CURRENT_TIME GET_CURRENT_TIMESTAMP LAST LOCALTIME LOCALTIMESTAMP NOW RANDOM "
    "RANDOM_NORMAL SETSEED STATEMENT_TIMESTAMP TIMEOFDAY TODAY TRANSACTION_TIMESTAMP UUID".split()
)
_STATEMENTS = (exp.DML, exp.DDL, exp.Command, exp.Copy, exp.Set, exp.Pragma, exp.Attach, exp.Detach, exp.Drop)
_PARAMETERS = (exp.Placeholder, exp.Parameter, exp.SessionParameter)
# Functions to the parser, operators to people.
_OPERATORS = (exp.Connector, exp.Array, exp.Struct, exp.JSONExtract, exp.Collate, exp.Pow)

# Clauses of SELECT that would make rows impossible to follow, or that no engine of the product shares.
_CLAUSES: dict[str, tuple[str, str]] = {
    "limit": (UNTRACEABLE, "LIMIT keeps an arbitrary part of the rows: use ROW_NUMBER() and a condition"),
    "offset": (UNTRACEABLE, "OFFSET drops an arbitrary part of the rows: use ROW_NUMBER() and a condition"),
    "into": (FORBIDDEN, "SELECT INTO writes a table: match_sql only reads"),
    "locks": (FORBIDDEN, "FOR UPDATE and FOR SHARE lock rows: match_sql only reads"),
    "windows": (UNSUPPORTED, "WINDOW is not supported: write the window in OVER (...)"),
    "qualify": (UNSUPPORTED, "QUALIFY is not supported: put the window in a sub-query and filter outside"),
    "laterals": (UNTRACEABLE, "LATERAL cannot be traced to source rows"),
    "pivots": (UNTRACEABLE, "PIVOT cannot be traced to source rows"),
    "sample": (UNTRACEABLE, f"TABLESAMPLE is refused: {_SAME_RESULT}"),
    "match": (UNTRACEABLE, "MATCH_RECOGNIZE cannot be traced to source rows"),
    "connect": (UNTRACEABLE, "CONNECT BY cannot be traced to source rows"),
    "by_name": (UNSUPPORTED, "UNION BY NAME is not supported: list the columns in order"),
    "only": (UNSUPPORTED, "ONLY is not supported"),
    "hint": (UNSUPPORTED, "hints are not supported"),
    "distribute": (UNSUPPORTED, "DISTRIBUTE BY is not supported"),
    "cluster": (UNSUPPORTED, "CLUSTER BY is not supported"),
    "sort": (UNSUPPORTED, "SORT BY is not supported"),
}


# The keyword that begins a clause, where it is not the clause's own name.
_WORDS: dict[str, tuple[str, ...]] = {
    "limit": ("LIMIT", "FETCH"),
    "locks": ("FOR",),
    "windows": ("WINDOW",),
    "laterals": ("LATERAL",),
    "pivots": ("PIVOT", "UNPIVOT"),
    "sample": ("TABLESAMPLE",),
    "match": ("MATCH_RECOGNIZE",),
    "by_name": ("NAME",),
}


def refuse_clauses(findings: Findings, node: exp.Expression, allowed: Iterable[str], what: str) -> bool:
    """Report every clause of ``node`` that is not on the allow-list; True where there was one."""
    known, refused = set(allowed), False
    for clause, value in node.args.items():
        if clause in known or value is None or value is False or value == []:
            continue
        code, message = _CLAUSES.get(clause, (UNSUPPORTED, f"{clause.strip('_').upper()} is not supported in {what}"))
        place = value[0] if isinstance(value, list) else value
        near = place if isinstance(place, exp.Expression) else node
        word = findings.word(_WORDS.get(clause, (clause.strip("_"),)), near)
        findings.problem(code, message, near if word is None else word)
        refused = True
    return refused


def explain(findings: Findings, node: exp.Expression) -> None:
    """Report why a node that no rule covers may not be used."""
    if isinstance(node, _STATEMENTS):
        findings.problem(FORBIDDEN, f"{node.key.upper()} is not allowed: match_sql is one SELECT", node)
    elif isinstance(node, _NOT_REPEATABLE):
        name = _function_name(findings, node)
        findings.problem(FORBIDDEN, f"{name.upper()} is not allowed: {_SAME_RESULT}", _place(findings, node))
    elif isinstance(node, _PARAMETERS):
        message = "parameters (:name, ? or $1) are not allowed, they have no value here: write the value itself"
        findings.problem(FORBIDDEN, message, findings.word((":", "?", "$", "@"), node))
    elif isinstance(node, (exp.Unnest, exp.UDTF, exp.Lateral, exp.Explode)):
        word = "UNNEST" if isinstance(node, (exp.Unnest, exp.Explode)) else node.key.upper()
        findings.problem(UNTRACEABLE, f"{word} cannot be traced to source rows", _place(findings, node, word))
    elif isinstance(node, exp.Func) and not isinstance(node, _OPERATORS):
        refuse_function(findings, node, _function_name(findings, node), ())
    else:
        message = f"{_construct(node)} is not supported: {_short(findings, node)}"
        findings.problem(UNSUPPORTED, message, node)


def refuse_function(findings: Findings, node: exp.Expression, name: str, product: Iterable[str]) -> None:
    """A function that is not on the allow-list, with the nearest that is."""
    place = _place(findings, node, name)
    if name.upper() in _NOT_REPEATABLE_NAMES:
        findings.problem(FORBIDDEN, f"{name.upper()} is not allowed: {_SAME_RESULT}", place)
        return
    known = {n.lower() for n in (*product, *BUILTINS)}
    near = difflib.get_close_matches(name.lower(), sorted(known), n=2, cutoff=0.75)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    findings.problem(FORBIDDEN, f"the function {name} may not be used in match_sql{hint}", place)


def _place(findings: Findings, node: exp.Expression, *words: str) -> exp.Expression | int:
    """A node's own token; for the few the parser notes nowhere, the token with its name."""
    if any(isinstance(n.meta.get("start"), int) for n in node.walk()):
        return node
    names = [*words, node.key]
    if isinstance(node, exp.Func):
        names.append(node.sql_name())
    found = findings.word(names)
    return node if found is None else found


def _function_name(findings: Findings, node: exp.Func) -> str:
    start, end = node.meta.get("start"), node.meta.get("end")
    if isinstance(start, int) and isinstance(end, int):
        return findings.sql[start : end + 1]
    return node.name if isinstance(node, exp.Anonymous) else node.sql_name()


def _construct(node: exp.Expression) -> str:
    names = {
        exp.Bracket: "element access []",
        exp.Dot: "member access",
        exp.Array: "an ARRAY",
        exp.Struct: "a struct",
        exp.Lambda: "a lambda",
        exp.JSONExtract: "the operator ->",
        exp.Tuple: "a row of values",
        exp.Any: "ANY",
        exp.All: "ALL",
        exp.Collate: "COLLATE",
        exp.AtTimeZone: "AT TIME ZONE",
        exp.SimilarTo: "SIMILAR TO",
        exp.Interval: "INTERVAL here",
        exp.Star: "* here",
        exp.Ordered: "ORDER BY here",
        exp.Distinct: "DISTINCT here",
        exp.Pow: "the operator ^",
        exp.Alias: "a name given here",
    }
    return names.get(type(node), node.key.upper())


def _short(findings: Findings, node: exp.Expression) -> str:
    shown = findings.text_of(node)
    return shown if len(shown) <= 60 else shown[:57] + "..."
