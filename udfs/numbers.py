"""Functions over numbers. All of them are exact: decimals are compared as decimals, never as binary
floats."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from sqlglot import exp

from recipe import Arg, FunctionSignature, Returns
from udfs.registry import udf
from udfs.trees import refuse_negative, template

Number = int | float | Decimal

# Adding a zero of DECIMAL(1,0) turns small and unsigned integers into decimals with room for the difference:
# without it DuckDB subtracts in the column's own type, and 3 - 5 overflows in an unsigned column.
_TOLERANCE = template("ABS(a + CAST(0 AS DECIMAL(1, 0)) - b) <= t")

# The zero of DECIMAL(19,0) widens the product too: percent of a DECIMAL(18,2) would otherwise be kept in 18
# digits.
_PERCENT = template("ABS(a + CAST(0 AS DECIMAL(19, 0)) - b) * 100 <= ABS(a + CAST(0 AS DECIMAL(19, 0))) * percent")


def exact(number: Number) -> Fraction:
    """The number as people read it: a float counts as its shortest decimal text.

    >>> exact(0.1) == Fraction(1, 10)
    True
    """
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def _lower_tolerance(args: list[exp.Expression]) -> exp.Expression:
    refuse_negative(args[2], "tolerance_match", "tolerance")
    return _TOLERANCE(a=args[0], b=args[1], t=args[2])


def _lower_percent(args: list[exp.Expression]) -> exp.Expression:
    refuse_negative(args[2], "percent_match", "percentage")
    return _PERCENT(a=args[0], b=args[1], percent=args[2])


@udf(
    FunctionSignature("TOLERANCE_MATCH", (Arg.NUMBER, Arg.NUMBER, Arg.NUMBER), Returns.BOOLEAN),
    lower=_lower_tolerance,
)
def tolerance_match(a: Number, b: Number, tolerance: Number) -> bool:
    """True when a and b lie at most tolerance apart, limit included.

    >>> tolerance_match(Decimal("99.99"), Decimal("100.00"), Decimal("0.01"))
    True
    """
    return abs(exact(a) - exact(b)) <= exact(tolerance)


@udf(
    FunctionSignature("PERCENT_MATCH", (Arg.NUMBER, Arg.NUMBER, Arg.NUMBER), Returns.BOOLEAN),
    lower=_lower_percent,
)
def percent_match(a: Number, b: Number, percent: Number) -> bool:
    """True when b differs from a by at most percent per cent of a, limit included.

    Nothing is divided, so an a of zero matches only zero.

    >>> percent_match(100, 98, 2)
    True
    """
    return abs(exact(a) - exact(b)) * 100 <= abs(exact(a)) * exact(percent)
