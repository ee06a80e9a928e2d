"""Kinds brought together: text read as number or date, doubles made exact, two values made comparable
(contract 1.5).

Each function takes values and gives values; where that is impossible it reports
``recipe.sql.type_mismatch`` at the place in the statement and gives an unknown value, so that one fault is
reported once.
"""

from __future__ import annotations

import datetime as dt

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.plan import Parse, SideInput
from recipe.compiler.report import TEXT_AS_DATE, TEXT_AS_NUMBER, TYPE_MISMATCH, UNTRACEABLE
from recipe.compiler.rowwise import row_values
from recipe.compiler.typed import (
    DERIVED_SCALE,
    EXACT_SCALE,
    MAX_DIGITS,
    PARSED_SCALE,
    Shared,
    Typed,
    call,
    cast,
    grouped,
    is_column,
    number_literal,
    text,
    unknown,
    whole_digits,
)

_TABLES = {"l": "left_src", "r": "right_src"}
_CAST = "read each part with CAST before, where it is still one record's"


def mismatch(shared: Shared, message: str, at: exp.Expression) -> Typed:
    shared.findings.problem(TYPE_MISMATCH, message, at)
    return unknown()


def as_number(shared: Shared, value: Typed, at: exp.Expression) -> Typed:
    """A number of any kind; text is parsed by its side's format, and NULL where it does not parse."""
    if value.unknown or value.kind.is_number:
        return value
    if value.kind == Kind.TEXT:
        return _text_as_number(shared, value, at)
    return mismatch(shared, f"{_said(shared, at)} is a {value.kind} where a number is needed", at)


def as_exact(shared: Shared, value: Typed, at: exp.Expression) -> Typed:
    """An exact number: a double counts as its shortest decimal text."""
    number = as_number(shared, value, at)
    if number.kind != Kind.DOUBLE:
        return number
    return number.with_tree(call("KALLA_EXACT", number.tree), Kind.DECIMAL, EXACT_SCALE)


def as_integer(shared: Shared, value: Typed, at: exp.Expression, target: str = "BIGINT") -> Typed:
    """A whole number of the width that functions of positions and days take."""
    number = as_number(shared, value, at)
    if number.unknown or (number.kind == Kind.INTEGER and number.constant and not is_column(number)):
        return number
    return number.with_tree(cast(number.tree, target), Kind.INTEGER, 0)


def wide(number: Typed) -> Typed:
    """An integer in 64 bits: columns, and what is chosen from them, may have 8 to 32, which overflow early.

    Constants stay as they are, and so does what is computed from wide integers.
    """
    tree = number.tree.unnest()
    done = isinstance(tree, (exp.Literal, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.IntDiv, exp.Cast))
    if number.kind != Kind.INTEGER or done:
        return number
    return number.with_tree(cast(number.tree, "BIGINT"), scale=0)


def as_text(shared: Shared, value: Typed) -> Typed:
    """Text: dates in ISO form, timestamps with zone as UTC, booleans as true and false, numbers as
    written.
    """
    if value.unknown or value.kind == Kind.TEXT:
        return value
    tree = utc(value).tree if value.kind == Kind.TIMESTAMPTZ else value.tree
    return value.with_tree(cast(tree, "TEXT"), Kind.TEXT)


def as_boolean(shared: Shared, value: Typed, at: exp.Expression, what: str) -> Typed:
    if value.unknown or value.kind == Kind.BOOLEAN:
        return value
    if value.literal and value.kind == Kind.TEXT:
        return _literal_as_boolean(shared, value, at)
    return mismatch(shared, f"{what} needs a condition; {_said(shared, at)} is {_a(value.kind)}", at)


def as_time(shared: Shared, value: Typed, at: exp.Expression, target: Kind = Kind.DATE) -> Typed:
    """A date or timestamp as it is; text is parsed as ``target`` by its side's date order."""
    if value.literal and value.unknown:
        return value.with_tree(cast(value.tree, str(target)), target)  # engines want to know what NULL they compute
    if value.unknown or value.kind.is_time:
        return value
    if value.kind == Kind.TEXT:
        return (
            _literal_as_time(shared, value, at, target) if value.literal else _text_as_time(shared, value, at, target)
        )
    return mismatch(shared, f"{_said(shared, at)} is {_a(value.kind)} where a date is needed", at)


def as_date(shared: Shared, value: Typed, at: exp.Expression) -> Typed:
    """A calendar day; a timestamp gives its day, in UTC where it has a zone."""
    time = utc(as_time(shared, value, at, Kind.DATE))
    if time.unknown or time.kind == Kind.DATE:
        return time
    return time.with_tree(cast(time.tree, "DATE"), Kind.DATE)


