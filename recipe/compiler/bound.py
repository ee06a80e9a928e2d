"""A statement with its names resolved and its expressions lowered: what ``bind`` makes and the plans are
built from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sqlglot import exp

from recipe.compiler.scope import Source
from recipe.compiler.typed import Typed

# One place in the statement and what it became.
Conjunct = tuple[exp.Expression, Typed]
# The sides whose rows one result row can hold at once.
Sides = frozenset[str]


@dataclass
class Item:
    """One column of a select list: the name people see, and the unique name inside the plan."""

    name: str
    value: Typed
    internal: str = ""
    named: bool = False  # by an alias or a column, not made up


@dataclass
class FromItem:
    """One source of FROM. ``query`` is set for a derived table; ``cte`` names the one it refers to."""

    source: Source
    join: str  # "", INNER, LEFT, RIGHT, FULL or CROSS
    on: list[Conjunct] = field(default_factory=list)
    query: BoundQuery | None = None
    cte: str = ""
    holds: frozenset[Sides] = frozenset()
    comma: bool = False  # behind a comma, where the ON of a later join cannot see what stands before it
    nullable: bool = False  # an outer join can leave its columns, the hidden ones too, NULL


@dataclass
class Cte:
    name: str
    safe: str
    columns: tuple[Item, ...]
    visible: tuple[str, ...]
    query: BoundQuery


@dataclass
class BoundSelect:
    froms: list[FromItem]
    where: list[Conjunct]
    items: list[Item]
    group: list[Typed]
    having: list[Conjunct]
    grouped: bool
    distinct: bool
    ctes: list[Cte]
    complete: bool = True  # False where a star stands for columns of an unread schema

    @property
    def holds(self) -> frozenset[Sides]:
        held: frozenset[Sides] = frozenset({frozenset()})
        for item in self.froms:
            held = frozenset(a | b for a in held for b in item.holds)
        return _all_together(held) if self.grouped or self.distinct else held

    def retype(self, at: int, change: Callable[[Typed], Typed]) -> None:
        self.items[at] = replace(self.items[at], value=change(self.items[at].value))


@dataclass
class BoundUnion:
    """UNION ALL of two queries, or UNION where ``distinct``."""

    left: BoundQuery
    right: BoundQuery
    items: list[Item]
    distinct: bool
    ctes: list[Cte]
    complete: bool = True

    @property
    def holds(self) -> frozenset[Sides]:
        held = self.left.holds | self.right.holds
        return _all_together(held) if self.distinct else held

    def retype(self, at: int, change: Callable[[Typed], Typed]) -> None:
        self.left.retype(at, change)
        self.right.retype(at, change)
        self.items[at] = replace(self.items[at], value=change(self.items[at].value))


BoundQuery = BoundSelect | BoundUnion


def _all_together(held: frozenset[Sides]) -> frozenset[Sides]:
    """Grouping merges rows: one result row can hold everything its inputs could."""
    return held | {frozenset().union(*held)} if held else held
