"""What engine beam-sql takes and refuses before anything runs; no Java is started."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.beam_sql.service import check_service
from pipelines.cluster.jars import FOLDER_VARIABLE
from pipelines.cluster.processes import free_port
from pipelines.errors import PipelineError
from pipelines.options import ClusterOptions
from pipelines.prepare import prepare
from recipe import KallaError
from tests.clusters import needs_java
from tests.cluster.scenarios import sample
from tests.helpers import document, request, source, write_csv
from tests.test_architecture import ROOT

JOIN = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND {}"
REFUSED = {
    "SELECT l.id FROM left_src l JOIN right_src r ON l.amount < r.amount": "l.amount < r.amount",
    JOIN.format("l.name LIKE r.name"): "l.name LIKE r.name",
    JOIN.format("(l.amount = r.amount OR ROUND(l.amount / r.amount, 1) = 1)"): "l.amount / r.amount",
    JOIN.format("l.name < r.name"): "l.name < r.name",
    JOIN.format("GREATEST(l.amount, r.amount) > 5"): "GREATEST(l.amount, r.amount) > 5",
    "SELECT id FROM left_src UNION ALL SELECT id FROM right_src": "UNION",
    "SELECT l.id, SUM(r.amount) FROM left_src l JOIN right_src r ON l.id = r.id GROUP BY l.id": "GROUP BY",
}


@pytest.fixture
def recipe_of(tmp_path: Path) -> Any:
    columns = {"id": ["1"], "name": ["a"], "amount": ["1.5"]}
    types = {"schema": {"columns": {}}}
    sides = [source(write_csv(tmp_path / f"{n}.csv", columns), ["id"]) for n in ("left", "right")]
    assert types
    return lambda sql: document(sql.replace("l.amount", "CAST(l.amount AS NUMERIC)").replace("r.amount", "CAST(r.amount AS NUMERIC)"), *sides)


def sql_request(recipe: dict[str, Any], folder: Path, **more: Any) -> Any:
    return request(recipe, folder / "out", engine="beam-sql", **more)
