"""One join on this machine, whole and shuffled, and shuffled on a Flink of two TaskManagers that this command starts,
whose workers share a folder or exchange files through a store of this machine.

    python -m benchmarks.cluster --rows 1000000 10000000 --repeat 3

They take turns. ``submission`` is the time from the plan to the first step at work, ``rest`` what follows it until the
evidence is committed, ``CPU`` that of the run's process and of all processes of the cluster. ``rows/s`` counts the rows
of both sides over ``rest``, ``a core`` over CPU. Needs what ``make java`` builds. Data is made once a size below
``--data``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from benchmarks.turns import write_recipe
from benchmarks.versus_duckdb import make_data
from pipelines.cluster.local import LocalCluster, local_cluster
from pipelines.launch import ClusterOptions, Event, RunRequest, launch

_STORED = "flink, store"
_WAYS = (("direct", "local"), ("direct", "shuffle"), ("flink", "shuffle"), (_STORED, "shuffle"))
_WORKERS_END_SECONDS = 10.0


@dataclass(frozen=True)
class Turn:
    """Seconds of one run; ``rows`` of both sides."""

    submission: float
    rest: float
    cpu: float
    rows: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    from tests.object_servers import s3_server  # the tests know how to start one

    results = {}
    with (
        tempfile.TemporaryDirectory(prefix="kalla-bench-") as folder,
        s3_server() as store,
        mock.patch.dict(os.environ, store.environment()),
        local_cluster("flink", Path(folder), workers=2, slots=1) as cluster,
    ):
        print(f"{os.cpu_count()} cores, Python {platform.python_version()}; median of {arguments.repeat}")
        print(f"{'rows':>12}{'way':>22}{'submission s':>14}{'rest s':>9}{'CPU s':>9}{'rows/s':>12}{'a core':>12}")
        for rows in arguments.rows:
            turns = scenario(arguments, cluster, f"s3://{store.bucket()}/staging", rows)
            for way, runs in turns.items():
                results[f"{way} {rows:,}"] = figures = medians(runs)
                print(line(rows, way, figures), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


def scenario(arguments: argparse.Namespace, cluster: LocalCluster, exchange: str, rows: int) -> dict[str, list[Turn]]:
    """The turns of every way; the first turn, which warms page cache and processes, does not count."""
    folder = arguments.data.absolute() / f"parquet-{rows}"
    make_data(folder, rows, "parquet")
    left, right = (str(folder / f"{name}.parquet") for name in ("invoices", "payments"))
    recipe = write_recipe(folder, "parquet", left, right)
    turns: dict[str, list[Turn]] = {name: [] for name in map("/".join, _WAYS)}
    for turn in range(arguments.repeat + 1):
        for runner, strategy in _WAYS:
            where = exchange if runner == _STORED else None
            measured = one_run(cluster, recipe, folder / "out", runner.partition(",")[0], strategy, where)
            if turn:
                turns[f"{runner}/{strategy}"].append(measured)
    return turns


def one_run(
    cluster: LocalCluster, recipe: Path, output: Path, runner: str, strategy: str, exchange: str | None
) -> Turn:
    """Raises RuntimeError when the run fails."""
    shutil.rmtree(output, ignore_errors=True)
    at: dict[str, float] = {}

    def note(event: Event) -> None:
        at.setdefault(event["event"], time.monotonic())

    options = ClusterOptions(cluster.endpoint, cluster.worker_pool, cluster.master_url, cluster.parallelism)
    before = cpu_seconds(cluster)
    where: dict[str, Any] = {"strategy": strategy, "runner": runner, "cluster": options, "exchange": exchange}
    outcome = launch(RunRequest(str(recipe), str(output), str(uuid.uuid4()), **where), note)
    ended = time.monotonic()
    if outcome["status"] != "completed":
        raise RuntimeError(outcome["error"]["message"])
    cpu = cpu_seconds(cluster) - before
    shutil.rmtree(output)
    rows = outcome["left_record_count"] + outcome["right_record_count"]
    return Turn(at["progress"] - at["planned"], ended - at["progress"], cpu, rows)


def cpu_seconds(cluster: LocalCluster) -> float:
    """CPU so far of the cluster's processes, of the workers that the pool has seen end, and of runs."""
    pool = psutil.Process(cluster.processes.get("worker-pool").pid)
    psutil.wait_procs(pool.children(), _WORKERS_END_SECONDS)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = usage.ru_utime + usage.ru_stime
    for name in ("jobmanager", "jobserver", "worker-pool", *cluster.workers):
        times = psutil.Process(cluster.processes.get(name).pid).cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def medians(turns: list[Turn]) -> dict[str, Any]:
    rest, cpu = (statistics.median(getattr(turn, name) for turn in turns) for name in ("rest", "cpu"))
    submission = statistics.median(turn.submission for turn in turns)
    rows = turns[0].rows
    return {"submission": submission, "rest": rest, "cpu": cpu, "rows_s": rows / rest, "rows_s_core": rows / cpu}


def line(rows: int, way: str, figures: dict[str, Any]) -> str:
    return (
        f"{rows:>12,}{way:>22}{figures['submission']:>14.2f}{figures['rest']:>9.2f}{figures['cpu']:>9.2f}"
        f"{figures['rows_s']:>12,.0f}{figures['rows_s_core']:>12,.0f}"
    )


if __name__ == "__main__":
    main()
