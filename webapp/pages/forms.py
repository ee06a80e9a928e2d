"""What a form holds after an error: everything that was typed, and what is wrong beside its field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flask import request

from recipe import KallaError
from webapp.pages.view import sentence

FAILED = "This could not be saved. Correct what is marked."


@dataclass(frozen=True)
class Form:
    """``problems`` are (field, words); those of no field of this form are shown above it, below ``message``."""

    values: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[tuple[str, str], ...] = ()
    message: str = ""
    fields: frozenset[str] = frozenset()

    def value(self, name: str) -> str:
        """What the field shows."""
        return self.values.get(name, "")

    def error(self, name: str) -> str:
        """What is wrong with the field; "" when nothing is."""
        return " ".join(sentence(words) for path, words in self.problems if path == name)

    @property
    def loose(self) -> list[tuple[str, str]]:
        """Problems that belong to no field of the form."""
        return [(path, words) for path, words in self.problems if path not in self.fields]


def typed() -> dict[str, str]:
    """The fields of the posted form, trimmed, without its token."""
    return {name: value.strip() for name, value in request.form.items() if name != "csrf_token"}


def refused(
    values: Mapping[str, str], error: KallaError, fields: Iterable[str], names: Mapping[str, str] | None = None
) -> Form:
    """The form again, with what a service refused. ``names`` maps paths of details to fields.

    An error without details that a field answers for is shown above the form.
    """
    known = frozenset(fields)
    found = [(_field_of(str(d.get("path", "")), names or {}), str(d.get("message", ""))) for d in error.details]
    message = f"{error.message} {error.hint}".strip()
    if not any(path in known for path, _ in found):
        found = [(path, words) for path, words in found if words and words not in message]
        return Form(values, tuple(found), message, known)
    return Form(values, tuple(found), FAILED, known)


def wrong(values: Mapping[str, str], problems: Mapping[str, str], fields: Iterable[str]) -> Form:
    """The form again, with what it found itself."""
    return Form(values, tuple(problems.items()), FAILED, frozenset(fields))


def _field_of(path: str, names: Mapping[str, str]) -> str:
    """The longest mapped beginning of a path decides: ``sources.left.primary_key[0]`` is the field of the key."""
    fitting = [known for known in names if path == known or path.startswith((f"{known}.", f"{known}["))]
    return names[max(fitting, key=len)] if fitting else path
