"""Cutting a table into parts that can be read at once, in row order: relation by relation, block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from connectors.base import Split
from connectors.postgres.catalog import Unit


@dataclass(frozen=True)
class Part:
    """Blocks ``first`` to before ``end`` of one relation; None means from its start, or to its end."""

    schema: str
    name: str
    only: bool
    first: int | None = None
    end: int | None = None

    def source(self) -> sql.Composable:
        """The FROM item."""
        identifier = sql.Identifier(self.schema, self.name)
        return sql.SQL("ONLY {}").format(identifier) if self.only else identifier

    def condition(self) -> sql.Composable:
        """The blocks as a condition on ctid, which the server answers with a TID range scan."""
        form = "ctid {} {}::pg_catalog.tid"
        bounds = [(">=", self.first), ("<", self.end)]
        terms = [
            sql.SQL(form).format(sql.SQL(operator), sql.Literal(f"({block},0)"))
            for operator, block in bounds
            if block is not None
        ]
        return sql.SQL(" AND ").join(terms) if terms else sql.SQL("TRUE")


def plan(units: Sequence[Unit], desired: int) -> list[Split]:
    """At most ``desired`` splits of about equal size; a small relation shares one with its neighbours."""
    total = sum(max(unit.blocks, 1) for unit in units)
    share = max(-(-total // max(desired, 1)), 1)
    groups: list[list[Part]] = [[]]
    room = share
    for unit in units:
        size, at = max(unit.blocks, 1), 0
        while at < size:
            if room <= 0:
                groups.append([])
                room = share
            take = min(room, size - at) if unit.blocks else size
            end = at + take
            # the last range is open, so that a row is read wherever it lies
            groups[-1].append(Part(unit.schema, unit.name, unit.only, at or None, end if end < size else None))
            room, at = room - take, end
    return [Split(index, {"parts": [vars(part) for part in group]}) for index, group in enumerate(groups)]


def parts_of(split: Split) -> list[Part]:
    """The relations and block ranges of a split."""
    parts: Sequence[Mapping[str, Any]] = split.payload["parts"]
    return [Part(**part) for part in parts]


__all__ = ["Part", "parts_of", "plan"]