def as_timestamp(shared: Shared, value: Typed, at: exp.Expression) -> Typed:
    time = utc(as_time(shared, value, at, Kind.TIMESTAMP))
    if time.unknown or time.kind == Kind.TIMESTAMP:
        return time
    return time.with_tree(cast(time.tree, "TIMESTAMP"), Kind.TIMESTAMP)


def utc(value: Typed) -> Typed:
    """A timestamp with zone as the UTC timestamp without, whatever zone the engine's session has."""
    if value.kind != Kind.TIMESTAMPTZ:
        return value
    return value.with_tree(exp.AtTimeZone(this=grouped(value.tree), zone=text("UTC")), Kind.TIMESTAMP)


def comparable(shared: Shared, values: list[Typed], at: exp.Expression, nodes: list[exp.Expression]) -> list[Typed]:
    """The values as one kind that compares exactly; ``nodes`` are their places in the statement."""
    kinds = {v.kind for v in values if not (v.unknown or v.literal)}
    if not kinds:
        return values
    if kinds == {Kind.BOOLEAN}:
        return [_beside_boolean(shared, v, n) for v, n in zip(values, nodes, strict=True)]
    if any(k.is_number for k in kinds):
        if kinds - {Kind.TEXT} == {k for k in kinds if k.is_number}:
            return _numbers(shared, values, nodes)
    elif any(k.is_time for k in kinds):
        if Kind.BOOLEAN not in kinds:
            return _times(shared, values, nodes)
    elif kinds == {Kind.TEXT}:
        return values
    mismatch(shared, f"{' and '.join(_a(k) for k in sorted(kinds))} cannot be compared: {_said(shared, at)}", at)
    return [unknown() for _ in values]


def alike(shared: Shared, values: list[Typed], at: exp.Expression, nodes: list[exp.Expression]) -> list[Typed]:
    """The values as one kind of which any may be the result: for CASE, COALESCE and the like."""
    return one_width(comparable(shared, values, at, nodes))


def one_width(values: list[Typed]) -> list[Typed]:
    """Numbers as decimals that stand in one column without loss.

    Engines give decimals of different scales a common type of at most 38 digits, and where those do not suffice they
    keep the digits before the point and round the others away. Here those behind the point are kept, and a number that
    has no room for them stops the run.
    """
    scale = tight_scale(values)
    return values if scale is None else [at_scale(value, scale) for value in values]


def narrow(number: Typed) -> Typed:
    """A number with at most the digits after the point that a quotient has."""
    if (number.scale if number.scale is not None else DERIVED_SCALE) <= DERIVED_SCALE:
        return number
    return number.with_tree(cast(number.tree, f"DECIMAL({MAX_DIGITS}, {DERIVED_SCALE})"), scale=DERIVED_SCALE)


def tight_scale(values: list[Typed]) -> int | None:
    """The scale that the numbers need together; None where 38 digits hold them all."""
    numbers = [v for v in values if v.kind in (Kind.INTEGER, Kind.DECIMAL)]
    scale = common_scale(numbers)
    if not scale or max(whole_digits(v) for v in numbers) + scale <= MAX_DIGITS:
        return None
    return scale


def at_scale(value: Typed, scale: int) -> Typed:
    """A number with so many digits after the point and what remains of 38 before it."""
    if value.kind not in (Kind.INTEGER, Kind.DECIMAL) or whole_digits(value) + scale <= MAX_DIGITS:
        return value
    return value.with_tree(cast(value.tree, f"DECIMAL({MAX_DIGITS}, {scale})"), Kind.DECIMAL, scale)


def common_scale(values: list[Typed]) -> int | None:
    scales = [v.scale if v.scale is not None else DERIVED_SCALE for v in values if v.kind.is_number]
    return max(scales) if scales else None


def common_kind(values: list[Typed]) -> Kind:
    """The kind of values that ``comparable`` has brought together."""
    kinds = {v.kind for v in values if not v.unknown}
    if not kinds:
        return Kind.UNKNOWN
    if all(k.is_number for k in kinds):
        return next(k for k in (Kind.DOUBLE, Kind.DECIMAL, Kind.INTEGER) if k in kinds)
    return kinds.pop()


def _numbers(shared: Shared, values: list[Typed], nodes: list[exp.Expression]) -> list[Typed]:
    numbers = [as_number(shared, v, n) for v, n in zip(values, nodes, strict=True)]
    if {n.kind for n in numbers if not n.unknown} <= {Kind.DOUBLE}:
        return numbers
    return [as_exact(shared, n, at) for n, at in zip(numbers, nodes, strict=True)]


def _times(shared: Shared, values: list[Typed], nodes: list[exp.Expression]) -> list[Typed]:
    kinds = {v.kind for v in values if v.kind.is_time}
    if kinds == {Kind.DATE} and not any(v.literal and _has_clock(v) for v in values):
        return [as_date(shared, v, n) for v, n in zip(values, nodes, strict=True)]
    if kinds == {Kind.TIMESTAMPTZ} and not any(v.kind == Kind.TEXT for v in values):
        return values
    return [as_timestamp(shared, v, n) for v, n in zip(values, nodes, strict=True)]


