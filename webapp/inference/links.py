"""Columns of two sides that share values: as they are, normalised, or as a reference inside free text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from webapp.inference.columns import EXACT, Analysis, Columns
from webapp.inference.model import Link, Table
from webapp.inference.profiles import profile
from webapp.inference.references import patterns
from webapp.inference.support import agreement, companions

_PROBE = 1500  # left and right rows with which links are looked for; those found are then counted on all rows
_LEAST_SHARE = 0.05
_MOST_COLUMNS = 40
_SELECTIVE = 1.25  # mean partners up to which a key tells records apart
_NAMES_SHARE = 0.85  # of the records that names alone must join to be taken for a key
_MOST_LINKS = 24
_MOST_KEYS = 6
_KEY_PARTS = 4
_AGREED = 0.5  # lift of amounts from which what joins the records needs no more proof


@dataclass(frozen=True)
class _View:
    """One way to compare a column. ``rank`` prefers the plainer of two that find the same."""

    column: str
    pattern: str
    strip_zeros: bool
    rank: int


def analyse(left: Table, right: Table) -> Analysis:
    """Profiles, links and keys of two sides. Looks at the rows read only; deterministic."""
    sides = Columns(left, profile(left)), Columns(right, profile(right))
    numbered = _Numbered(*sides)
    links = _links(numbered)
    return Analysis(sides, links, _keys(numbered, links))


def _links(numbered: _Numbered) -> tuple[Link, ...]:
    """Pairs of columns that share values, best first: one link for each pair of columns."""
    left, right = numbered.left, numbered.right
    if not left.table.rows or not right.table.rows:
        return ()
    pools = _patterns(left), _patterns(right)
    best: dict[tuple[str, str], tuple[float, Link]] = {}
    for one, other in _comparisons(left, right, pools):
        found = _probe(left, right, one, other)
        if found is None:
            continue
        link, score = found
        at = (one.column, other.column)
        if at not in best or score > best[at][0] * 1.03:  # a looser form must find clearly more
            best[at] = score, link
    ranked = sorted(best.values(), key=lambda item: (-item[0], item[1].left_col, item[1].right_col))[:_MOST_LINKS]
    counted = [numbered.measured((link,)) for _, link in ranked]
    links = [_with(link, shares) for (_, link), shares in zip(ranked, counted, strict=True)]
    return tuple(sorted(links, key=lambda link: -_worth(link)))


def _with(link: Link, shares: Measured) -> Link:
    return replace(
        link,
        share_left=shares.share_left,
        share_right=shares.share_right,
        partners=shares.partners,
        why=_WHY[link.op],
    )


def _worth(link: Link) -> float:
    return max(link.share_left, link.share_right) / max(1.0, link.partners)


def _patterns(side: Columns) -> dict[str, tuple[str, ...]]:
    found = {}
    for name in side.linkable[:_MOST_COLUMNS]:
        about = side.profile.column(name)
        cells = [cell for cell in side.table.column(name) if cell is not None]
        found[name] = patterns(cells, is_code=about.is_code)
    return found


def _comparisons(
    left: Columns, right: Columns, pools: tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]
) -> Iterator[tuple[_View, _View]]:
    for one in pools[0]:
        for other in pools[1]:
            yield _View(one, EXACT, False, 0), _View(other, EXACT, False, 0)
            yield _View(one, "", False, 1), _View(other, "", False, 1)
            yield _View(one, "", True, 2), _View(other, "", True, 2)
            codes = left.profile.column(one).is_code, right.profile.column(other).is_code
            for pattern in dict.fromkeys((*pools[0][one], *pools[1][other])):
                if not (left.holds(one, pattern) and right.holds(other, pattern)):
                    continue
                if not codes[1] and codes[0]:
                    yield _View(one, "", False, 3), _View(other, pattern, False, 3)
                if not codes[0] and codes[1]:
                    yield _View(one, pattern, False, 3), _View(other, "", False, 3)
                yield _View(one, pattern, False, 4), _View(other, pattern, False, 4)
                yield _View(one, pattern, True, 5), _View(other, pattern, True, 5)


def _probe(left: Columns, right: Columns, one: _View, other: _View) -> tuple[Link, float] | None:
    """The link and how good it is, from some rows of each side against all of the other."""
    views = (left, one), (right, other)
    if one.strip_zeros and not any(_has_zeros(side, view) for side, view in views):
        return None  # finds what the same view with zeros has found
    left_set, right_set = (_key_set(side, view) for side, view in views)
    shares = []
    for (side, view), known in zip(views, (right_set, left_set), strict=True):
        looked, filled = side.some_keys(_PROBE, view.column, view.pattern, view.strip_zeros)
        if len(filled) < min(3, looked) or len(filled) < 0.02 * looked:
            return None
        shares.append(sum(map(known.__contains__, filled)) / looked)
    shares = [share / _read(side.table) for share, side in zip(shares, (right, left), strict=True)]
    if max(shares) < _LEAST_SHARE:
        return None
    distinct = min(len(left_set), len(right_set))
    if distinct < 2:
        return None
    op = _op(one, other)
    link = Link(
        one.column,
        other.column,
        op,
        shares[0],
        shares[1],
        partners=0.0,
        why="",
        left_pattern=_text(one),
        right_pattern=_text(other),
        strip_zeros=one.strip_zeros,
    )
    spread = distinct / min(len(left.table.rows), len(right.table.rows))
    return link, max(shares) * (0.2 + spread)


def _op(one: _View, other: _View) -> str:
    if one.pattern == EXACT:
        return "eq"
    if not one.pattern and not other.pattern:
        return "normalized"
    return "regex" if one.pattern and other.pattern else "contains"


def _text(view: _View) -> str:
    return "" if view.pattern == EXACT else view.pattern


def _has_zeros(side: Columns, view: _View) -> bool:
    return side.keys(view.column, view.pattern, True) is not side.keys(view.column, view.pattern)


def _key_set(side: Columns, view: _View) -> frozenset[str]:
    return side.key_set(view.column, view.pattern, view.strip_zeros)


def link_keys(link: Link, left: Columns, right: Columns) -> tuple[list[str | None], list[str | None]]:
    """The comparable forms of both columns of a link."""
    if link.op == "eq":
        return left.keys(link.left_col), right.keys(link.right_col)
    return (
        left.keys(link.left_col, link.left_pattern, link.strip_zeros),
        right.keys(link.right_col, link.right_pattern, link.strip_zeros),
    )


def joined(links: Sequence[Link], left: Columns, right: Columns, most: int = 200_000) -> list[tuple[int, int]]:
    """Row numbers of the pairs whose every link holds, up to ``most``."""
    lefts, rights = _composite(links, left, right)
    places: dict[object, list[int]] = {}
    for at, key in enumerate(rights):
        if key is not None:
            places.setdefault(key, []).append(at)
    pairs: list[tuple[int, int]] = []
    for at, key in enumerate(lefts):
        if key is not None and key in places:
            pairs += [(at, other) for other in places[key]]
            if len(pairs) >= most:
                break
    return pairs


def _composite(links: Sequence[Link], left: Columns, right: Columns) -> tuple[Sequence[object], Sequence[object]]:
    """What links compare, for each row of both sides; None where a part is NULL."""
    columns = [link_keys(link, left, right) for link in links]
    if len(columns) == 1:
        return columns[0]
    return _tuples([one for one, _ in columns]), _tuples([other for _, other in columns])


def _tuples(columns: Iterable[Sequence[str | None]]) -> list[tuple[str | None, ...] | None]:
    return [None if None in key else key for key in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Measured:
    """Shares of all rows that find a partner, corrected for rows of the other side not read; mean partners."""

    share_left: float
    share_right: float
    partners: float

    @property
    def share(self) -> float:
        """Of the side that finds more: one list may be a small part of the other."""
        return max(self.share_left, self.share_right)


_Numbers = npt.NDArray[np.int64]


class _Numbered:
    """Two sides with the comparable forms of links as numbers: equal ones for equal forms, -1 for NULL. Several links
    together are then compared as fast as one."""

    def __init__(self, left: Columns, right: Columns) -> None:
        self.left, self.right = left, right
        self._known: dict[tuple[object, ...], tuple[_Numbers, _Numbers, int]] = {}

    def measured(self, links: Sequence[Link]) -> Measured:
        """How many records the links join together."""
        lefts, rights = self._numbers(links)
        (one, one_counts), (other, other_counts) = (
            np.unique(numbers[numbers >= 0], return_counts=True) for numbers in (lefts, rights)
        )
        _, at, other_at = np.intersect1d(one, other, assume_unique=True, return_indices=True)
        found = int(one_counts[at].sum()), int(other_counts[other_at].sum())
        pairs = int((one_counts[at] * other_counts[other_at]).sum())
        shares = [
            min(1.0, found[place] / max(1, len(side.table.rows)) / _read(facing.table))
            for place, (side, facing) in enumerate(((self.left, self.right), (self.right, self.left)))
        ]
        partners = pairs / max(1, min(found)) if len(at) else 0.0
        return Measured(round(shares[0], 4), round(shares[1], 4), round(partners, 3))

    def _numbers(self, links: Sequence[Link]) -> tuple[_Numbers, _Numbers]:
        lefts, rights, reach = self._of(links[0])
        for link in links[1:]:
            more, other_more, more_reach = self._of(link)
            if reach * more_reach >= 1 << 62:  # numbered anew, from 0
                _, dense = np.unique(np.concatenate((lefts, rights)), return_inverse=True)
                dense[np.concatenate((lefts, rights)) < 0] = -1
                lefts, rights, reach = dense[: len(lefts)], dense[len(lefts) :], len(dense)
            lefts, rights = _both(lefts, more, more_reach), _both(rights, other_more, more_reach)
            reach *= more_reach
        return lefts, rights

    def _of(self, link: Link) -> tuple[_Numbers, _Numbers, int]:
        compared = (link.left_col, link.left_pattern, link.right_col, link.right_pattern, link.op, link.strip_zeros)
        if compared not in self._known:
            places: dict[str | None, int] = {None: -1}
            lefts, rights = (
                np.array([places.setdefault(key, len(places)) for key in keys], dtype=np.int64)
                for keys in link_keys(link, self.left, self.right)
            )
            self._known[compared] = lefts, rights, len(places)
        return self._known[compared]


def _both(one: _Numbers, other: _Numbers, reach: int) -> _Numbers:
    return np.where((one < 0) | (other < 0), -1, one * reach + other)


def _read(table: Table) -> float:
    if table.is_whole or not table.total_rows:
        return 1.0
    return min(1.0, max(0.001, len(table.rows) / table.total_rows))


def _keys(numbered: _Numbered, links: Sequence[Link]) -> tuple[tuple[Link, ...], ...]:
    """Sets of links that tell records apart together, best first.

    A key must find partners, find few for each record, and be borne out: the records that it joins also agree in
    amounts, dates or texts, as running numbers of two unrelated lists do not.
    """
    scored: list[tuple[float, tuple[Link, ...]]] = []
    left, right = numbered.left, numbered.right
    for seed in links[:_MOST_KEYS]:
        grown, shares = _grown(seed, links, numbered)
        if shares.partners > _SELECTIVE or shares.share < 0.1:
            continue
        if not _is_reference(grown, left, right) and (shares.partners > 1.05 or shares.share < _NAMES_SHARE):
            continue
        others = [link for link in grown if not _is_counter(link, left, right)]
        borne_out = _borne_out(grown, others, left, right)
        if borne_out is not None and borne_out < 0.1 and len(others) < len(grown):
            continue
        plainness = 1 - 0.02 * len(grown) - 0.01 * sum(link.op != "eq" for link in grown)
        scored.append((shares.share * plainness * (0.3 + 0.7 * (1.0 if borne_out is None else borne_out)), grown))
    scored.sort(key=lambda item: -item[0])
    keys = [key for _, key in scored]
    return tuple(key for at, key in enumerate(keys) if not any(set(other) <= set(key) for other in keys[:at]))


def _borne_out(key: Sequence[Link], others: Sequence[Link], left: Columns, right: Columns) -> float | None:
    """How much more the records that a key joins agree than others do; None where nothing can be compared. ``others``
    are its links without running numbers.

    What a running number adds shows beside pairs that the rest of the key joins: two lists of the same customers agree
    in their names whatever is numbered alike. Where the rest alone joins equal amounts, as the equal instalments of an
    invoice, it is the rest that is borne out, and nothing is left for the number to add.
    """
    pairs = joined(key, left, right, 4000)
    if not 0 < len(others) < len(key):
        return agreement(pairs, left, right, key)
    rest = joined(others, left, right, 4000)
    agreed = [found.lift for found in companions(rest, left, right, others) if found.kind == "amount"]
    return agreement(pairs, left, right, key, None if max(agreed, default=0.0) >= _AGREED else rest)


def _is_reference(key: Sequence[Link], left: Columns, right: Columns) -> bool:
    """Whether a key holds a reference, rather than names, which two records may share and others write in short."""
    return any(
        link.op in ("contains", "regex")
        or left.profile.column(link.left_col).is_code
        or right.profile.column(link.right_col).is_code
        for link in key
    )


def _is_counter(link: Link, left: Columns, right: Columns) -> bool:
    """Whether both columns hold dense running numbers, which two lists share without having anything in common."""
    for side, keys in zip((left, right), link_keys(link, left, right), strict=True):
        found = {key for key in keys if key is not None}
        if not all(key.isascii() and key.isdigit() and len(key) < 12 for key in found):
            return False
        numbers = [int(key) for key in found]
        if max(numbers) - min(numbers) >= 4 * len(numbers) / _read(side.table):
            return False
    return True


def _grown(seed: Link, links: Sequence[Link], numbered: _Numbered) -> tuple[tuple[Link, ...], Measured]:
    """The link with as many others as it needs to tell records apart, as long as few partners are lost."""
    key: tuple[Link, ...] = (seed,)
    now = numbered.measured(key)
    while now.partners > 1.05 and len(key) < _KEY_PARTS:
        tried: list[tuple[float, int, Link, Measured]] = []
        for link in links:
            if any(link.left_col == k.left_col or link.right_col == k.right_col for k in key):
                continue
            then = numbered.measured((*key, link))
            kept = then.share / max(now.share, 0.001)
            if kept >= 0.6 and then.partners < 0.8 * now.partners:
                tried.append((then.partners / kept, len(tried), link, then))
        if not tried:
            break
        _, _, link, now = min(tried)
        key = (*key, link)
    return key, now


_WHY = {
    "eq": "the same values stand on both sides",
    "normalized": "the same references stand on both sides, written differently",
    "contains": "the reference of one side stands inside a text of the other",
    "regex": "both texts hold the same reference",
}
