"""The state of lowering one clause: its scope, what it may contain, and the table of rules.

Rules are functions ``(node, low) -> Typed``, one for each kind of node that match_sql may contain. They
build new trees; a node without a rule cannot reach a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from recipe.compiler.refusals import explain
from recipe.compiler.report import TOO_DEEP
from recipe.compiler.scope import Scope
from recipe.compiler.typed import Shared, Typed, unknown

# Some functions are written with an argument standing in several places, which multiplies within each other. The
# longest statement has less than half as many parts of its own.
MAX_TREE_SIZE = 100_000

Rule = Callable[[exp.Expression, "Lowering"], Typed]


@dataclass(frozen=True)
class SubQuery:
    """A bound sub-query as a filter or value needs it: its columns, its tree, and a cast of one column."""

    columns: tuple[Typed, ...]
    tree: Callable[[], exp.Expression]
    retype: Callable[[int, Callable[[Typed], Typed]], None]


@dataclass(frozen=True)
class Lowering:
    """``clause`` is its name for people; ``tie_break`` gives the row ids by which windows order equal
    rows.
    """

    shared: Shared
    scope: Scope
    clause: str
    rules: Mapping[type[exp.Expression], Rule]
    bind: Callable[[exp.Expression, Scope], SubQuery | None]
    aggregates: bool = False
    windows: bool = False
    inside_aggregate: bool = False
    inside_window: bool = False
    tie_break: Callable[[], list[exp.Expression]] = field(default=list)

    def lower(self, node: exp.Expression) -> Typed:
        rule = self.rules.get(type(node))
        if rule is None:
            explain(self.shared.findings, node)
            return unknown()
        value = rule(node, self)
        if value.size > MAX_TREE_SIZE:
            message = "an expression is too large: its parts repeat each other too often"
            return self.problem(TOO_DEEP, message, node)
        return value

    def within(self, *, aggregate: bool = False, window: bool = False) -> Lowering:
        return replace(
            self,
            inside_aggregate=self.inside_aggregate or aggregate,
            inside_window=self.inside_window or window,
        )

    def problem(self, code: str, message: str, at: exp.Expression) -> Typed:
        self.shared.findings.problem(code, message, at)
        return unknown()
