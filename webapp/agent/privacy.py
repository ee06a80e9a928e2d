"""What may leave for the model: few rows, personal columns masked, never a password or a whole address.

A masked value keeps its form, which a rule needs, and a short tag that is equal for equal values, which a comparison
needs; the tag comes from a key that only this conversation has, so it cannot be turned back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recipe import mask_text
from webapp.agent.session import SIDES, Pair, Row, Session

_ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://\S+")
_TAG = 6
_MOST_CELL = 300


@dataclass(frozen=True)
class Masker:
    """Masks rows of the two sides. ``columns`` are the masked columns of each."""

    key: bytes
    columns: Mapping[str, frozenset[str]]

    def row(self, side: str, row: Mapping[str, str | None]) -> Row:
        """The row as the model gets it."""
        hidden = self.columns[side]
        return {name: self.value(cell) if name in hidden else clipped(cell) for name, cell in row.items()}

    def pair(self, pair: Pair) -> Pair:
        return {side: self.row(side, pair[side]) for side in SIDES}

    def value(self, cell: str | None) -> str | None:
        """The form of a value and a tag of the value itself.

        >>> Masker(b"key", {}).value("Ada Lovelace")
        'Xxx Xxxxxxxx~d32f18'
        """
        if cell is None or not cell.strip():
            return cell
        tag = hmac.new(self.key, cell.strip().encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:_TAG]
        return f"{_form(cell[:_MOST_CELL])}~{tag}"


def masker_of(session: Session) -> Masker:
    """The masker of a conversation."""
    columns = {side: frozenset(session.masked_columns(side)) for side in SIDES}
    return Masker(session.working.mask_key.encode(), columns)


def _form(text: str) -> str:
    return "".join(_sign(letter) for letter in text)


def _sign(letter: str) -> str:
    if letter.isdigit():
        return "0"
    if letter.isalpha():
        return "X" if letter.isupper() else "x"
    return letter


def clipped(cell: str | None) -> str | None:
    """A cell of bounded length."""
    return cell if cell is None or len(cell) <= _MOST_CELL else f"{cell[:_MOST_CELL]}…"


def without_addresses(value: Any) -> Any:
    """``value`` with every address in its texts replaced: passwords are masked first, then hosts and paths go too."""
    if isinstance(value, str):
        return _ADDRESS.sub(_kind_only, mask_text(value)) if "://" in value else value
    if isinstance(value, Mapping):
        return {without_addresses(name): without_addresses(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [without_addresses(item) for item in value]
    return value


def _kind_only(found: re.Match[str]) -> str:
    return f"{found[0].partition('://')[0]}://…"


@dataclass
class RowBudget:
    """How many different rows of each source a request may hold; the first ones asked for get the room."""

    most: int
    _given: dict[str, set[str]] = field(default_factory=dict)

    def allows(self, source: str, row: Mapping[str, str | None]) -> bool:
        """Whether this row may go along; one that is there already costs nothing."""
        given = self._given.setdefault(source, set())
        mark = repr(sorted(row.items(), key=lambda item: item[0]))
        if mark not in given and len(given) >= self.most:
            return False
        given.add(mark)
        return True
