"""Signatures of the functions that match_sql may call, as data.

The compiler's allow-list is made of these: the builtins in ``recipe.compiler`` and the product's own functions,
which ``udfs`` registers with the same class.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Arg(StrEnum):
    """What a parameter wants. A text value given for ``NUMBER`` or ``DATE`` is parsed by its source's format."""

    NUMBER = "number"
    TEXT = "text"
    DATE = "date"
    BOOLEAN = "boolean"
    ANY = "any"


class Nulls(StrEnum):
    """What a NULL argument does."""

    PROPAGATE = "propagate"  # any NULL argument gives NULL
    OWN = "own"  # the function has its own rule (COALESCE, aggregates)


class Returns(StrEnum):
    """The kind of a call's value; FIRST and WIDEST depend on the arguments."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"
    TEXT = "text"
    DATE = "date"
    TIMESTAMP = "timestamp"
    FIRST = "first"  # the kind of the first argument
    WIDEST = "widest"  # the common kind of all arguments


@dataclass(frozen=True)
class FunctionSignature:
    """One callable name. ``required`` arguments must be given; a ``variadic`` last parameter repeats.

    ``literal`` holds the positions (0-based) that must be constants, as an option or a pattern must.
    """

    name: str
    args: tuple[Arg, ...]
    returns: Returns
    required: int | None = None
    variadic: bool = False
    nulls: Nulls = Nulls.PROPAGATE
    aggregate: bool = False
    window_only: bool = False
    literal: frozenset[int] = frozenset()

    @property
    def at_least(self) -> int:
        return len(self.args) if self.required is None else self.required

    @property
    def at_most(self) -> int | None:
        return None if self.variadic else len(self.args)
