"""``kalla cluster``: a Flink or Spark of one's own, on this machine or part by part in containers."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console

from pipelines.cli.console import err, line
from pipelines.options import ClusterOptions, RunRequest

KINDS = ("flink", "spark")
PARTS = ("jobmanager", "taskmanager", "jobserver", "spark-master", "spark-worker", "spark-jobserver")


@click.group("cluster", short_help="Start a Flink or Spark cluster, whole or part by part.")
def cluster() -> None:
    """Start a Flink or Spark cluster: whole on this machine, or one part, as containers do."""


@cluster.command("up", short_help="Start a whole cluster on this machine.")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="TaskManagers or workers.")
@click.option("--slots", type=click.IntRange(1, 64), default=2, show_default=True, help="Steps at once on each.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("out/cluster"), show_default=True,
    help="Logs and temporary files.",
)  # fmt: skip
@click.option("--recipe", type=click.Path(), help="Run this recipe on the cluster, then stop.")
@click.option("--output", type=click.Path(), default="out/cluster-evidence", show_default=True, help="Its evidence.")
def up(kind: str, workers: int, slots: int, folder: Path, recipe: str | None, output: str) -> int:
    """Start a whole cluster on this machine, tell how runs find it, and stop it when asked to end."""
    from pipelines.cluster.local import local_cluster

    console, place, name = err(), folder.absolute() / kind, kind.title()
    line(console, f"Starting {name} with {workers} workers; logs: {place / 'logs'}")
    with local_cluster(kind, place, workers, slots) as found:
        line(console, f"{name} is up: {found.master_url}")
        if recipe is None:
            _tell_how_to_use(console, found.environment())
            _until_asked()
            status = 0
        else:
            options = ClusterOptions(found.endpoint, found.worker_pool, found.master_url, found.parallelism)
            status = _run(recipe, output, kind, options)
    line(console, f"{name} is stopped.")
    return status


def _tell_how_to_use(console: Console, environment: Mapping[str, str]) -> None:
    line(console, "Ctrl-C stops it. Runs find it with:")
    for name, value in environment.items():
        line(console, f"export {name}={value}")


def _run(recipe: str, output: str, kind: str, options: ClusterOptions) -> int:
    import uuid

    from pipelines.cli import report
    from pipelines.cli.console import out
    from pipelines.cli.progress import progress_bar
    from pipelines.cli.run import failure
    from pipelines.launch import launch

    request = RunRequest(recipe, output, str(uuid.uuid4()), runner=kind, overwrite=True, cluster=options)
    with progress_bar() as on_event:
        outcome = launch(request, on_event)
    if outcome["status"] != "completed":
        raise failure(outcome, debug=False)
    report.print_result(out(), output, outcome["seconds"])
    return 0


def _until_asked() -> None:
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    with contextlib.suppress(KeyboardInterrupt):
        asked.wait()


@cluster.command("part", short_help="Become one part of a cluster, as containers do.")
@click.argument("name", type=click.Choice(PARTS))
@click.option("--master", default="127.0.0.1", show_default=True, help="Host of the JobManager or Spark master.")
@click.option("--bind-host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--host", default="", help="Name by which the others reach this part.")
@click.option("--port", type=click.IntRange(1, 65535), default=50050, show_default=True, help="Port of a job server.")
@click.option("--slots", type=click.IntRange(1, 64), default=1, show_default=True, help="Steps at once.")
@click.option("--memory-mib", type=click.IntRange(256), default=640, show_default=True, help="Memory of its steps.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("/tmp/kalla-cluster"), show_default=True,  # noqa: S108
    help="Temporary files; a job server's artifacts must reach the cluster.",
)  # fmt: skip
def part(
    name: str, master: str, bind_host: str, host: str, port: int, slots: int, memory_mib: int, folder: Path
) -> None:
    """Become NAME: the process is replaced by it, with Kalla's configuration and jars."""
    from pipelines.cluster.parts import Place, command_of

    place = Place(master, bind_host, host or bind_host, port, slots, memory_mib, folder.absolute())
    command = command_of(name, place)
    os.execve(command.arguments[0], list(command.arguments), {**os.environ, **command.environment})  # noqa: S606
