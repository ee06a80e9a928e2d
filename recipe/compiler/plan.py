"""What match_sql means, resolved: the MatchPlan that engines execute. No engine's dialect appears in it.

Trees in a plan are sqlglot expressions in which

- a column of a source is ``Column(this=<exact name, quoted>, table="l" | "r")``, whatever aliases the SQL used;
- a text read as a number, date or timestamp is ``Anonymous("KALLA_NUMBER", [text, decimal, thousands])``,
  ``Anonymous("KALLA_DATE", [text, date_order])`` or ``Anonymous("KALLA_TIMESTAMP", [text, date_order])``,
  with the source's format as string literals; NULL when the text does not parse;
- an exact decimal division is ``Anonymous("KALLA_DIVIDE", [a, b])``, NULL where b is zero; a double beside a
  decimal is ``Anonymous("KALLA_EXACT", [double])``;
- the product's functions are ``Anonymous("<NAME>", [...])`` with the name in upper case;
- everything else is plain SQL that every engine of the product understands. ``node.meta["kind"]`` holds the
  Kind of each part that the compiler has built.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlglot import exp

from recipe.columns import Column, Kind
from recipe.errors import Problem

LEFT, RIGHT = "l", "r"


class PlanClass(StrEnum):
    EQUI = "equi"  # at least one equality between the sides: any strategy
    INEQUALITY = "inequality"  # conditions, none of them an equality: local or broadcast
    GENERAL = "general"  # grouping, unions, windows ...: one worker, rows tracked through it


class GapUnit(StrEnum):
    NONE = "none"
    NUMBER = "number"
    DAYS = "days"


@dataclass(frozen=True)
class KeyPair:
    """``left = right`` with each expression over one side only. Both have the same comparable kind."""

    left: exp.Expression
    right: exp.Expression
    sql: str


@dataclass(frozen=True)
class Condition:
    """One conjunct. ``sql`` is its text as the person wrote it, for evidence.

    ``gap`` is how far apart the compared values are when the condition fails: a non-negative number, or
    days; None where distance has no meaning (text, OR, functions).
    """

    tree: exp.Expression
    sql: str
    gap: exp.Expression | None = None
    gap_unit: GapUnit = GapUnit.NONE


@dataclass(frozen=True)
class Output:
    """One column of the matched set. A plain source column has ``side`` and ``column``; else only ``tree``.

    In a GENERAL plan an output without ``side`` is the column of that name in the traced statement's
    result, and one with ``side`` is a key column that the select list lacks: its value belongs to the
    pair's row of that side.
    """

    name: str
    tree: exp.Expression
    side: str | None = None
    column: str | None = None


@dataclass(frozen=True)
class Parse:
    """A text column (or expression) that a condition reads as a number or date, on one side."""

    side: str
    text: exp.Expression
    parsed: exp.Expression
    column: str  # the name shown in warnings


@dataclass(frozen=True)
class TracedQuery:
    """A general statement rewritten so that each result row carries the source rows it came from.

    ``tree`` is a complete statement over the tables ``left_src`` and ``right_src`` (each with the hidden
    integer column ``row_column``), whose select list is ``left_rows``, ``right_rows`` (BIGINT lists,
    ascending, distinct, never NULL, never empty) and then, under their evidence names and in order, the
    outputs of the plan that have no ``side``.
    """

    tree: exp.Expression
    row_column: str
    left_rows: str
    right_rows: str


@dataclass(frozen=True)
class MatchPlan:
    """``left_columns`` and ``right_columns`` are the source columns that matching itself reads (not the
    evidence).

    ``left_only`` and ``right_only`` are conjuncts over one side; ``conditions`` are the residual conjuncts
    over both. ``left_numbers`` and ``right_numbers`` are the numeric columns used, as (name, tree giving
    the number): control totals are kept for them. For GENERAL, ``keys`` and conditions are empty and
    ``traced`` is set.

    ``passes`` are the plans of the SELECTs of a statement that is nothing but the UNION ALL of simple ones: each
    result row is then a pair of one of them.
    """

    kind: PlanClass
    sql: str
    outputs: tuple[Output, ...]
    keys: tuple[KeyPair, ...] = ()
    left_only: tuple[Condition, ...] = ()
    right_only: tuple[Condition, ...] = ()
    conditions: tuple[Condition, ...] = ()
    left_columns: tuple[str, ...] = ()
    right_columns: tuple[str, ...] = ()
    left_numbers: tuple[tuple[str, exp.Expression], ...] = ()
    right_numbers: tuple[tuple[str, exp.Expression], ...] = ()
    parses: tuple[Parse, ...] = ()
    traced: TracedQuery | None = None
    passes: tuple[MatchPlan, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def key_columns(self, side: str) -> tuple[str, ...]:
        """Source columns that the equality keys of one side read, without repeats."""
        trees = [k.left if side == LEFT else k.right for k in self.keys]
        return tuple(dict.fromkeys(c.name for tree in trees for c in tree.find_all(exp.Column)))


@dataclass(frozen=True)
class SideInput:
    """What the compiler may know of one side. ``schema`` is None where a recipe is checked without its
    sources.
    """

    schema: tuple[Column, ...] | None
    primary_key: tuple[str, ...]
    decimal: str = "."
    thousands: str = ""
    date_order: str = "ymd"


__all__ = [
    "LEFT",
    "RIGHT",
    "Column",
    "Condition",
    "GapUnit",
    "KeyPair",
    "Kind",
    "MatchPlan",
    "Output",
    "Parse",
    "PlanClass",
    "SideInput",
    "TracedQuery",
]
