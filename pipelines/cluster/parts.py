"""One part of a cluster by its name, with the ports that parts expect of each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.cluster import commands
from pipelines.cluster.commands import Command, FlinkPlace

REST_PORT, WORKER_PORT, SPARK_PORT, SPARK_UI_PORT = 8081, 6122, 7077, 8088
_ARTIFACTS = 1  # a job server's second port follows its first


@dataclass(frozen=True)
class Place:
    """Where a part runs. ``master`` is the host of the JobManager or Spark master, ``host`` this part's own name."""

    master: str
    bind: str
    host: str
    port: int
    slots: int
    memory_mib: int
    folder: Path


def command_of(name: str, place: Place) -> Command:
    """The command of a part; writes what it needs to ``place.folder``. Raises PipelineError without jars or Java."""
    place.folder.mkdir(parents=True, exist_ok=True)
    return _PARTS[name](place)


def _configured(place: Place) -> Path:
    """Flink's configuration folder."""
    flink = FlinkPlace(place.master, 6123, REST_PORT, place.bind, place.slots, WORKER_PORT)
    text = commands.flink_configuration(flink, place.folder, place.memory_mib, place.host)
    (place.folder / "flink-conf.yaml").write_text(text, encoding="utf-8")
    return place.folder


def _job_server(place: Place) -> Command:
    master, artifacts = f"{place.master}:{REST_PORT}", place.folder / "artifacts"
    port = place.port
    return commands.flink_job_server(master, _configured(place), artifacts, port, port + _ARTIFACTS, place.host)


def _spark_home(place: Place) -> Path:
    home = place.folder / "spark"
    commands.make_spark_home(home)
    return home


def _spark_job_server(place: Place) -> Command:
    master, artifacts = f"spark://{place.master}:{SPARK_PORT}", place.folder / "artifacts"
    port = place.port
    return commands.spark_job_server(
        _spark_home(place), master, artifacts, port, port + _ARTIFACTS, place.host, place.memory_mib
    )


_PARTS: Mapping[str, Callable[[Place], Command]] = {
    "jobmanager": lambda p: commands.flink_job_manager(_configured(p)),
    "taskmanager": lambda p: commands.flink_task_manager(_configured(p), p.memory_mib),
    "jobserver": _job_server,
    "spark-master": lambda p: commands.spark_master(_spark_home(p), p.host, SPARK_PORT, SPARK_UI_PORT),
    "spark-worker": lambda p: commands.spark_worker(
        _spark_home(p), p.host, f"spark://{p.master}:{SPARK_PORT}", p.slots, p.memory_mib + 512
    ),
    "spark-jobserver": _spark_job_server,
}