def _has_clock(value: Typed) -> bool:
    return isinstance(value.tree, exp.Literal) and ":" in value.tree.name


def _text_as_number(shared: Shared, value: Typed, at: exp.Expression) -> Typed:
    if value.literal:
        number = number_literal(value.tree.name)
        return number or mismatch(shared, f"{value.tree.name!r} is not a number", at)
    form = _format(shared, value, at)
    tree = call("KALLA_NUMBER", value.tree, text(form.decimal), text(form.thousands))
    parsed = value.with_tree(tree, Kind.DECIMAL, PARSED_SCALE)
    name = _remember(shared, value, parsed, at)
    shared.findings.warn(TEXT_AS_NUMBER, f"{name} is text and is read as a number; leading zeros do not count then", at)
    return parsed


def _text_as_time(shared: Shared, value: Typed, at: exp.Expression, target: Kind) -> Typed:
    function = "KALLA_DATE" if target == Kind.DATE else "KALLA_TIMESTAMP"
    order = _format(shared, value, at).date_order
    parsed = value.with_tree(call(function, value.tree, text(order)), target)
    name = _remember(shared, value, parsed, at)
    shared.findings.warn(TEXT_AS_DATE, f"{name} is text and is read as a {target}, in the order {order}", at)
    return parsed


def _literal_as_time(shared: Shared, value: Typed, at: exp.Expression, target: Kind) -> Typed:
    written = value.tree.name.strip()
    try:
        moment = dt.datetime.fromisoformat(written)
    except ValueError:
        return mismatch(shared, f"{written!r} is not a date in ISO form, such as 2026-01-31", at)
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    if target == Kind.DATE and len(written) == 10:
        tree, kind = cast(text(moment.date().isoformat()), "DATE"), Kind.DATE
    else:
        tree, kind = cast(text(moment.isoformat(sep=" ")), "TIMESTAMP"), Kind.TIMESTAMP
    return value.with_tree(tree, kind)


def _beside_boolean(shared: Shared, value: Typed, at: exp.Expression) -> Typed:
    return _literal_as_boolean(shared, value, at) if value.kind == Kind.TEXT else value


def _literal_as_boolean(shared: Shared, value: Typed, at: exp.Expression) -> Typed:
    word = value.tree.name.strip().lower()
    if word not in ("true", "false"):
        return mismatch(shared, f"{value.tree.name!r} is neither 'true' nor 'false'", at)
    return value.with_tree(exp.Boolean(this=word == "true"), Kind.BOOLEAN)


def _format(shared: Shared, value: Typed, at: exp.Expression) -> SideInput:
    """The format of the side the text comes from. Text that can come from either has theirs, if it is the same."""
    sides = [shared.sides[side] for side in sorted(value.sides)]
    forms = {(side.decimal, side.thousands, side.date_order) for side in sides}
    if len(forms) > 1:
        message = (
            f"{_said(shared, at)} is text of either side, and the two write numbers and dates differently: {_CAST}"
        )
        shared.findings.problem(UNTRACEABLE, message, at)
    return sides[0] if sides else SideInput(None, ())


def _remember(shared: Shared, value: Typed, parsed: Typed, at: exp.Expression) -> str:
    """Note the parse for the run's count of unparseable values; give the text's name for people."""
    said = f"{_TABLES[value.origin[0]]}.{value.origin[1]}" if value.origin else _said(shared, at)
    values = row_values(shared, value.tree)
    if values is None:
        kind = "number" if parsed.tree.name == "KALLA_NUMBER" else "date"
        message = (
            f"{said} is text that several records make, and no record could be named where it is no {kind}: {_CAST}"
        )
        shared.findings.problem(UNTRACEABLE, message, at)
        return said
    for alias, tree in values:
        if not alias:  # a constant branch
            continue
        entry = _over_source(tree, parsed.tree, shared.usage.aliases[alias], said)
        if entry not in shared.usage.parses:
            shared.usage.parses.append(entry)
    return said


def _over_source(text_tree: exp.Expression, parsed: exp.Expression, side: str, said: str) -> Parse:
    """The text and its parse written over the source row itself (table ``l`` or ``r``)."""
    plain = text_tree.copy()
    for column in plain.find_all(exp.Column):
        column.set("table", exp.to_identifier(side))
    again = call(parsed.name, plain.copy(), *[a.copy() for a in parsed.expressions[1:]])
    return Parse(side, plain, again, plain.name if isinstance(plain, exp.Column) else said)


def _said(shared: Shared, at: exp.Expression) -> str:
    shown = shared.findings.text_of(at)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _a(kind: Kind) -> str:
    return {Kind.TEXT: "text", Kind.INTEGER: "an integer"}.get(kind, f"a {kind}")
