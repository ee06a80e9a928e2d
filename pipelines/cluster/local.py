"""A real Flink or Spark cluster on this machine, as plain processes on free loopback ports."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.cluster import commands
from pipelines.cluster.commands import FlinkPlace
from pipelines.cluster.processes import Processes, free_port, listening

HOST = "127.0.0.1"
_START_SECONDS = 240  # four Java programs at once on two busy cores


@dataclass(frozen=True)
class LocalCluster:
    """A running cluster, as a run needs to know it."""

    kind: str
    endpoint: str
    worker_pool: str
    master_url: str
    parallelism: int
    processes: Processes
    workers: tuple[str, ...]
    """The names of the TaskManagers or Spark workers among ``processes``."""

    def environment(self) -> dict[str, str]:
        """The settings that point a run at this cluster."""
        return {
            "KALLA_RUNNER": self.kind,
            "KALLA_JOB_ENDPOINT": self.endpoint,
            "KALLA_WORKER_POOL": self.worker_pool,
            "KALLA_MASTER_URL": self.master_url,
            "KALLA_PARALLELISM": str(self.parallelism),
        }


def fetch_json(url: str, seconds: float = 3) -> Any:
    """A JSON document over HTTP; None when nobody answers with one."""
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310
        return json.load(answer)
    return None


@contextlib.contextmanager
def local_cluster(kind: str, folder: Path, workers: int = 2, slots: int = 2) -> Iterator[LocalCluster]:
    """Start a cluster of ``kind`` (``flink`` or ``spark``), wait until it is healthy, stop it at the end.

    Logs and temporary files lie in ``folder``. Raises PipelineError when a process does not come up.
    """
    start = {"flink": _flink, "spark": _spark}[kind]
    with Processes(folder / "logs") as processes:
        yield start(processes, folder, workers, slots)


def _pool(processes: Processes) -> int:
    port = free_port()
    processes.start("worker-pool", commands.worker_pool(port))
    return port


def _flink(processes: Processes, folder: Path, workers: int, slots: int) -> LocalCluster:
    place = FlinkPlace(HOST, free_port(), free_port(), slots=slots)
    configuration = folder / "conf"
    configuration.mkdir(parents=True, exist_ok=True)
    (configuration / "flink-conf.yaml").write_text(commands.flink_configuration(place, folder), encoding="utf-8")
    processes.start("jobmanager", commands.flink_job_manager(configuration))
    names = tuple(f"taskmanager-{n + 1}" for n in range(workers))
    for name in names:
        processes.start(name, commands.flink_task_manager(configuration))
    pool, port, artifacts = _pool(processes), free_port(), free_port()
    master = f"{HOST}:{place.rest_port}"
    server = commands.flink_job_server(master, configuration, folder / "artifacts", port, artifacts)
    processes.start("jobserver", server)

    def registered() -> bool:
        found = fetch_json(f"http://{master}/overview")
        return bool(found) and found["slots-total"] == workers * slots

    processes.wait_for("jobmanager", registered, _START_SECONDS)
    _wait_for_ports(processes, port, pool)
    return LocalCluster(
        "flink", f"{HOST}:{port}", f"{HOST}:{pool}", f"http://{master}", workers * slots, processes, names
    )


def _spark(processes: Processes, folder: Path, workers: int, slots: int) -> LocalCluster:
    home = folder / "home"
    commands.make_spark_home(home)
    rpc, ui = free_port(), free_port()
    master = f"spark://{HOST}:{rpc}"
    processes.start("master", commands.spark_master(home, HOST, rpc, ui))
    processes.wait_for("master", lambda: listening(HOST, rpc), _START_SECONDS)
    names = tuple(f"worker-{n + 1}" for n in range(workers))
    for name in names:
        processes.start(name, commands.spark_worker(home, HOST, master, slots, 1024))
    pool, port, artifacts = _pool(processes), free_port(), free_port()
    processes.start("jobserver", commands.spark_job_server(home, master, folder / "artifacts", port, artifacts))

    def registered() -> bool:
        found = fetch_json(f"http://{HOST}:{ui}/json/")
        return bool(found) and found["aliveworkers"] == workers

    processes.wait_for("master", registered, _START_SECONDS)
    _wait_for_ports(processes, port, pool)
    return LocalCluster(
        "spark", f"{HOST}:{port}", f"{HOST}:{pool}", f"http://{HOST}:{ui}", workers * slots, processes, names
    )


def _wait_for_ports(processes: Processes, endpoint: int, pool: int) -> None:
    processes.wait_for("jobserver", lambda: listening(HOST, endpoint), _START_SECONDS)
    processes.wait_for("worker-pool", lambda: listening(HOST, pool), _START_SECONDS)
