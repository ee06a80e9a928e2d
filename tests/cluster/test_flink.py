"""Runs on a real Flink session cluster: the same rows as on one machine, whatever happens to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import faults, scenarios, setups, versions
from tests.cluster.scenarios import Ground
from tests.clusters import cluster, needs_java

pytestmark = [needs_java("flink"), needs_java("functions"), pytest.mark.timeout(1200)]


def test_runs_on_flink(tmp_path: Path, subtests: pytest.Subtests) -> None:
    with cluster("flink", tmp_path / "cluster") as found:
        ground = Ground(found, tmp_path)
        ground.hold(
            subtests,
            scenarios.sample_is_true,
            *scenarios.LARGE_ROWS,
            scenarios.a_hot_key_agrees,
            scenarios.passes_of_beam_sql_agree,
            scenarios.two_runs_at_once,
            scenarios.an_object_store_is_all_they_share,
            scenarios.large_rows_go_through_a_store,
            scenarios.workers_without_keys_are_refused,
            scenarios.postgres_is_read_at_one_moment,
            setups.no_pool_answers,
            setups.auto_runs_here_where_no_pool_answers,
            setups.the_folder_is_not_shared,
            setups.the_workers_are_older,
            setups.a_cluster_of_another_kind_is_named,
            setups.the_master_is_away_by_its_address,
            setups.the_master_is_away_or_lacks_a_jar,
            versions.the_flink_is_of_another_version,
            faults.a_bad_record_is_told_at_once,
            faults.a_run_is_cancelled,
            faults.a_machine_straggles,
            faults.a_python_worker_is_killed,
            faults.a_machine_is_killed,
            scenarios.no_jar_has_travelled,
            faults.the_job_server_is_killed,
        )
    faults.no_process_is_left(found)
