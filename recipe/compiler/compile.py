"""match_sql compiled: parse, bind, choose the class, make the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlglot import exp

from recipe.compiler.bind import Binder
from recipe.compiler.bound import BoundQuery, BoundSelect
from recipe.compiler.outputs import Wanted, evidence_names, missing_keys, source_column
from recipe.compiler.parse import parse_statement
from recipe.compiler.plan import LEFT, RIGHT, MatchPlan, Output, Parse, PlanClass, SideInput
from recipe.compiler.report import (
    MISSING_SIDE,
    NO_CONDITION,
    OUTER_JOIN,
    UNTRACEABLE,
    Findings,
)
from recipe.compiler.scope import BASE_TABLES, TABLE_OF
from recipe.compiler.simple import is_simple, simple_outputs, split
from recipe.compiler.trace import hidden_names, traced_query
from recipe.compiler.typed import Shared
from recipe.compiler.usage import columns_read, condition_trees, general_numbers, simple_numbers
from recipe.errors import Problem, RecipeError
from recipe.functions import FunctionSignature


def compile_match_sql(
    sql: str, left: SideInput, right: SideInput, functions: Mapping[str, FunctionSignature]
) -> MatchPlan:
    """The plan of a statement.

    Without schemas (``SideInput.schema is None``) only the form is checked: kinds are unknown, nothing is
    cast, and a ``*`` stays one output named ``*``.

    Args:
        sql: the statement, as in contract 1.6.
        left, right: what is known of each side.
        functions: the product's own functions by name; the SQL builtins are the compiler's.

    Raises:
        RecipeError: with every problem found in ``details``.
    """
    plan, problems, _ = check_match_sql(sql, left, right, functions)
    if plan is None:
        raise RecipeError.from_problems(problems)
    return plan


def check_match_sql(
    sql: str, left: SideInput, right: SideInput, functions: Mapping[str, FunctionSignature]
) -> tuple[MatchPlan | None, list[Problem], list[Problem]]:
    """The same without raising: the plan or None, the problems, and the warnings."""
    findings = Findings(sql)
    tree = parse_statement(sql, findings)
    plan = _plan(sql, tree, findings, {LEFT: left, RIGHT: right}, functions) if tree is not None else None
    return (None if findings.problems else plan), findings.problems, findings.warnings


def _plan(
    sql: str,
    tree: exp.Expression,
    findings: Findings,
    sides: Mapping[str, SideInput],
    functions: Mapping[str, FunctionSignature],
) -> MatchPlan | None:
    tree = tree.copy()  # binding writes into it
    named = {name.upper(): signature for name, signature in functions.items()}
    taken = {i.name for i in tree.find_all(exp.Identifier)}
    taken |= {c.name for side in sides.values() for c in side.schema or ()}
    shared = Shared(findings, named, sides, hidden_names(taken))
    simple = is_simple(tree, {name for name, s in named.items() if s.aggregate})
    query = Binder(shared, simple).query(tree, None, (), True)
    _both_sides(shared, tree, query)
    if query is None or findings.problems:
        return None
    if simple and isinstance(query, BoundSelect):
        return _simple_plan(sql, shared, query)
    passes = _passes(tree, lambda part: _plan(sql, part, Findings(sql), sides, functions), named)
    return replace(_general_plan(sql, shared, query), passes=passes)


def _passes(
    tree: exp.Expression, plan: Callable[[exp.Expression], MatchPlan | None], named: Mapping[str, FunctionSignature]
) -> tuple[MatchPlan, ...]:
    """The plans of the SELECTs that UNION ALL puts together; none where it is not all that the statement does."""
    aggregates = {name for name, signature in named.items() if signature.aggregate}
    if isinstance(tree, exp.Select):
        found = plan(tree) if is_simple(tree, aggregates) else None
        return () if found is None else (found,)
    others = {name for name, value in tree.args.items() if value} - {"this", "expression"}
    if not isinstance(tree, exp.Union) or others:
        return ()
    parts = [_passes(part, plan, named) for part in (tree.this, tree.expression)]
    return (*parts[0], *parts[1]) if all(parts) else ()


def _both_sides(shared: Shared, tree: exp.Expression, query: BoundQuery | None) -> None:
    """Every pair needs a row of each side: both tables named, and both kept together in result rows."""
    findings = shared.findings
    missing = [TABLE_OF[side] for side in (LEFT, RIGHT) if side not in shared.usage.tables]
    if missing and not shared.usage.broken:
        unused = "left_src and right_src are" if len(missing) == 2 else f"{missing[0]} is"
        message = f"{unused} not used: match_sql must read left_src and right_src"
        findings.problem(MISSING_SIDE, message)
    elif query is not None and not findings.problems and not any(len(held) == 2 for held in query.holds):
        findings.problem(UNTRACEABLE, _apart(tree, query), tree)


def _apart(tree: exp.Expression, query: BoundQuery) -> str:
    held = frozenset().union(*query.holds)
    if len(held) == 2:
        return "UNION ALL leaves each result row with one side only: join the sides or GROUP BY around it"
    lost = next(side for side in (LEFT, RIGHT) if side not in held)
    place = _clause_of(tree, TABLE_OF[lost])
    return f"result rows do not hold rows of {TABLE_OF[lost]}: it is only read in a filter{place}; join it in FROM"


def _clause_of(tree: exp.Expression, table: str) -> str:
    for node in tree.find_all(exp.Table):
        if node.name.lower() != table or table not in BASE_TABLES:
            continue
        at = node.parent
        while at is not None:
            if isinstance(at, (exp.Where, exp.Having)):
                return f" of {at.key.upper()}"
            at = at.parent
    return ""


def _simple_plan(sql: str, shared: Shared, query: BoundSelect) -> MatchPlan:
    keys, alone, rest = split(shared.findings, query)
    conditions = [*alone[LEFT], *alone[RIGHT], *rest]
    outputs = simple_outputs(shared, query.items)
    trees = condition_trees(keys, conditions)
    parses = _parses_in(shared, trees)
    numbers = simple_numbers(shared, keys, conditions, outputs, parses)
    _warn_simple(shared, query, bool(keys or rest))
    return MatchPlan(
        kind=PlanClass.EQUI if keys else PlanClass.INEQUALITY,
        sql=sql,
        outputs=outputs,
        keys=tuple(keys),
        left_only=tuple(alone[LEFT]),
        right_only=tuple(alone[RIGHT]),
        conditions=tuple(rest),
        left_columns=columns_read(trees, LEFT),
        right_columns=columns_read(trees, RIGHT),
        left_numbers=numbers[LEFT],
        right_numbers=numbers[RIGHT],
        parses=tuple(parses),
        warnings=tuple(shared.findings.warnings),
    )


def _parses_in(shared: Shared, trees: list[exp.Expression]) -> list[Parse]:
    """The parses that decide about matching; one in the select list only cannot make a row unmatched."""
    calls = {node for tree in trees for node in tree.find_all(exp.Anonymous)}
    return [parse for parse in shared.usage.parses if parse.parsed in calls]


def _warn_simple(shared: Shared, query: BoundSelect, conditions: bool) -> None:
    if any(item.join in ("LEFT", "RIGHT", "FULL") for item in query.froms):
        message = "the outer join works as an inner join: partnerless rows come out as unmatched, not as pairs"
        shared.findings.warn(OUTER_JOIN, message)
    if not conditions:
        message = "nothing relates the two sides: every left row pairs with every right row"
        shared.findings.warn(NO_CONDITION, message)


def _general_plan(sql: str, shared: Shared, query: BoundQuery) -> MatchPlan:
    parses = list(shared.usage.parses)
    numbers = general_numbers(shared, parses)
    outer = any(item.nullable for item in query.froms) if isinstance(query, BoundSelect) else False
    if outer:
        message = "rows of the outer join that lack a side are not pairs: they come out as unmatched"
        shared.findings.warn(OUTER_JOIN, message)
    wanted = [Wanted(item.name, item.value.origin) for item in query.items]
    names = evidence_names(wanted)
    outputs = [Output(name, exp.Column(this=exp.to_identifier(name, quoted=True))) for name in names]
    for name, side, column in missing_keys(shared.sides, [w.origin for w in wanted], names):
        outputs.append(Output(name, source_column(side, column), side, column))
    read = shared.usage.columns
    return MatchPlan(
        kind=PlanClass.GENERAL,
        sql=sql,
        outputs=tuple(outputs),
        left_columns=tuple(c for s, c in read if s == LEFT),
        right_columns=tuple(c for s, c in read if s == RIGHT),
        left_numbers=numbers[LEFT],
        right_numbers=numbers[RIGHT],
        parses=tuple(parses),
        traced=traced_query(shared, query, names) if query.complete else None,
        warnings=tuple(shared.findings.warnings),
    )
