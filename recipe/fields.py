"""Rules that fields of the models share, as functions that return the value or raise a validation error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


def problem(code: str, message: str) -> PydanticCustomError:
    """A validation error whose type is one of our codes; the message is taken literally."""
    return PydanticCustomError(code, "{text}", {"text": message})


def invalid(message: str) -> PydanticCustomError:
    """The error of a field that breaks its rule."""
    return problem("recipe.invalid_field", message)


def stored_text(value: object, most: int | None = None, least: int = 0) -> str:
    """A text of ``least`` to ``most`` characters that can be stored."""
    if not isinstance(value, str):
        raise invalid("must be text")
    if has_unstorable(value):
        raise invalid("must not contain NUL or half of a surrogate pair")
    if len(value) < least:
        raise invalid("must not be empty")
    if most is not None and len(value) > most:
        raise invalid(f"must have at most {most} characters")
    return value


def has_unstorable(text: str) -> bool:
    """Whether a text holds what neither UTF-8 nor a database can carry."""
    return any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in text)


class FrozenModel(BaseModel):
    """Base of all models: immutable, unknown members dropped, values never shown in errors."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True, hide_input_in_errors=True
    )


def one_of(value: object, allowed: tuple[str, ...]) -> str:
    """A text out of a fixed list."""
    if not isinstance(value, str) or value not in allowed:
        raise invalid(f"must be one of {', '.join(map(repr, map(str, allowed)))}")
    return value


def columns(value: object, most: int | None = None) -> tuple[str, ...]:
    """Distinct, non-empty names. Every wrong one is reported with its place, as ``items`` of the error's
    context."""
    if not isinstance(value, (list, tuple)):
        raise invalid("must be a list of column names")
    if not value:
        raise invalid("must not be empty")
    if most is not None and len(value) > most:
        raise invalid(f"must have at most {most} columns")
    wrong: list[tuple[int, str]] = []
    seen: set[str] = set()
    for index, name in enumerate(value):
        if not isinstance(name, str) or not name or has_unstorable(name):
            wrong.append((index, "must be the name of a column"))
        elif name in seen:
            wrong.append((index, f"'{name[:80]}' is named twice"))
        else:
            seen.add(name)
    if wrong:
        raise PydanticCustomError("recipe.invalid_field", "{text}", {"text": wrong[0][1], "items": wrong})
    return tuple(value)
