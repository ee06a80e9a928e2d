"""Runs on a real standalone Spark: the same rows as on one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import faults, scenarios, setups, versions
from tests.cluster.scenarios import Ground
from tests.clusters import cluster, needs_java

pytestmark = [needs_java("spark"), needs_java("functions"), pytest.mark.timeout(1200)]


def test_runs_on_spark(tmp_path: Path, subtests: pytest.Subtests) -> None:
    with cluster("spark", tmp_path / "cluster") as found:
        Ground(found, tmp_path).hold(
            subtests,
            scenarios.sample_is_true,
            scenarios.two_runs_at_once,
            *scenarios.LARGE_ROWS,
            scenarios.passes_of_beam_sql_agree,
            scenarios.an_object_store_is_all_they_share,
            setups.no_pool_answers,
            setups.the_folder_is_not_shared,
            setups.a_cluster_of_another_kind_is_named,
            setups.the_master_is_away_by_its_address,
            setups.the_spark_master_is_away_or_its_workers_lack_a_jar,
            versions.the_spark_is_of_another_version,
            faults.a_bad_record_is_told_at_once,
            faults.a_run_is_cancelled,
            faults.a_worker_straggles,
            faults.a_spark_worker_is_killed,
        )
    faults.no_process_is_left(found)
