"""A lowered expression with what is known of its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.plan import LEFT, Parse, SideInput
from recipe.compiler.report import Findings
from recipe.functions import FunctionSignature

MAX_DIGITS = 38
# Digits after the point of a parsed text, of an exact double, and of a quotient.
PARSED_SCALE = 10
EXACT_SCALE = 18
DERIVED_SCALE = 12
_INT64_DIGITS = 19
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Typed:
    """``tree`` is built by the compiler, never taken from the person's statement.

    ``sides`` are the sides whose columns it is made of; ``origin`` is set for a source column as it is;
    ``constant`` for a value without columns; ``literal`` for a quoted text or NULL, whose kind comes from
    what it stands beside.
    """

    tree: exp.Expression
    kind: Kind
    scale: int | None = None
    sides: frozenset[str] = frozenset()
    origin: tuple[str, str] | None = None
    constant: bool = False
    literal: bool = False

    def __post_init__(self) -> None:
        # Later passes (gaps, outputs) read the kind of a part of a tree from here; equality ignores meta.
        self.tree.meta["kind"] = self.kind
        self.tree.meta["size"] = self.size

    @property
    def size(self) -> int:
        """How many nodes the tree has; parts that were built before say it themselves."""
        known: int | None = self.tree.meta.get("size")
        if known is not None:
            return known
        parts = self.tree.walk(prune=lambda node: node is not self.tree and "size" in node.meta)
        return sum(node.meta.get("size", 1) for node in parts)

    @property
    def unknown(self) -> bool:
        return self.kind == Kind.UNKNOWN

    def with_tree(self, tree: exp.Expression, kind: Kind | None = None, scale: int | None = None) -> Typed:
        """The same provenance under another tree: no longer a plain column or literal."""
        return replace(self, tree=tree, kind=kind or self.kind, scale=scale, origin=None, literal=False)


@dataclass(frozen=True)
class Hidden:
    """Names of the columns that carry row ids: of one base row, and of the rows a derived row came from."""

    row: str
    left: str
    right: str

    def of(self, side: str) -> str:
        return self.left if side == LEFT else self.right


# A value row by row: for each base table it can come from, that table's name in the plan ("" for a constant) and the
# value over its columns.
RowValues = tuple[tuple[str, exp.Expression], ...]


@dataclass
class Usage:
    """What a statement reads, collected while names are resolved."""

    columns: list[tuple[str, str]] = field(default_factory=list)  # (side, column), in order of first use
    parses: list[Parse] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)  # safe table name -> side, base tables only
    rows: dict[tuple[str, str], RowValues] = field(default_factory=dict)  # column of a sub-query -> its row values
    tables: set[str] = field(default_factory=set)  # sides named anywhere in the statement
    broken: bool = False  # a source could not be bound, so that a side may only seem to be missing


@dataclass
class Shared:
    """What every pass of one compilation shares."""

    findings: Findings
    functions: Mapping[str, FunctionSignature]  # by upper-case name
    sides: Mapping[str, SideInput]
    hidden: Hidden
    usage: Usage = field(default_factory=Usage)
    made: int = 0

    def fresh(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made}"


def merged(tree: exp.Expression, kind: Kind, parts: list[Typed], scale: int | None = None) -> Typed:
    """A value computed from ``parts``."""
    sides = frozenset(side for part in parts for side in part.sides)
    return Typed(tree, kind, scale, sides, constant=all(part.constant for part in parts))


def unknown(tree: exp.Expression | None = None) -> Typed:
    """A value nothing is known of: an unread schema, or a part whose problem has been reported."""
    return Typed(tree if tree is not None else exp.Null(), Kind.UNKNOWN)


def text(value: str) -> exp.Literal:
    return exp.Literal.string(value)


def integer(value: int) -> Typed:
    tree = exp.Literal.number(abs(value))
    return Typed(exp.Neg(this=tree) if value < 0 else tree, Kind.INTEGER, 0, constant=True)


def call(name: str, *args: exp.Expression) -> exp.Anonymous:
    """A call that is left by name in the plan: the product's functions and the KALLA_ ones."""
    return exp.Anonymous(this=name, expressions=list(args))


def cast(tree: exp.Expression, target: str) -> exp.Cast:
    return exp.Cast(this=tree, to=exp.DataType.build(target, dialect="duckdb"))


def is_column(typed: Typed) -> bool:
    return isinstance(typed.tree, exp.Column)


def number_literal(written: str) -> Typed | None:
    """An exact number as written (``0.02``, ``1e-2``, ``-5``), without exponent; None where it is none or
    too long.
    """
    try:
        value = Decimal(written.strip())
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
        return None
    plain = format(abs(value), "f")
    whole, _, fraction = plain.partition(".")
    if len(whole.lstrip("0")) + len(fraction) > MAX_DIGITS:
        return None
    is_integer = written.strip().lstrip("+-").isdigit()
    tree: exp.Expression = exp.Literal.number(plain)
    if not fraction and int(whole) not in _INT64:
        tree = cast(text(plain), f"DECIMAL({MAX_DIGITS}, 0)")  # engines read longer digits as inexact
    if value < 0:
        tree = exp.Neg(this=tree)
    return Typed(tree, Kind.INTEGER if is_integer else Kind.DECIMAL, len(fraction), constant=True)


def whole_digits(number: Typed) -> int:
    """How many digits a number may have before its point, as far as is known."""
    tree = number.tree
    while isinstance(tree, (exp.Neg, exp.Paren)):
        tree = tree.this
    if isinstance(tree, exp.Literal):
        return len(tree.name.partition(".")[0])
    if number.kind == Kind.INTEGER:
        return _INT64_DIGITS
    scale, precision = number.scale if number.scale is not None else DERIVED_SCALE, tree.meta.get("precision")
    return (precision if isinstance(precision, int) else MAX_DIGITS) - scale


def grouped(tree: exp.Expression) -> exp.Expression:
    """A tree as an operand: in parentheses where the printed text would otherwise bind differently."""
    loose = (
        exp.Connector,
        exp.Binary,
        exp.Not,
        exp.Is,
        exp.Between,
        exp.In,
        exp.Like,
        exp.ILike,
        exp.Neg,
        exp.Case,
    )
    tight = (exp.Dot, exp.Paren)
    return exp.Paren(this=tree) if isinstance(tree, loose) and not isinstance(tree, tight) else tree
