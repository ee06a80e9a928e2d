"""JSON text without loss: numbers stay exact decimals in both directions, repeated members are refused."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from recipe.errors import RecipeError

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
_MAX_INTEGER_DIGITS = 4_000  # Python refuses to print longer integers


def read_json(data: bytes | str, what: str = "The document") -> Any:
    """The value of a JSON text; numbers with a point or exponent become Decimal, others int.

    Args:
        data: the text, or its bytes in UTF-8 with or without a byte-order mark; at most 4 MiB.
        what: the subject of error sentences.

    Raises RecipeError: ``recipe.too_large``, ``recipe.not_utf8``, ``recipe.malformed_json`` (with line and
    column), ``recipe.duplicate_member``.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise RecipeError(
            f"{what} is larger than {MAX_DOCUMENT_BYTES // 1024 // 1024} MiB.",
            code="recipe.too_large",
            hint="Keep data out of the recipe; long lists belong into a source.",
        )
    text = _decode(data, what) if isinstance(data, bytes) else data
    try:
        return json.loads(
            text,
            parse_float=_number,
            parse_int=_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_members,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _malformed(what, f"{place}: {error.msg}") from None
    except RecursionError:
        raise _malformed(what, "it is nested too deeply") from None
    except _NotJsonError as error:
        raise _malformed(what, str(error)) from None


class _NotJsonError(ValueError):
    """Accepted by Python's parser, but not what JSON or we can hold."""


def _malformed(what: str, reason: str) -> RecipeError:
    return RecipeError(
        f"{what} is not valid JSON: {reason}.", code="recipe.malformed_json", hint="Correct it at that place."
    )


def _decode(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{what} is not UTF-8: byte {error.start + 1} does not belong there.",
            code="recipe.not_utf8",
            hint="Save it in UTF-8.",
        ) from None


def _number(text: str) -> int | Decimal:
    if text.lstrip("-").isdigit():
        return int(text) if len(text) <= _MAX_INTEGER_DIGITS else Decimal(text)
    try:
        return Decimal(text)
    except InvalidOperation:
        raise _NotJsonError("a number has an exponent beyond every limit") from None


def _refuse_constant(name: str) -> None:
    raise _NotJsonError(f"{name} is not a JSON value")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise RecipeError(
            f"The member '{repeated[:80]}' is given twice in one object.",
            code="recipe.duplicate_member",
            hint="Keep one of the two.",
        )
    return members


def write_json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """JSON text of plain values and Decimals, which are written digit for digit as numbers.

    >>> write_json({"value": Decimal("100.00")})
    '{"value": 100.00}'
    """
    if indent is None:
        try:  # many times as fast, and the same text, where no Decimal is
            return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)
        except TypeError:
            pass
    return _write(value, indent, sort_keys, "\n" if indent is not None else "")


def _write(value: object, indent: int | None, sort_keys: bool, newline: str) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("JSON has no form for NaN and infinity")
        return str(value)
    inner = newline + " " * (indent or 0)
    if isinstance(value, dict):
        members = sorted(value.items()) if sort_keys else list(value.items())
        parts = [f"{json.dumps(k, ensure_ascii=False)}: {_write(v, indent, sort_keys, inner)}" for k, v in members]
        return _enclose("{", parts, "}", newline, inner)
    if isinstance(value, (list, tuple)):
        items = [_write(item, indent, sort_keys, inner) for item in value]
        flat = all(not isinstance(item, (dict, list, tuple)) for item in value)
        return _enclose("[", items, "]", "" if flat else newline, "" if flat else inner)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _enclose(opening: str, parts: list[str], closing: str, newline: str, inner: str) -> str:
    if not parts:
        return opening + closing
    return opening + inner + ("," + (inner or " ")).join(parts) + newline + closing
