"""What the steps of a run know of it and leave for each other, as plain data that travels to any worker."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa

from pipelines.assemble import Chunk
from pipelines.beam_sql.statement import SqlMatch
from pipelines.exchange import Exchange
from pipelines.keys import KeyFacts
from pipelines.layout import Layout
from pipelines.matching import Rows, Sides
from pipelines.parts import Part
from pipelines.paths import partial
from pipelines.relation import Relation
from pipelines.stage import Readings
from pipelines.totals import Totals
from recipe import LEFT, RIGHT, MatchPlan

T = TypeVar("T")


@dataclass(frozen=True)
class RunState:
    """What every step may need: the plan, where things lie and how much memory there is. Plain data."""

    plan: MatchPlan
    columns: Mapping[str, tuple[str, ...]]
    keys: Mapping[str, tuple[str, ...]]
    schemas: Mapping[str, pa.Schema]
    readings: Mapping[str, Readings]
    aliases: Mapping[str, str]
    exchange: Exchange
    memory: int
    strategy: str
    buckets: int
    sql: tuple[SqlMatch, ...] = ()
    sql_service: str | None = None
    relations: Mapping[str, Relation] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.exchange.scratch

    def sides(self, left: Rows | None = None, right: Rows | None = None) -> Sides:
        """Both sides as given, else whole."""
        whole = self.relations
        return Sides(left or whole[LEFT], right or whole[RIGHT], self.keys[LEFT], self.keys[RIGHT])

    def bring(self) -> None:
        """Have all rows of both sides here."""
        for relation in self.relations.values():
            relation.bring()

    def files(self) -> list[str]:
        """Where all rows lie, or would if they were brought: steps that name the same files share an engine."""
        return [f.path for relation in self.relations.values() for f in relation.files]


class SourceFacts(NamedTuple):
    """What one look at all records of one side tells: control totals, how many texts of each column that the rule reads
    as a number or date are none, and how many records were ragged."""

    totals: Totals
    unparsed: dict[str, int]
    ragged: int


@dataclass(frozen=True)
class Made:
    """The merge's result: what is to be written, cut into chunks."""

    layout: Layout
    right: tuple[Chunk, ...]
    left: tuple[Chunk, ...]
    facts: Mapping[str, SourceFacts]
    matched: tuple[Part, ...] = ()
    pairs: int = 0


@dataclass
class SideSummary:
    """Counts and totals of one side, from the rows as they were written."""

    rows: int = 0
    unmatched: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    keys: KeyFacts = field(default_factory=lambda: KeyFacts(0, 0))
    unparsed: dict[str, int] = field(default_factory=dict)
    ragged: int = 0
    source: Totals = field(default_factory=Totals)
    matched_totals: Totals = field(default_factory=Totals)
    unmatched_totals: Totals = field(default_factory=Totals)


@dataclass
class Summary:
    """All that the manifest tells of a run's rows."""

    layout: Layout
    pairs: int
    parts: list[Part]
    left: SideSummary
    right: SideSummary


def keep(exchange: Exchange, name: str, value: object) -> None:
    """Leave a value among the run's files for other steps, on whatever worker they run."""
    path = exchange.scratch / name
    written = partial(path)
    written.write_bytes(exchange.seal(name, pickle.dumps(value)))
    written.replace(path)


def kept(exchange: Exchange, name: str, kind: type[T]) -> T:
    exchange.bring(name)
    data = exchange.unseal(name, (exchange.scratch / name).read_bytes())
    found = pickle.loads(data)  # noqa: S301 - the run's own file, in its private folder or sealed
    assert isinstance(found, kind)
    return found
