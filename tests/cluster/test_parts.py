"""A cluster by the commands that people and containers give: the parts of the compose file, and the whole on one machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from connectors import ObjectFolder
from pipelines.cluster.commands import Command
from pipelines.cluster.local import fetch_json
from pipelines.cluster.parts import REST_PORT
from pipelines.cluster.processes import Processes, free_port, listening
from tests.cluster.faults import processes_of
from tests.cluster.scenarios import SAMPLE, same_evidence, sample
from tests.clusters import logs_shown, needs_java
from tests.helpers import drive, manifest
from tests.object_servers import S3Server
from webapp.settings import Settings

pytestmark = [needs_java("flink"), pytest.mark.timeout(900)]

COMPOSE = Path(__file__).parents[2] / "docker-compose.cluster.yml"
KALLA = (sys.executable, "-m", "pipelines.cli")
# Each container has an address and ports of its own; here each has an address of this machine's loopback network.
NETWORK = f"127.{os.getpid() % 251 + 2}.{os.getpid() // 251 % 256}"


class Containers:
    """The services of the compose file as processes of this machine; only names and the pool's port are replaced."""

    def __init__(self, processes: Processes, folder: Path, store: Mapping[str, str]) -> None:
        """``store`` is how workers reach the store."""
        self.services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
        self._processes, self._folder, self._pool, self._store = processes, folder, str(free_port()), store
        self._addresses = {name: f"{NETWORK}.{n}" for n, name in enumerate(self.services, 1)}

    def start(self, name: str) -> None:
        program, *arguments = self.services[name]["command"]
        assert program == "kalla"
        if "part" in arguments:
            arguments += ["--folder", str(self._folder / name)]  # a container has a disk of its own
        words = 3 if "part" in arguments else 1  # the command's own, of which one is called as its service is
        here = [*arguments[:words], *(self._here(argument, name) for argument in arguments[words:])]
        self._processes.start(name, Command((*KALLA, *here), self._store if name.startswith("workers") else {}))

    def wait_until_healthy(self, name: str) -> None:
        """By the health check that the file has."""
        kind, program, *arguments = self.services[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        check = [sys.executable, *(self._here(argument, name) for argument in arguments)]
        self._processes.wait_for(
            name, lambda: subprocess.run(check, capture_output=True, timeout=60).returncode == 0, 240
        )

    def settings(self, name: str) -> dict[str, str]:
        """What the service is told of the cluster, with the defaults of the file."""
        found = {n: v for n, v in self.services[name]["environment"].items() if n in SETTINGS}
        assert set(found) == SETTINGS
        return {n: self._here(re.sub(r"\$\{\w+:-(.*)\}", r"\1", value), name) for n, value in found.items()}

    def address(self, name: str) -> str:
        return self._addresses[name]

    def _here(self, text: str, name: str) -> str:
        own = "127.0.0.1" if name.startswith("workers") else self._addresses[name]
        text = text.replace("0.0.0.0", own).replace("127.0.0.1", own)
        for other, address in self._addresses.items():
            text = re.sub(rf"(^|//|'){other}($|:|')", rf"\g<1>{address}\g<2>", text)
        return text.replace("50000", self._pool)


SETTINGS = {"KALLA_RUNNER", "KALLA_JOB_ENDPOINT", "KALLA_WORKER_POOL", "KALLA_MASTER_URL", "KALLA_STAGING"}


def test_the_commands_of_the_containers_make_a_flink(tmp_path: Path, s3_process: S3Server) -> None:
    """JobManager, TaskManagers, pool and job server as the compose file starts them, each healthy by its own check; a run
    with the runner's settings goes there, and exchanges its scratch data through the store."""
    store = s3_process.environment()
    with logs_shown(tmp_path / "logs"), Processes(tmp_path / "logs") as processes:
        containers = Containers(processes, tmp_path, store)
        parts = [name for name in containers.services if "part" in containers.services[name].get("command", ())]
        assert sorted(parts) == ["jobmanager", "jobserver", "taskmanager-1", "taskmanager-2"]
        started = [*parts, "workers-1"]  # the pool of the other one would be the same on one machine
        for name in started:
            containers.start(name)
        for name in started:
            containers.wait_until_healthy(name)
        master = f"http://{containers.address('jobmanager')}:{REST_PORT}/overview"
        processes.wait_for("taskmanager-1", lambda: (fetch_json(master) or {}).get("slots-total") == 2, 120)
        recipe = SAMPLE / "invoice-payment-match.json"
        run = [*KALLA, "run", str(recipe), "--output", str(tmp_path / "out"), "--json"]
        settings = containers.settings("runner")
        with mock.patch.dict(os.environ, store):
            bucket = ObjectFolder.at(settings["KALLA_STAGING"]).bucket
            assert bucket.name == Settings.from_environment({}).results_bucket  # the app makes it
            bucket.make()
        done = subprocess.run(
            run, env=os.environ | store | settings, capture_output=True, text=True, timeout=400
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert manifest(tmp_path / "out")["plan"]["runner"] == "flink", done.stdout
        drive(sample(), tmp_path / "direct", strategy="local")
        same_evidence(tmp_path / "out", tmp_path / "direct")
    assert not processes_of(tmp_path)
    assert not listening(containers.address("jobmanager"), REST_PORT)


def test_a_whole_cluster_runs_a_recipe_and_stops(tmp_path: Path) -> None:
    """What ``make cluster`` does."""
    recipe = SAMPLE / "invoice-payment-match.json"
    asked = ["--folder", str(tmp_path / "cluster"), "--recipe", str(recipe), "--output", str(tmp_path / "out")]
    with logs_shown(tmp_path / "cluster" / "flink" / "logs"):
        done = subprocess.run(
            [*KALLA, "cluster", "up", "flink", *asked], capture_output=True, text=True, timeout=600
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert "Flink is up" in done.stderr and "Flink is stopped" in done.stderr
    assert manifest(tmp_path / "out")["plan"]["runner"] == "flink"
    drive(sample(), tmp_path / "direct", strategy="local")
    same_evidence(tmp_path / "out", tmp_path / "direct")
    assert not processes_of(tmp_path / "cluster")
