"""Runs on a real Flink session cluster: the same rows as on one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import faults, scenarios
from tests.cluster.data import ledger_and_bank
from tests.clusters import cluster, needs_java
from tests.helpers import drive

pytestmark = [needs_java("flink"), pytest.mark.timeout(1200)]


def test_the_same_rows_as_on_one_machine(tmp_path: Path) -> None:
    with cluster("flink", tmp_path / "cluster") as found:
        scenarios.sample_is_true(found, tmp_path)
        scenarios.large_rows_agree(found, tmp_path, ("shuffle", "broadcast", "local"))
        scenarios.two_runs_at_once(found, tmp_path)
        scenarios.postgres_is_read_at_one_moment(found, tmp_path)


def test_faults_end_right_or_with_a_cause(tmp_path: Path) -> None:
    recipe = ledger_and_bank(tmp_path)
    drive(recipe, tmp_path / "direct", strategy="local")
    with cluster("flink", tmp_path / "cluster") as found:
        faults.the_pool_is_down(found, tmp_path / "no-pool")
        faults.a_bad_record_is_told_at_once(found, tmp_path)
        faults.cancelled(found, recipe, tmp_path / "cancelled")
        faults.a_python_worker_is_killed(found, recipe, tmp_path / "worker", tmp_path / "direct")
        faults.a_machine_is_killed(found, recipe, tmp_path / "machine", tmp_path / "direct")
    faults.no_port_is_left(found)
