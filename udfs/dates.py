"""Functions over dates and timestamps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sqlglot import exp

from recipe import Arg, FunctionSignature, Returns
from udfs.numbers import Number, exact
from udfs.registry import udf
from udfs.trees import refuse_negative, template

# EPOCH_US takes dates, timestamps and UTC timestamps alike, each by its own clock and never by a session's
# zone.
_WITHIN = template("ABS(EPOCH_US(a) - EPOCH_US(b)) <= days * CAST(86400000000 AS DECIMAL(11, 0))")
_NO_DATE = template("CAST(NULL AS DATE)")  # EPOCH_US cannot tell the kind of a bare NULL
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _lower_within(args: list[exp.Expression]) -> exp.Expression:
    refuse_negative(args[2], "date_within", "number of days")
    a, b = (_NO_DATE() if isinstance(arg.unnest(), exp.Null) else arg for arg in args[:2])
    return _WITHIN(a=a, b=b, days=args[2])


def _microseconds(moment: date) -> int:
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)


@udf(
    FunctionSignature("DATE_WITHIN", (Arg.DATE, Arg.DATE, Arg.NUMBER), Returns.BOOLEAN),
    lower=_lower_within,
)
def date_within(a: date, b: date, days: Number) -> bool:
    """True when a and b lie at most this many days apart, in either direction, limit included.

    A day is 24 hours. A date counts as its midnight; a timestamp without zone counts as UTC.

    >>> date_within(date(2024, 2, 28), date(2024, 3, 1), 2)
    True
    """
    return abs(_microseconds(a) - _microseconds(b)) <= exact(days) * 86_400_000_000
