"""One service of engine beam-sql for many runs: starting Java takes ten seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pipelines.beam_sql.service import sql_service
from pipelines.options import ClusterOptions


@contextlib.contextmanager
def shared_service(folder: Path) -> Iterator[ClusterOptions]:
    """What points runs of this machine at it."""
    with sql_service(None, folder, 2 << 30) as address:
        yield ClusterOptions(sql_service=address)
