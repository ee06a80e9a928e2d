"""Rows of both sides that can be compared with each other, for the samples of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from webapp.inference.candidates import Candidate, candidates, spread
from webapp.inference.columns import Analysis
from webapp.inference.fitting import fit
from webapp.inference.model import Table, Verdicts

_LEAST_PAIRED = 0.25  # of the sample, however few records have a partner: there must be pairs to judge
_EDGE = 10  # pairs just inside and just outside of the limits


def choose_samples(left: Table, right: Table, analysis: Analysis, limit: int) -> tuple[list[int], list[int]]:
    """Row numbers of both samples, ascending, at most ``limit`` each.

    As large a share of them as of the whole left side comes in pairs that may belong together, so that a sample's match
    rate is near that of all records; pairs at the limits of amounts and dates are among them. The others are rows that
    nothing fits, spread over the whole side. ``left`` and ``right`` are the tables of the analysis.
    """
    found = candidates(fit(analysis, Verdicts()), analysis.sides)
    inside = [one for one in found if one.is_inside]
    lefts, rights = {one.left for one in inside}, {one.right for one in inside}
    share = len(lefts) / len(left.rows) if left.rows else 0.0
    room = round(limit * max(share, _LEAST_PAIRED))
    chosen = [*_edges(found, room), *_spread(inside, room)]
    return (
        _filled((one.left for one in chosen), room, len(left.rows), limit, lefts),
        _filled((one.right for one in chosen), room, len(right.rows), limit, rights),
    )


def _spread(inside: Sequence[Candidate], room: int) -> list[Candidate]:
    """The first candidate of left records all over the side; where there is room, more of them."""
    first = {one.left: one for one in reversed(inside)}
    return spread([first[at] for at in sorted(first)], room) + spread(inside, room)


def _edges(found: Sequence[Candidate], room: int) -> list[Candidate]:
    each = min(_EDGE, room // 4)
    inside = sorted((one for one in found if one.is_inside), key=lambda one: (-one.gap, one.alike, -one.days))
    outside = sorted((one for one in found if not one.is_inside), key=lambda one: (one.gap, -one.alike, one.days))
    return [*inside[:each], *outside[:each]]


def _filled(wanted: Iterable[int], room: int, rows: int, limit: int, paired: set[int]) -> list[int]:
    """At most ``room`` of the wanted rows, then rows that nothing fits, then any."""
    taken = set(list(dict.fromkeys(wanted))[:room])
    free = [at for at in range(rows) if at not in taken]
    for others in ([at for at in free if at not in paired], [at for at in free if at in paired]):
        more = min(limit - len(taken), len(others))
        taken |= {others[at * len(others) // more] for at in range(more)}
    return sorted(taken)
