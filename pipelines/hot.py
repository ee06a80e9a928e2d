"""Keys that too many rows share to be matched in one place, and how their rows are spread in the shuffle.

A hot key's rows are cut into parts on each side that has many, by row id. Every part of one side meets every part of
the other in a *cell*, a bucket of its own: usually the larger side is split and the other sent whole to each. Every
pair of rows meets in exactly one cell, and the merge takes the nearest candidate over all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recipe import LEFT, RIGHT

# Rows of one key and side that are matched together; a quarter of a million takes tens of megabytes.
MOST_ROWS = 1 << 18
_MOST_PARTS = 256

Counts = Mapping[int, int]
"""Rows by the hash of their key."""


@dataclass(frozen=True)
class HotKey:
    """The key of one hash: parts of each side, and the number of its first cell."""

    hash: int
    left: int
    right: int
    first: int

    def parts(self, side: str) -> int:
        return self.left if side == LEFT else self.right

    def cells(self, side: str, part: int) -> tuple[int, ...]:
        """Where the rows of one part go.

        >>> HotKey(0, 2, 3, 10).cells("l", 1), HotKey(0, 2, 3, 10).cells("r", 0)
        ((13, 14, 15), (10, 13))
        """
        if side == LEFT:
            return tuple(self.first + part * self.right + other for other in range(self.right))
        return tuple(self.first + other * self.right + part for other in range(self.left))


def least_count(files: int) -> int:
    """A key with more than ``MOST_ROWS`` rows on a side of so many files has as many as this in one of them."""
    return max(MOST_ROWS // max(files, 1), 1)


def hot_keys(counted: Iterable[tuple[str, Counts]], buckets: int) -> tuple[HotKey, ...]:
    """The hot keys from (side, counts) of every file, in whatever order; their cells follow the ``buckets``."""
    totals: dict[str, dict[int, int]] = {LEFT: {}, RIGHT: {}}
    for side, counts in counted:
        for key, rows in counts.items():
            totals[side][key] = totals[side].get(key, 0) + rows
    found: list[HotKey] = []
    first = buckets
    for key in sorted(totals[LEFT].keys() | totals[RIGHT].keys()):
        left, right = (min(-(-totals[side].get(key, 1) // MOST_ROWS), _MOST_PARTS) for side in (LEFT, RIGHT))
        if left > 1 or right > 1:
            found.append(HotKey(key, left, right, first))
            first += left * right
    return tuple(found)


def places(hot: Iterable[HotKey], side: str) -> list[tuple[HotKey, int, list[tuple[int, ...]]]]:
    """For each hot key the number of its first part among all parts of ``side``, and the cells of each part."""
    found = []
    at = 0
    for key in hot:
        found.append((key, at, [key.cells(side, part) for part in range(key.parts(side))]))
        at += key.parts(side)
    return found
