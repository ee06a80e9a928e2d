"""Who pays what: for each pattern, the payments that belong to a range of invoices, as plain integer arrays.

Rows are numbered from 0. An *item* is what a payment comes from: an invoice, for the pattern ``batch`` a block of
sixty invoices, and behind those the payments without invoice. The tally knows the truth while it is being made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmarks.mixing import Integers, draw

CUSTOMERS = 20
CURRENCIES = ("USD", "USD", "USD", "USD", "EUR", "GBP")
FIRST_DAY = np.datetime64("2025-01-01", "D").astype(np.int64)
BLOCK = 60  # invoices in two batches of 10 to 50 each
_MONTHS = 24
_CURRENCY_CODES = np.array([sorted(set(CURRENCIES)).index(c) for c in CURRENCIES], dtype=np.int64)

# What a hash is for; the numbers only have to differ.
AMOUNT, CUSTOMER, CURRENCY, DAY, STATUS, KIND, OFFSET, PARTS, SHARE, DELAY, METHOD, BANK = range(12)
STRANGER, DOUBLED, NO_AMOUNT, NO_REFERENCE, NO_PAID, BATCH, EXTRA = range(20, 27)

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Spec:
    """What to make. ``match_rate`` sets the share of exact payments of ``one_to_one`` (normally 0.6)."""

    rows: int
    pattern: str = "one_to_one"
    seed: int = 7
    shuffle: bool = False
    match_rate: float | None = None

    def draw(self, what: int, rows: Integers, below: int) -> Integers:
        return draw(self.seed, what, rows, below)


@dataclass
class Tally:
    """Counts of what recipes A to D must find: pairs, and rows of each side that are in a pair."""

    pairs: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    left_groups: Integers = field(default_factory=lambda: np.zeros(groups(), dtype=np.int64))
    right_groups: Integers = field(default_factory=lambda: np.zeros(groups(), dtype=np.int64))

    def add(self, recipe: str, pairs: int, left: int | None = None, right: int | None = None) -> None:
        self.pairs[recipe] += int(pairs)
        self.left[recipe] += int(pairs if left is None else left)
        self.right[recipe] += int(pairs if right is None else right)


@dataclass(frozen=True)
class Draft:
    """Payments as numbers. ``invoice`` decides payer, currency and date; ``stranger`` replaces the payer."""

    invoice: Integers
    cents: Integers
    reference: pa.Array
    stranger: Flags | None = None
    no_cents: Flags | None = None


def groups() -> int:
    return CUSTOMERS * len(set(CURRENCIES)) * _MONTHS


def amount_cents(spec: Spec, rows: Integers) -> Integers:
    """100.00 to 50,100.00."""
    return 10_000 + spec.draw(AMOUNT, rows, 5_000_001)


def group_of(spec: Spec, customers: Integers, rows: Integers, days: Integers) -> Integers:
    """The number of (customer, currency, month)."""
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) - (2025 - 1970) * 12
    currency = _CURRENCY_CODES[spec.draw(CURRENCY, rows, len(CURRENCIES))]
    return (customers * len(set(CURRENCIES)) + currency) * _MONTHS + months


def numbered(prefix: str, numbers: Integers) -> pa.Array:
    """``INV-000001`` for 1."""
    digits = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), 6, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def invoice_ids(rows: Integers) -> pa.Array:
    return numbered("INV-", rows + 1)


def entered(spec: Spec, rows: Integers) -> Integers:
    """The invoice that each left row is; in the pattern ``duplicates`` some rows repeat the one before."""
    return rows - is_repeat(spec, rows) if spec.pattern == "duplicates" else rows


def is_repeat(spec: Spec, rows: Integers) -> Flags:
    """Rows that are entered twice: the second of the two."""
    marked = spec.draw(DOUBLED, rows, 10) == 0
    return marked & (rows > 0) & (spec.draw(DOUBLED, rows - 1, 10) != 0)


def without_amount(spec: Spec, rows: Integers) -> Flags | None:
    return spec.draw(NO_AMOUNT, rows, 20) == 0 if spec.pattern == "nulls" else None


def batch_numbers(spec: Spec, rows: Integers) -> Integers:
    """Sixty invoices in a row make two batches of 10 to 50; only the last ones of all may be smaller."""
    block = rows // BLOCK
    return 2 * block + (rows % BLOCK >= 10 + spec.draw(BATCH, block, BLOCK - 19))


def main_items(spec: Spec) -> int:
    return -(-spec.rows // BLOCK) if spec.pattern == "batch" else spec.rows


def extra_items(spec: Spec) -> int:
    """A tenth of the invoices, or of the batches, again as payments without invoice; ``cross`` has strangers."""
    if spec.pattern == "cross":
        return 0
    return (2 * main_items(spec) if spec.pattern == "batch" else spec.rows) // 10


def extras(spec: Spec, items: Integers) -> Draft:
    rows = items + 1_000_000_000_000
    return Draft(rows, amount_cents(spec, rows), numbered("UNK-", items + 1))


def one_to_one(spec: Spec, items: Integers, tally: Tally) -> Draft:
    """60 % exact, 15 % off by up to 2 %, 5 % in two halves under other references, 20 % unpaid."""
    exact = 6_000 if spec.match_rate is None else round(spec.match_rate * 10_000)
    off, halves = (exact + (10_000 - exact) * share // 40 for share in (15, 20))
    kind = np.searchsorted([exact, off, halves], spec.draw(KIND, items, 10_000), side="right")
    rows = np.repeat(items, np.array([1, 1, 2, 0])[kind])
    kinds = np.repeat(kind, np.array([1, 1, 2, 0])[kind])
    second = np.concatenate(([False], rows[1:] == rows[:-1])) if rows.size else np.zeros(0, dtype=bool)
    full = amount_cents(spec, rows)
    move = full * (1 + spec.draw(OFFSET, rows, 200)) // 10_000
    move = np.where(spec.draw(OFFSET, rows + 1, 2) == 0, move, -move)
    cents = np.select([kinds == 1, kinds == 2], [full + move, full // 2 + second * (full % 2)], full)
    suffix = pa.array(np.where(kinds == 2, np.where(second, "-PART2", "-PART1"), ""))
    tally.add("A", np.count_nonzero((kinds == 0) | ((kinds == 1) & (np.abs(move) <= 2))))
    tally.add("B", np.count_nonzero(kinds < 2))
    return Draft(rows, cents, pc.binary_join_element_wise(invoice_ids(rows), suffix, ""))


def split(spec: Spec, items: Integers, tally: Tally) -> Draft:
    """Two to five parts that add up to the invoice, all with its reference."""
    counts = 2 + spec.draw(PARTS, items, 4)
    rows = np.repeat(items, counts)
    starts = np.cumsum(counts) - counts
    part = np.arange(rows.size) - np.repeat(starts, counts)
    full = amount_cents(spec, rows)
    last = part == np.repeat(counts, counts) - 1
    weight = 500 + spec.draw(SHARE, rows * 8 + part, 501)
    cents = np.where(last, 0, full * weight // (1_000 * np.repeat(counts, counts)))
    if rows.size:
        cents[last] = amount_cents(spec, items) - np.add.reduceat(cents, starts)
    tally.add("A", 0)
    tally.add("B", rows.size, left=items.size)
    return Draft(rows, cents, invoice_ids(rows))


def batch(spec: Spec, items: Integers, tally: Tally) -> Draft:
    """One payment for the sum of each batch, with the batch's reference."""
    blocks: Integers = items[:, None] * BLOCK + np.arange(BLOCK)[None, :]
    rows: Integers = blocks[blocks < spec.rows]
    numbers = batch_numbers(spec, rows)
    starts = np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1]))) if rows.size else rows
    cents = np.add.reduceat(amount_cents(spec, rows), starts) if rows.size else rows
    tally.add("C", rows.size, right=starts.size)
    return Draft(rows[starts], cents, numbered("BATCH-", numbers[starts] + 1))


