"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, Numeric, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

from recipe import read_json, write_json
from webapp.errors import ServiceError

MAX_JSON_CHARACTERS = 4 * 1024 * 1024  # what read_json takes back
_NUL_AND_SURROGATES = dict.fromkeys((0, *range(0xD800, 0xE000)), "\N{REPLACEMENT CHARACTER}")

ExactJson = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
BigKey = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up only an INTEGER key


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in, the same time in UTC out. SQLite keeps it as text in UTC, which sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without time zone cannot be stored.")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _CleanText(TypeDecorator[str]):
    impl: TypeEngine[Any] | type[TypeEngine[Any]] = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean(value)


class PlainText(_CleanText):
    """Text of any length. NUL and lone surrogates, which no database holds, become U+FFFD."""

    impl = Text
    cache_ok = True


class ShortText(_CleanText):
    """The same with a limit, which PostgreSQL enforces."""

    cache_ok = True


class ExactNumber(TypeDecorator[Decimal]):
    """NUMERIC with two places; text on SQLite, which would make a float of it."""

    impl = Numeric(18, 2)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric(18, 2))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


def clean(value: str) -> str:
    """``value`` without what PostgreSQL refuses to store."""
    return value.translate(_NUL_AND_SURROGATES)


def to_json(value: object) -> str:
    """JSON text for a column; numbers keep their digits.

    Raises ServiceError ``request.too_large`` for a text that could not be read back.
    """
    text = write_json(value)
    if not _is_storable(text):
        text = write_json(_clean_all(value))
    if len(text) > MAX_JSON_CHARACTERS:
        raise ServiceError("This is too much for one entry of the app database.", code="request.too_large")
    return text


def _is_storable(text: str) -> bool:
    """Whether ``clean`` has nothing to do in any text of a JSON text; a doubt counts as no."""
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return "\\u0000" not in text


def from_json(text: str) -> Any:
    """The value of a stored JSON text; numbers with a point come back as Decimal."""
    try:  # what ``to_json`` wrote needs none of the checks of a text from outside
        return _STORED.decode(text)
    except (ValueError, ArithmeticError, RecursionError):
        return read_json(text, "A stored entry")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON.")


_STORED = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)


def _clean_all(value: object) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _clean_all(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_all(item) for item in value]
    return value
