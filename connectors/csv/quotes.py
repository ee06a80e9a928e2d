"""Which quote characters of a CSV delimit, and where records end: over blocks of bytes, vectorised.

A quote opens a field only at the field's start; inside a quoted field two quotes are one and a single one
closes. Anywhere else a quote is an ordinary character (``5" pipe``). If no such stray quote exists, opening
and closing alternate and the count of quotes tells the state. ``scan`` checks that assumption on every block
(each quote that the count says opens must stand at a field's start, or directly after a quote, as the second
half of a doubled one) and walks the quotes one by one where it fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

QUOTE, LF, CR = 0x22, 0x0A, 0x0D
Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]
_ORDINARY = 0x61  # stands for a byte that ends no field


@dataclass(frozen=True)
class State:
    """Between two bytes of a CSV: inside quotes or not, and the byte before (a stray quote counts as
    ordinary)."""

    inside: bool = False
    before: int = LF


@dataclass(frozen=True)
class Scan:
    """The delimiting quotes of one block, ascending, and the state after it."""

    quotes: Positions
    after: State


def scan(data: Bytes, state: State, delimiter: int) -> Scan:
    """Find the delimiting quotes of a block that begins in ``state``."""
    found = np.flatnonzero(data == QUOTE)
    if found.size == 0:
        return Scan(found, State(state.inside, int(data[-1])) if data.size else state)
    starts = _field_ends(delimiter)
    starts[QUOTE] = True
    openers = found[1 if state.inside else 0 :: 2]
    before = data[openers - 1]
    if openers.size and openers[0] == 0:
        before[0] = state.before
    quotes = found if starts[before].all() else _walk(data, found, state, starts)
    inside = bool((quotes.size + state.inside) % 2)
    last = int(data[-1])
    if last == QUOTE and (quotes.size == 0 or quotes[-1] != data.size - 1):
        last = _ORDINARY
    return Scan(quotes, State(inside, last))


def _field_ends(delimiter: int) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[[delimiter, LF, CR]] = True
    return table


def _walk(data: Bytes, found: Positions, state: State, starts: npt.NDArray[np.bool_]) -> Positions:
    """The delimiting quotes where stray ones occur."""
    kept: list[int] = []
    inside = state.inside
    last = -1 if state.before == QUOTE else -2  # place of the latest delimiting quote
    preceding = data[found - 1].tolist()
    if found[0] == 0:
        preceding[0] = state.before
    for place, before in zip(found.tolist(), preceding, strict=True):
        if inside or (place - 1 == last if before == QUOTE else starts[before]):
            kept.append(place)
            inside = not inside
            last = place
    return np.array(kept, dtype=np.int64)


def misplaced_close(data: Bytes, quotes: Positions, delimiter: int) -> int | None:
    """In a block of whole records: the first closing quote that text follows, as in ``"a"b``; None when there
    is none.

    Such text is what a forgotten or undoubled quote leaves behind, and reading on would swallow records.
    """
    closers = quotes[1::2]
    if closers.size and closers[-1] == data.size - 1:
        closers = closers[:-1]
    ends = _field_ends(delimiter)
    ends[QUOTE] = True
    wrong = ~ends[data[closers + 1]]
    return int(closers[wrong.argmax()]) if wrong.any() else None


def first_record_end(data: Bytes, quotes: Positions, inside: bool) -> int | None:
    """The place after the first line end outside quotes; None when the block has none."""
    ends = _line_ends(data)
    outside = (np.searchsorted(quotes, ends) + inside) % 2 == 0
    return int(ends[outside.argmax()]) + 1 if outside.any() else None


def last_record_end(data: bytes | bytearray, size: int, quotes: Positions) -> int:
    """The place after the last line end outside quotes in the first ``size`` bytes, which begin outside; 0
    when there is none."""
    newline = data.rfind(b"\n", 0, size)
    end = max(newline, data.rfind(b"\r", newline + 1, size))
    if end < 0 or np.searchsorted(quotes, end) % 2 == 0:
        return end + 1
    ends = _line_ends(as_array(data)[:end])
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if outside.size else 0


def _line_ends(data: Bytes) -> Positions:
    return np.flatnonzero((data == LF) | (data == CR))


def as_array(data: Any) -> Bytes:
    """Bytes or a buffer as an array, without a copy."""
    return np.frombuffer(data, dtype=np.uint8)
