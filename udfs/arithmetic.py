"""The compiler's logical nodes for exact arithmetic, as DuckDB trees, with their Python references.

DuckDB divides decimals in binary floating point and casts by rounding; these trees do neither. What does
not fit raises ``udf.out_of_range`` or DuckDB's own overflow error; no result is ever rounded more than it
says.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from sqlglot import exp

from udfs.errors import OUT_OF_RANGE, UdfError
from udfs.numbers import Number, exact
from udfs.trees import template

PLACES = 12
_EXACT_LIMIT, _EXACT_UNIT = 1e20, Decimal(1).scaleb(-18)

# The common case, 0.1 us: the binary quotient is right unless its 13th decimal decides, and whether it is
# right can be checked exactly, by multiplying back. The bounds keep that product within 38 digits.
_GUESS = template("TRY_CAST(CAST(a AS DOUBLE) / CAST(b AS DOUBLE) AS DECIMAL(38, 12))")
_TENTHS = template(
    "CASE WHEN TRY_CAST(number AS DECIMAL(38, 10)) = number THEN TRY_CAST(number AS DECIMAL(38, 10)) END"
)
_CHECKED = template(
    "CASE WHEN ABS(a) < 1000000000000000 AND ABS(b) < 1000000000000000 AND ABS(guess) < 1000000 THEN "
    "CASE WHEN ABS(a - guess * b) * 2 < ABS(b) * CAST(0.000000000001 AS DECIMAL(12, 12)) THEN guess END END"
)
# The rest, 1 us: integer division of 128 bits, of a and b in units of their 10th decimal, or of their 12th
# as they have after an earlier division. Half a divisor is added to the magnitude first: half away from
# zero. Overflow raises.
_UNITS_10 = template("CAST(CAST(number AS DECIMAL(38, 10)) * CAST(10000000000 AS DECIMAL(11, 0)) AS HUGEINT)")
_UNITS_12 = template("CAST(CAST(number AS DECIMAL(38, 12)) * CAST(1000000000000 AS DECIMAL(13, 0)) AS HUGEINT)")
_QUOTIENT = template(
    "CAST(CASE WHEN (n < 0) = (d < 0) THEN 1 ELSE -1 END * "
    "((ABS(n) * 1000000000000 + ABS(d) // 2) // ABS(d)) AS DECIMAL(38, 0)) "
    "* CAST(0.000000000001 AS DECIMAL(12, 12))"
)
# What does not fit raises by casting its sentence to a number: ERROR() would do, but the engine calls it volatile and
# then refuses the whole expression inside OVER (...).
_LONG = template(
    "CASE WHEN b = 0 THEN NULL WHEN NOT tenths_a IS NULL AND NOT tenths_b IS NULL THEN by_10 "
    "WHEN CAST(a AS DECIMAL(38, 12)) = a AND CAST(b AS DECIMAL(38, 12)) = b THEN by_12 "
    "WHEN NOT a IS NULL AND NOT b IS NULL THEN "
    "CAST('[udf.out_of_range] A number in a division has more than 12 decimals.' AS DECIMAL(38, 12)) END"
)
_DIVIDE = template("CAST(COALESCE(checked, whole) AS DECIMAL(38, 12))")

# A decimal of up to 15 digits whose nearest double is x is x's shortest text; that check is cheap. The rest
# goes through the text itself.
_EXACT = template(
    "CASE WHEN ABS(x) < 100000000000 AND CAST(TRY_CAST(x AS DECIMAL(18, 4)) AS DOUBLE) = x "
    "THEN CAST(TRY_CAST(x AS DECIMAL(18, 4)) AS DECIMAL(38, 18)) "
    "WHEN NOT x IS NULL THEN COALESCE(TRY_CAST(CAST(x AS TEXT) AS DECIMAL(38, 18)), "
    "CAST('[udf.out_of_range] The binary number ' || CAST(x AS TEXT) "
    "|| ' does not fit 20 digits before and 18 behind the decimal point.' AS DECIMAL(38, 18))) END"
)


def lower_divide(args: list[exp.Expression]) -> exp.Expression:
    """KALLA_DIVIDE(a, b): DECIMAL(38,12), half away from zero, NULL where b is zero.

    Raises while running where the quotient has more than 26 integer digits, where a is 1.7e16 or more (1e14
    if a or b has more than 10 decimals), and where a or b has more than 12 decimals.
    """
    a, b = args
    tenths_a, tenths_b = _TENTHS(number=a), _TENTHS(number=b)
    return _DIVIDE(
        checked=_CHECKED(a=tenths_a, b=tenths_b, guess=_GUESS(a=a, b=b)),
        whole=_LONG(
            a=a,
            b=b,
            tenths_a=tenths_a,
            tenths_b=tenths_b,
            by_10=_QUOTIENT(n=_UNITS_10(number=a), d=_UNITS_10(number=b)),
            by_12=_QUOTIENT(n=_UNITS_12(number=a), d=_UNITS_12(number=b)),
        ),
    )


def lower_exact(args: list[exp.Expression]) -> exp.Expression:
    """KALLA_EXACT(x): the DECIMAL(38,18) that a double's shortest text says, at its 18th decimal half away from zero.

    Sums leave doubles such as 0.30000000000000004 behind, so there is room for all their digits. Raises for NaN,
    infinity and from 1e20 on.
    """
    return _EXACT(x=args[0])


def divide(a: Number, b: Number) -> Decimal | None:
    """Reference of KALLA_DIVIDE: a / b with 12 decimals, half away from zero; None where b is zero.

    >>> divide(2, -3)
    Decimal('-0.666666666667')
    """
    if b == 0:
        return None
    quotient = exact(a) / exact(b)
    units = int(abs(quotient) * 10**PLACES + Fraction(1, 2))
    # from digits, as Decimal's own operations would round to 28 of them
    return Decimal((int(quotient < 0), tuple(map(int, str(units))), -PLACES))


def exact_decimal(x: float) -> Decimal:
    """Reference of KALLA_EXACT: the decimal in the shortest text of x. Raises UdfError ``udf.out_of_range``.

    >>> exact_decimal(0.1)
    Decimal('0.100000000000000000')
    """
    if not abs(x) < _EXACT_LIMIT:  # NaN is not less either
        raise UdfError(
            f"The binary number {x} does not fit 20 digits before and 18 behind the decimal point.", code=OUT_OF_RANGE
        )
    with localcontext() as context:
        context.prec = 60
        return Decimal(repr(x)).quantize(_EXACT_UNIT, ROUND_HALF_UP)
