"""The columns of the matched set under their evidence names (contract 1.7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from recipe.compiler.plan import LEFT, RIGHT, SideInput

FIXED_COLUMNS = ("_left_row", "_right_row", "_left_partners", "_right_partners")
_PREFIX = {LEFT: "left_", RIGHT: "right_"}


@dataclass(frozen=True)
class Wanted:
    """A column before it is named: ``origin`` is its source column where it is one."""

    name: str
    origin: tuple[str, str] | None


def evidence_names(wanted: Sequence[Wanted]) -> list[str]:
    """Names that differ from each other, and from the fixed columns, without regard to case.

    A name that only one column has stays. Of equal names, source columns become ``left_<name>`` and
    ``right_<name>``, others get a number; a fixed name gets ``_src``. Made-up names give way to written ones.

    >>> evidence_names([Wanted("id", ("l", "id")), Wanted("ID", ("r", "ID")), Wanted("x", None)])
    ['left_id', 'right_ID', 'x']
    """
    counts = Counter(w.name.casefold() for w in wanted)
    fixed = {name.casefold() for name in FIXED_COLUMNS}
    names: list[str | None] = [None] * len(wanted)
    taken = set(fixed)
    for i, w in enumerate(wanted):
        if counts[w.name.casefold()] == 1 and w.name.casefold() not in fixed:
            names[i] = w.name
            taken.add(w.name.casefold())
    for i, w in enumerate(wanted):
        if names[i] is None:
            names[i] = free_name(_clashing(w, counts[w.name.casefold()], fixed), taken)
    return [name for name in names if name is not None]


def _clashing(wanted: Wanted, count: int, fixed: set[str]) -> str:
    if count > 1 and wanted.origin is not None:
        return _PREFIX[wanted.origin[0]] + wanted.name
    return f"{wanted.name}_src" if wanted.name.casefold() in fixed else wanted.name


def free_name(name: str, taken: set[str]) -> str:
    """``name``, or ``name_2`` and so on; the name is taken afterwards."""
    candidate, n = name, 1
    while candidate.casefold() in taken or not candidate:
        n += 1
        candidate = f"{name}_{n}"
    taken.add(candidate.casefold())
    return candidate


def missing_keys(
    sides: Mapping[str, SideInput], present: Sequence[tuple[str, str] | None], names: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Key columns that the select list lacks, as (evidence name, side, column): always ``left_`` or
    ``right_`` names, so that the names a person has chosen stay theirs."""
    taken = {n.casefold() for n in (*names, *FIXED_COLUMNS)}
    keys = [(side, column) for side in (LEFT, RIGHT) for column in sides[side].primary_key]
    return [(free_name(_PREFIX[s] + c, taken), s, c) for s, c in keys if (s, c) not in present]


def source_column(side: str, column: str) -> exp.Column:
    return exp.Column(this=exp.to_identifier(column, quoted=True), table=exp.to_identifier(side))