def cross(spec: Spec, items: Integers, tally: Tally) -> Draft:
    """As many payments as invoices, 80 % from the same customers; they pair by customer, currency and month."""
    rows = items + 2_000_000_000_000
    stranger = spec.draw(STRANGER, rows, 5) == 0
    days = FIRST_DAY + spec.draw(DAY, rows, 365)
    found = group_of(spec, spec.draw(CUSTOMER, rows, CUSTOMERS), rows, days)[~stranger]
    tally.right_groups += np.bincount(found, minlength=groups())
    return Draft(rows, amount_cents(spec, rows), numbered("REF-", items + 1), stranger)


def duplicates(spec: Spec, items: Integers, tally: Tally) -> Draft:
    """A tenth of the invoices is entered twice, a tenth is paid twice, a fifth is not paid."""
    kind = spec.draw(KIND, items, 100)
    counts = np.where(is_repeat(spec, items), 0, np.select([kind < 20, kind < 30], [0, 2], 1))
    times = 1 + ((items + 1 < spec.rows) & is_repeat(spec, items + 1))
    for recipe in ("A", "B"):
        tally.add(recipe, (counts * times).sum(), left=times[counts > 0].sum(), right=counts.sum())
    rows = np.repeat(items, counts)
    return Draft(rows, amount_cents(spec, rows), invoice_ids(rows))


def nulls(spec: Spec, items: Integers, tally: Tally) -> Draft:
    """80 % exact; 5 % each without invoiced amount, without reference, without paid amount."""
    rows = items[spec.draw(KIND, items, 100) < 80]
    no_reference = spec.draw(NO_REFERENCE, rows, 20) == 0
    no_cents = spec.draw(NO_PAID, rows, 20) == 0
    no_amount = spec.draw(NO_AMOUNT, rows, 20) == 0
    tally.add("A", np.count_nonzero(~(no_reference | no_cents | no_amount)))
    tally.add("B", np.count_nonzero(~no_reference))
    ids = pc.if_else(pa.array(no_reference), pa.scalar(None, pa.string()), invoice_ids(rows))
    return Draft(rows, amount_cents(spec, rows), ids, no_cents=no_cents)


def near_misses(spec: Spec, items: Integers, tally: Tally) -> Draft:
    """A quarter each: exact, two cents off, three cents off, reference without its hyphen."""
    kind = spec.draw(KIND, items, 4)
    move = np.array([0, 2, 3, 0])[kind] * np.where(spec.draw(OFFSET, items, 2) == 0, 1, -1)
    ids = invoice_ids(items)
    ids = pc.if_else(pa.array(kind == 3), pc.replace_substring(ids, "-", ""), ids)
    tally.add("A", np.count_nonzero(kind < 2))
    tally.add("B", np.count_nonzero(kind < 3))
    return Draft(items, amount_cents(spec, items) + move, ids)


PATTERNS: dict[str, Callable[[Spec, Integers, Tally], Draft]] = {
    f.__name__: f for f in (one_to_one, split, batch, cross, duplicates, nulls, near_misses)
}
