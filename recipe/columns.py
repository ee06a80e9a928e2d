"""Columns and their kinds: the vocabulary in which connectors describe rows to the compiler."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a value is, as far as matching is concerned (contract 1.5)."""

    INTEGER = "integer"
    DECIMAL = "decimal"  # exact; Column.precision and Column.scale are set
    DOUBLE = "double"  # binary; beside a decimal it counts as its shortest decimal text
    TEXT = "text"
    DATE = "date"
    TIMESTAMP = "timestamp"  # without zone
    TIMESTAMPTZ = "timestamptz"  # UTC
    BOOLEAN = "boolean"
    UNKNOWN = "unknown"  # only where a recipe is checked without its sources

    @property
    def is_number(self) -> bool:
        return self in (Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE)

    @property
    def is_time(self) -> bool:
        return self in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ)


@dataclass(frozen=True)
class Column:
    """One column of a source. ``native`` is the source's own type name, for people."""

    name: str
    kind: Kind
    native: str = ""
    nullable: bool = True
    precision: int | None = None
    scale: int | None = None


Schema = tuple[Column, ...]


def nearest_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that a misspelt one most likely meant, best first; case does not count.

    >>> nearest_names("amout", ["Amount", "currency"])
    ['Amount']
    """
    by_fold: dict[str, str] = {}
    for candidate in known:
        by_fold.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(name.casefold(), list(by_fold), n=most, cutoff=0.6)
    return [by_fold[c] for c in close]
