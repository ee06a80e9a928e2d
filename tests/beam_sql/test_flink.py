"""Engine beam-sql on a real Flink: the run starts its service beside a cluster of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.options import ClusterOptions
from pipelines.prepare import prepare
from recipe import KallaError
from tests.cluster.scenarios import same_evidence, sample
from tests.cluster.test_choice import job_server
from tests.clusters import cluster, needs_java, on
from tests.helpers import drive, request


@needs_java("flink")
@needs_java("functions")
@pytest.mark.timeout(900)
def test_the_same_rows_as_on_one_machine(tmp_path: Path) -> None:
    with cluster("flink", tmp_path / "cluster") as found:
        outcome = on(found, sample(), tmp_path / "flink", engine="beam-sql")
    assert outcome["status"] == "completed", outcome
    assert (outcome["engine"], outcome["runner"]) == ("beam-sql", "flink")
    drive(sample(), tmp_path / "vectorized")
    same_evidence(tmp_path / "flink", tmp_path / "vectorized")


def test_a_cluster_elsewhere_needs_a_service_of_its_own(tmp_path: Path) -> None:
    with job_server(b"flink_master") as address:
        elsewhere = ClusterOptions(address.replace("127.0.0.1", "[::ffff:127.0.0.1]"))
        asked = request(sample(), tmp_path / "out", engine="beam-sql", runner="flink", cluster=elsewhere)
        with pytest.raises(KallaError) as error:
            prepare(asked)
    assert error.value.code == "run.sql_service_not_set" and "KALLA_SQL_SERVICE" in error.value.hint
