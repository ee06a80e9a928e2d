"""Rows of both sides that can be compared with each other, for the samples of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from webapp.inference.candidates import Candidate, candidates, spread
from webapp.inference.columns import Analysis
from webapp.inference.fitting import fit
from webapp.inference.model import Table, Verdicts

_PAIRED = 0.75  # of the sample; the rest are rows as they come, with partner or without
_EDGE = 10  # pairs just inside and just outside of the limits


def choose_samples(left: Table, right: Table, analysis: Analysis, limit: int) -> tuple[list[int], list[int]]:
    """Row numbers of both samples, ascending, at most ``limit`` each.

    Most rows come in pairs that may belong together, those at the limits of amounts and dates among them; the others
    are spread over the whole side. ``left`` and ``right`` are the tables of the analysis.
    """
    found = candidates(fit(analysis, Verdicts()), analysis.sides)
    room = int(limit * _PAIRED)
    chosen = [*_edges(found, room), *spread([one for one in found if one.is_inside], room)]
    lefts = _filled((one.left for one in chosen), room, len(left.rows), limit)
    rights = _filled((one.right for one in chosen), room, len(right.rows), limit)
    return lefts, rights


def _edges(found: Sequence[Candidate], room: int) -> list[Candidate]:
    each = min(_EDGE, room // 4)
    inside = sorted((one for one in found if one.is_inside), key=lambda one: (-one.gap, one.alike, -one.days))
    outside = sorted((one for one in found if not one.is_inside), key=lambda one: (one.gap, -one.alike, one.days))
    return [*inside[:each], *outside[:each]]


def _filled(wanted: Iterable[int], room: int, rows: int, limit: int) -> list[int]:
    taken = set(list(dict.fromkeys(wanted))[:room])
    free = [at for at in range(rows) if at not in taken]
    more = min(limit - len(taken), len(free))
    taken |= {free[at * len(free) // more] for at in range(more)}
    return sorted(taken)
