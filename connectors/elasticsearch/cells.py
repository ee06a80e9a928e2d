"""Documents -> columns. A value is what the document says, digit for digit; dates are what the index made of them.

Objects in arrays count as one: ``lines.amount`` has every line's amount. A text column shows several values as a JSON
array; in a column of another kind they stop the run, as does anything that has no exact form.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from connectors.elasticsearch.client import Number
from connectors.elasticsearch.errors import unrepresentable
from connectors.elasticsearch.fields import Field, Fields, arrow_schema
from connectors.elasticsearch.place import Place
from recipe import Kind, format_cell, parse_exact

_PLAIN = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,10})?")  # of which parse_exact makes nothing else
_LARGEST_EXPONENT = 6_000
_INT64 = range(-(2**63), 2**63)
_BOOLEANS = {"true": True, "false": False, "": False}  # as the index reads texts
_MICROSECONDS = len("2026-12-31T23:59:59.123456")


class _Odd(ValueError):
    """A value that its column cannot hold; the text completes "holds ..."."""


def batch_of(place: Place, fields: Fields, hits: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """The hits as rows of these columns. Raises SourceDataError naming column and document."""
    if not fields:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(hits), pa.struct([])))
    columns = [pa.array([_cell(place, one, hit) for hit in hits], one.arrow) for one in fields]
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(fields))


def _cell(place: Place, one: Field, hit: Mapping[str, Any]) -> Any:
    if not one.path:
        return hit["_id"]
    try:
        return _CELLS[one.kind](one, _values(hit["_source"], one), hit)
    except _Odd as odd:
        raise unrepresentable(place, one.name, f"{hit.get('_index')}/{hit.get('_id')}", str(odd)) from None


def _values(source: Any, one: Field) -> list[Any]:
    """Every value of a field but nulls, through arrays; names with dots stand for objects, as in the index."""
    if len(one.path) == 1 and isinstance(source, dict):
        found = source.get(one.path[0])
        if one.is_json or not isinstance(found, list):
            return [] if found is None else [found]
    return list(_walk(source, one.path, one.is_json))


def _walk(value: Any, path: tuple[str, ...], is_json: bool) -> Iterator[Any]:
    if not path and (is_json or not isinstance(value, list)):
        if value is not None:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, path, is_json)
    elif isinstance(value, dict):
        for cut in range(1, len(path) + 1):
            name = ".".join(path[:cut])
            if name in value:
                yield from _walk(value[name], path[cut:], is_json)


def _single(values: list[Any]) -> Any:
    if len(values) > 1:
        raise _Odd(f"{len(values)} values at once, which only a text column shows")
    return values[0] if values else None


def _text(_one: Field | None, values: list[Any], _hit: Any) -> str | None:
    if not values:
        return None
    value = values[0] if len(values) == 1 else values
    # A number stands in a text as it was written; inside JSON it is a number again.
    text = str(value) if isinstance(value, str) else format_cell(_plain(value)) or ""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Odd("half of a character (a surrogate alone)") from None
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Number):
        return int(value) if value.lstrip("-").isdigit() and len(value) < 4000 else _writable(value)
    return value


def _writable(value: str) -> Decimal:
    """A number that can be written without an exponent."""
    with contextlib.suppress(InvalidOperation):
        number = Decimal(value)
        if number.is_finite() and abs(int(number.as_tuple().exponent)) <= _LARGEST_EXPONENT:
            return number
    raise _Odd(f"the number {_cut(value)}, which has too many digits to be written")


def _number(value: Any) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, Number) and _PLAIN.fullmatch(value):
        return Decimal(value)
    number = parse_exact(value) if isinstance(value, str) else None
    if number is None:
        raise _Odd(f"{_shown(value)}, which is no number")
    return number


def _integer(_one: Field, values: list[Any], _hit: Any) -> int | None:
    number = _number(_single(values))
    if number is None:
        return None
    if number != number.to_integral_value() or int(number) not in _INT64:
        raise _Odd(f"{_shown(values[0])}, which is no whole number of 64 bits")
    return int(number)


def _decimal(one: Field, values: list[Any], _hit: Any) -> Decimal | None:
    number = _number(_single(values))
    if number is None:
        return None
    whole, _, fraction = format(number.copy_abs(), "f").partition(".")
    whole, fraction = whole.lstrip("0"), fraction.rstrip("0")
    kind, negative = one.arrow, number < 0
    is_held = len(fraction) <= kind.scale and len(whole) <= kind.precision - kind.scale
    if not is_held or (negative and one.native == "unsigned_long"):
        raise _Odd(f"{_shown(values[0])}, which does not fit its type {one.native} with {kind.scale} decimals")
    return Decimal(f"{'-' if negative else ''}{whole or '0'}.{fraction}")


def _double(_one: Field, values: list[Any], _hit: Any) -> float | None:
    number = _number(_single(values))
    if number is None:
        return None
    found = float(number)
    if found in (float("inf"), float("-inf")) or Decimal(repr(found)) != number:
        raise _Odd(f"{_shown(values[0])}, which a binary number cannot hold exactly")
    return found


def _boolean(_one: Field, values: list[Any], _hit: Any) -> bool | None:
    value = _single(values)
    if value is None or isinstance(value, bool):
        return value
    found = _BOOLEANS.get(value) if isinstance(value, str) and not isinstance(value, Number) else None
    if found is None:
        raise _Odd(f"{_shown(value)}, which is neither true nor false")
    return found


def _moment(one: Field, values: list[Any], hit: Any) -> datetime | None:
    if _single(values) is None:
        return None  # also where the index holds a stand-in for NULL
    texts = hit.get("fields", {}).get(one.name) or ()
    if not texts:
        raise _Odd(f"{_shown(values[0])}, which the index could not read as a date")
    if len(texts) > 1:  # copied there from other fields
        raise _Odd(f"{_shown(values[0])}, and the index {len(texts)} dates for it")
    text = texts[0]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _Odd(f"the date {text}, and years go from 1 to 9999") from None
    if text[_MICROSECONDS:].strip("0Z"):
        raise _Odd(f"the moment {text}, which microseconds cannot hold")
    return found.astimezone(UTC)


def _day(one: Field, values: list[Any], hit: Any) -> date | None:
    found = _moment(one, values, hit)
    return None if found is None else found.date()


def _shown(value: Any) -> str:
    return repr(_cut(_text(None, [value], None) or ""))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"


_CELLS: dict[Kind, Callable[[Field, list[Any], Any], Any]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.DOUBLE: _double,
    Kind.BOOLEAN: _boolean,
    Kind.TIMESTAMPTZ: _moment,
    Kind.DATE: _day,
}
