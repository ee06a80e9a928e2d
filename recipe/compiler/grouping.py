"""GROUP BY: what counts as an aggregate, and columns that are neither grouped nor aggregated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlglot import exp

from recipe.compiler.aggregates import AGGREGATES
from recipe.compiler.bound import BoundSelect
from recipe.compiler.report import GROUPING, Findings
from recipe.functions import FunctionSignature


def has_aggregate(parts: Iterable[exp.Expression], functions: Mapping[str, FunctionSignature]) -> bool:
    """Whether an aggregate of this SELECT itself stands in ``parts``: not of a sub-query, not one with
    OVER.
    """
    for part in parts:
        for node in part.walk(prune=lambda n: isinstance(n, exp.Query)):
            if isinstance(node, AGGREGATES) and not _over(node):
                return True
            if isinstance(node, exp.Anonymous):
                signature = functions.get(node.name.upper())
                if signature is not None and signature.aggregate:
                    return True
    return False


def _over(node: exp.Expression) -> bool:
    holder = node.parent.parent if isinstance(node.parent, exp.Filter) else node.parent
    inner = node.parent if isinstance(node.parent, exp.Filter) else node
    return isinstance(holder, exp.Window) and holder.this is inner


def check_grouping(findings: Findings, query: BoundSelect) -> None:
    """Report columns of the select list and HAVING that a group has many values of."""
    own = {item.source.safe for item in query.froms}
    grouped = {typed.tree for typed in query.group}
    for tree in [item.value.tree for item in query.items] + [typed.tree for _, typed in query.having]:
        for column in _loose(tree, grouped):
            if column.table in own:
                message = f'"{column.name}" must stand in GROUP BY or inside an aggregate such as SUM or MIN'
                findings.problem(GROUPING, message, column.meta.get("start"))


def _loose(tree: exp.Expression, grouped: set[exp.Expression]) -> list[exp.Column]:
    found: list[exp.Column] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        if node in grouped or (isinstance(node, AGGREGATES) and not _over(node)):
            continue
        if isinstance(node, exp.Filter) and not isinstance(node.parent, exp.Window):
            continue
        if isinstance(node, exp.Column):
            found.append(node)
        else:
            stack += list(node.iter_expressions())
    return found
