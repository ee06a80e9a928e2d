"""Columns of a side read once: as numbers, days, and comparable references."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from recipe import Kind
from webapp.inference import values
from webapp.inference.model import Link, Profile, Table
from webapp.inference.references import key_of

_LOOK = 150
EXACT = "="  # the view that compares texts letter by letter


@dataclass(eq=False)
class Columns:
    """A table with what has been read of it. Each reading of a column is made once."""

    table: Table
    profile: Profile
    _numbers: dict[str, list[Decimal | None]] = field(default_factory=dict)
    _days: dict[str, list[date | None]] = field(default_factory=dict)
    _holds: dict[tuple[str, str], bool] = field(default_factory=dict)
    _keys: dict[tuple[str, str, bool], list[str | None]] = field(default_factory=dict)
    _key_sets: dict[tuple[str, str, bool], frozenset[str]] = field(default_factory=dict)
    _some: dict[tuple[str, str, bool], tuple[int, list[str]]] = field(default_factory=dict)

    def numbers(self, name: str) -> list[Decimal | None]:
        """The exact numbers of a column, currency signs taken off where it has any."""
        if name not in self._numbers:
            clean = bool(self.profile.column(name).cleaning)
            self._numbers[name] = values.column_numbers(self.table.column(name), self.table.format, clean=clean)
        return self._numbers[name]

    def days(self, name: str) -> list[date | None]:
        """The days of a column."""
        if name not in self._days:
            self._days[name] = values.column_days(self.table.column(name), self.table.format)
        return self._days[name]

    def keys(self, name: str, pattern: str = EXACT, strip_zeros: bool = False) -> list[str | None]:
        """The comparable form of a column's cells; EXACT leaves them as they are. The same list where leading zeros
        make no difference."""
        if pattern == EXACT:
            return self.table.column(name)
        wanted = (name, pattern, strip_zeros)
        if wanted not in self._keys:
            if strip_zeros:
                plain = self.keys(name, pattern)
                has_zeros = any(key and key[0] == "0" for key in plain)
                self._keys[wanted] = [key and (key.lstrip("0") or key[:1]) for key in plain] if has_zeros else plain
            else:
                self._keys[wanted] = _read_keys(self.table.column(name), pattern)
        return self._keys[wanted]

    def key_set(self, name: str, pattern: str = EXACT, strip_zeros: bool = False) -> frozenset[str]:
        """The different ones among ``keys``."""
        wanted = (name, pattern, strip_zeros)
        if wanted not in self._key_sets:
            self._key_sets[wanted] = frozenset(key for key in self.keys(*wanted) if key is not None)
        return self._key_sets[wanted]

    def some_keys(self, most: int, name: str, pattern: str, strip_zeros: bool) -> tuple[int, list[str]]:
        """About ``most`` rows at equal distances: how many, and the comparable forms of those that have one."""
        wanted = (name, pattern, strip_zeros)
        if wanted not in self._some:
            keys = self.keys(*wanted)
            look = keys[:: max(1, len(keys) // most)]
            self._some[wanted] = len(look), [key for key in look if key is not None]
        return self._some[wanted]

    def holds(self, name: str, pattern: str) -> bool:
        """Whether at least a few of the column's cells hold what the pattern finds; looks at some of them."""
        if (name, pattern) not in self._holds:
            cells = [cell for cell in self.table.column(name) if cell is not None]
            look = cells[:: max(1, len(cells) // _LOOK)]
            found = sum(key_of(cell, pattern, strip_zeros=False) is not None for cell in look)
            self._holds[(name, pattern)] = found >= 0.04 * max(1, len(look))
        return self._holds[(name, pattern)]

    @property
    def amounts(self) -> list[str]:
        """Number columns that hold amounts rather than references: with decimals first."""
        found = [c for c in self.profile.columns if c.kind == "number" and not c.is_constant]
        broken = {c.name for c in found if not c.is_code or self._has_fraction(c.name)}
        amounts = [c.name for c in found if c.name in broken]
        return amounts or [c.name for c in found if not c.is_unique]

    @property
    def dates(self) -> list[str]:
        """Date columns."""
        return [c.name for c in self.profile.columns if c.kind == "date" and not c.is_constant]

    @property
    def texts(self) -> list[str]:
        """Text columns that may hold names or remarks."""
        return [c.name for c in self.profile.columns if c.kind == "text" and not c.is_constant]

    @property
    def linkable(self) -> list[str]:
        """Columns whose values may stand on the other side too: texts and whole numbers."""
        found = [c for c in self.profile.columns if c.filled and (c.kind == "text" or c.is_code)]
        return [c.name for c in found if self.table.kind(c.name) not in (Kind.DOUBLE, Kind.BOOLEAN)]

    def _has_fraction(self, name: str) -> bool:
        return any(one is not None and one != one.to_integral_value() for one in self.numbers(name))


def _read_keys(cells: list[str | None], pattern: str) -> list[str | None]:
    known = {cell: key_of(cell, pattern, strip_zeros=False) for cell in set(cells)}
    return [known[cell] for cell in cells]


@dataclass(frozen=True, eq=False)
class Analysis:
    """Both sides looked at together. ``links`` are ranked, best first; ``keys`` are sets of links that
    together tell records apart, best first, empty where the sides share no key."""

    sides: tuple[Columns, Columns] = field(repr=False)
    links: tuple[Link, ...]
    keys: tuple[tuple[Link, ...], ...]
    memory: dict[str, Any] = field(default_factory=dict, repr=False)  # of drafts, by verdicts
    companions: dict[Any, Any] = field(default_factory=dict, repr=False)  # what agrees beside a key, see fitting

    @property
    def left(self) -> Table:
        return self.sides[0].table

    @property
    def right(self) -> Table:
        return self.sides[1].table

    @property
    def left_profile(self) -> Profile:
        return self.sides[0].profile

    @property
    def right_profile(self) -> Profile:
        return self.sides[1].profile
