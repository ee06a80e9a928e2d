"""Runs on a real standalone Spark: the same rows as on one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import scenarios
from tests.clusters import cluster, needs_java

pytestmark = [needs_java("spark"), pytest.mark.timeout(1200)]


def test_the_same_rows_as_on_one_machine(tmp_path: Path) -> None:
    with cluster("spark", tmp_path / "cluster") as found:
        scenarios.sample_is_true(found, tmp_path)
        scenarios.two_runs_at_once(found, tmp_path)
        scenarios.large_rows_agree(found, tmp_path, ("shuffle",))
