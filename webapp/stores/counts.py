"""How many sources, recipes and runs there are: read from where the database keeps it, never counted anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from webapp.db.database import Database
from webapp.db.models import RowCount

_COUNTS = select(RowCount.__table__)


@dataclass(frozen=True)
class Counts:
    """Exact at the moment of reading; ``runs_by_status`` names every status."""

    sources: int
    recipes: int
    runs_by_status: Mapping[str, int]

    @property
    def runs(self) -> int:
        """Runs of every status."""
        return sum(self.runs_by_status.values())


def counts(database: Database) -> Counts:
    """All counts, in one statement."""
    with database.reading() as connection:
        found = {(row.counted, row.status): row.total for row in connection.execute(_COUNTS)}
    by_status = {status: total for (table, status), total in found.items() if table == "runs"}
    return Counts(found["sources", ""], found["recipes", ""], by_status)
