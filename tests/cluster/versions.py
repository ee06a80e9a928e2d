"""A real Flink or Spark of another version: told within seconds, whether or not the driver knows the master's page."""

from __future__ import annotations

from pathlib import Path

from pipelines.cluster import commands
from pipelines.cluster.commands import Command
from pipelines.cluster.local import HOST, fetch_json
from pipelines.cluster.processes import Processes, free_port, listening
from tests.cluster.scenarios import Ground
from tests.cluster.setups import configured, refused
from tests.other_versions import FLINK, SPARK, make_jars

_CODE = "run.cluster_version"


def the_flink_is_of_another_version(ground: Ground) -> None:
    """A job server of ours before another JobManager."""
    rest, port, artifacts = free_port(), free_port(), free_port()
    jars, folder = ground.folder / "other-jars", ground.folder / "other"
    make_jars("flink", jars)
    configuration = configured(folder, rest)
    page, endpoint = f"http://{HOST}:{rest}", f"{HOST}:{port}"
    with Processes(ground.found.processes.logs) as processes:
        processes.start("jobmanager-other", _with_jars(commands.flink_job_manager(configuration), jars))
        processes.wait_for("jobmanager-other", lambda: fetch_json(f"{page}/overview") is not None, 120)
        assert (fetch_json(f"{page}/overview") or {})["flink-version"] == FLINK
        server = commands.flink_job_server(f"{HOST}:{rest}", configuration, folder / "artifacts", port, artifacts)
        processes.start("jobserver-other", server)
        processes.wait_for("jobserver-other", lambda: listening(HOST, port), 120)
        refused(ground, "other-1", _CODE, f"is version {FLINK}", job_endpoint=endpoint, master_url=page)
        refused(ground, "other-2", _CODE, "make java", job_endpoint=endpoint, master_url=None)


def the_spark_is_of_another_version(ground: Ground) -> None:
    """Its executors register with the job server and drop what they are sent, so that Spark itself would wait for
    ever."""
    port, artifacts, rpc, ui = (free_port() for _ in range(4))
    jars, home = ground.folder / "other-jars", ground.folder / "other-home"
    make_jars("spark", jars)
    commands.make_spark_home(home)
    (home / "jars").unlink()
    (home / "jars").symlink_to(jars, target_is_directory=True)
    master, page, endpoint = f"spark://{HOST}:{rpc}", f"http://{HOST}:{ui}", f"{HOST}:{port}"
    with Processes(ground.found.processes.logs) as processes:
        processes.start("master-other", _with_jars(commands.spark_master(home, HOST, rpc, ui), jars))
        processes.wait_for("master-other", lambda: listening(HOST, rpc), 120)
        processes.start("worker-other", _with_jars(commands.spark_worker(home, HOST, master, 1, 1024), jars))
        state = f"{page}/json/"
        processes.wait_for("worker-other", lambda: bool((fetch_json(state) or {}).get("aliveworkers")), 120)
        own = processes.logs.parent / "home"
        server = commands.spark_job_server(own, master, ground.folder / "other-artifacts", port, artifacts)
        processes.start("jobserver-other", server)
        processes.wait_for("jobserver-other", lambda: listening(HOST, port), 120)
        refused(ground, "other-1", _CODE, f"is version {SPARK}", job_endpoint=endpoint, master_url=page)
        refused(ground, "other-2", _CODE, f"Executors run Spark {SPARK}", job_endpoint=endpoint, master_url=None)


def _with_jars(command: Command, folder: Path) -> Command:
    """The same process on the class path of other jars."""
    arguments = list(command.arguments)
    arguments[arguments.index("-cp") + 1] = ":".join(sorted(str(jar) for jar in folder.iterdir()))
    return Command(tuple(arguments), command.environment)
