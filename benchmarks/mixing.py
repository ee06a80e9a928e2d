"""Randomness without state: every value is a hash of (seed, what, row), and an order is a permutation of row numbers.

So any row can be made on its own, the same data comes out whatever the batch size, and a shuffled side of any length
needs no memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_ROUNDS = 4


def draw(seed: int, what: int, rows: Integers, below: int) -> Integers:
    """One number from 0 to ``below`` - 1 for each row, the same for the same seed, ``what`` and row (splitmix64)."""
    start = _scramble(np.array([seed * 1_000_003 + what], dtype=np.uint64))
    found = _scramble(rows.astype(np.uint64) * _GOLDEN + start)
    return (found % np.uint64(below)).astype(np.int64)


def _scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(31))
    return mixed


def permuted(seed: int, places: Integers, size: int) -> Integers:
    """The row at each place of a random order of ``size`` rows: each row comes at exactly one place.

    A Feistel network permutes the next larger power of four; what falls outside is permuted again until it is inside.
    """
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    rows = _feistel(seed, places, half)
    outside = np.flatnonzero(rows >= size)
    while outside.size:
        rows[outside] = _feistel(seed, rows[outside], half)
        outside = outside[rows[outside] >= size]
    return rows


def _feistel(seed: int, values: Integers, half: int) -> Integers:
    left, right = values >> half, values & ((1 << half) - 1)
    for number in range(_ROUNDS):
        left, right = right, left ^ draw(seed, 900 + number, right, 1 << half)
    return (left << half) | right
