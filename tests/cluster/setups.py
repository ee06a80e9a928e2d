"""Set-ups that cannot work, on real processes: each is told with a code of its own and what to do, and leaves nothing."""

from __future__ import annotations

import contextlib
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.cluster import commands
from pipelines.cluster.commands import Command, FlinkPlace
from pipelines.cluster.local import HOST, fetch_json
from pipelines.cluster.processes import free_port, listening
from pipelines.evidence import Evidence
from pipelines.runners.choice import FALLBACK
from tests.cluster.scenarios import Ground, sample
from tests.clusters import on, start_pool

# A pool that is a pool of ours in all but one thing, and does not answer a driver: the cluster tells of its refusal.
_POOL = (
    "import sys; from pipelines.cluster import handshake, inquiry, worker_pool; inquiry._METHOD = 'none'; {change}; "
    "sys.exit(worker_pool.main(['--port', '{port}']))"
)
_BEAM = ("beam-", "kalla-")
_ELSEWHERE = "handshake.TOKEN = 'of-another-disk'"  # as where the run's folder is not mounted
_OLDER = "handshake._PACKAGES = (); old = handshake.versions(); handshake.versions = lambda: old | {{'kalla': '0.0.1'}}"


def refused(ground: Ground, name: str, code: str, says: str, **cluster: Any) -> None:
    """A run with ``cluster`` as its settings fails with ``code`` and a remedy that ``says`` what to do."""
    output = ground.folder / name
    outcome = on(ground.found, sample(), output, settings=cluster)
    assert outcome["status"] == "failed", outcome
    assert outcome["error"]["code"] == code, outcome
    assert says in outcome["error"]["message"], outcome
    assert not output.exists() and not list(ground.folder.glob(f".{name}.kalla-*"))


def no_pool_answers(ground: Ground) -> None:
    """On one machine the driver sees it itself."""
    refused(
        ground, "no-pool", "run.worker_pool_unreachable", "`kalla worker`", worker_pool=f"{HOST}:{free_port()}"
    )  # fmt: skip


def auto_runs_here_where_no_pool_answers(ground: Ground) -> None:
    """The job server and the master answer, so the cluster is taken; that its workers cannot be had shows there, for
    the driver does not know what answers at the pool's address."""
    output = ground.folder / "auto-no-pool"
    with hanging_up() as pool:
        outcome = on(ground.found, sample(), output, settings={"worker_pool": pool}, runner="auto")
    assert outcome["status"] == "completed", outcome
    [warning] = [warning for warning in outcome["warnings"] if warning["code"] == FALLBACK]
    assert "not on the cluster" in warning["message"] and "KALLA_WORKER_POOL" in warning["message"], warning
    assert Evidence(output).manifest["plan"]["runner"] == "direct"


@contextlib.contextmanager
def hanging_up() -> Iterator[str]:
    """The address of a program that takes calls and hangs up."""

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            pass

    with socketserver.ThreadingTCPServer((HOST, 0), HangUp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{HOST}:{server.server_address[1]}"
        server.shutdown()


def the_folder_is_not_shared(ground: Ground) -> None:
    refused(
        ground, "not-shared", "run.folder_not_shared", "KALLA_STAGING", worker_pool=_pool(ground, "pool-away", _ELSEWHERE)
    )  # fmt: skip


def the_workers_are_older(ground: Ground) -> None:
    refused(
        ground, "older", "run.worker_version", "planned with kalla", worker_pool=_pool(ground, "pool-older", _OLDER)
    )  # fmt: skip


def _pool(ground: Ground, name: str, change: str) -> str:
    port = free_port()
    code = _POOL.format(change=change.format(), port=port)
    return start_pool(ground.found, name, port, Command((sys.executable, "-c", code), {}))


def a_cluster_of_another_kind_is_named(ground: Ground) -> None:
    """Told by the real job server's own options, before anything is submitted."""
    other = {"flink": "spark", "spark": "flink"}[ground.found.kind]
    outcome = on(ground.found, sample(), ground.folder / "kind", runner=other)
    assert outcome["status"] == "failed" and outcome["error"]["code"] == "run.cluster_kind", outcome
    assert f"--runner {ground.found.kind}" in outcome["error"]["message"]


def the_master_is_away_by_its_address(ground: Ground) -> None:
    nobody = f"http://{HOST}:{free_port()}"
    refused(ground, "no-master", "run.cluster_unreachable", "KALLA_MASTER_URL", master_url=nobody)


def the_master_is_away_or_lacks_a_jar(ground: Ground) -> None:
    """A job server whose Flink is not there, and then one without Beam's jars."""
    port, artifacts, rest, processes = free_port(), free_port(), free_port(), ground.found.processes
    folder = ground.folder / "astray"
    configuration = configured(folder, rest)
    server = commands.flink_job_server(f"{HOST}:{rest}", configuration, folder / "artifacts", port, artifacts)
    processes.start("jobserver-astray", server)
    processes.wait_for("jobserver-astray", lambda: listening(HOST, port), 120)
    astray = {"job_endpoint": f"{HOST}:{port}", "master_url": None}
    refused(ground, "away", "run.cluster_unreachable", "Start the master", **astray)

    processes.start("jobmanager-bare", _without_beam(commands.flink_job_manager(configuration)))
    processes.wait_for("jobmanager-bare", lambda: fetch_json(f"http://{HOST}:{rest}/overview") is not None, 120)
    refused(ground, "bare", "run.cluster_version", "make java", **astray)


def the_spark_master_is_away_or_its_workers_lack_a_jar(ground: Ground) -> None:
    """A job server whose master is not there tells it at once, where Spark alone would try for a minute; then one whose
    worker has no jars of Beam."""
    port, artifacts, rpc, ui, processes = *(free_port() for _ in range(4)), ground.found.processes
    home, bare = processes.logs.parent / "home", ground.folder / "bare-home"
    master = f"spark://{HOST}:{rpc}"
    server = commands.spark_job_server(home, master, ground.folder / "astray", port, artifacts)
    processes.start("jobserver-astray", server)
    processes.wait_for("jobserver-astray", lambda: listening(HOST, port), 120)
    astray = {"job_endpoint": f"{HOST}:{port}", "master_url": None}
    refused(ground, "away", "run.cluster_unreachable", f"No Spark master listens at {master}", **astray)

    processes.start("master-astray", commands.spark_master(home, HOST, rpc, ui))
    processes.wait_for("master-astray", lambda: listening(HOST, rpc), 120)
    _make_bare_home(home, bare)
    processes.start("worker-bare", commands.spark_worker(bare, HOST, master, 1, 1024))
    state = f"http://{HOST}:{ui}/json/"
    processes.wait_for("worker-bare", lambda: bool((fetch_json(state) or {}).get("aliveworkers")), 120)
    refused(ground, "bare", "run.cluster_version", "make java", **astray)


def _make_bare_home(home: Path, bare: Path) -> None:
    """A home of Spark without Beam's jars and ours, which its executors then lack: a plain Spark."""
    commands.make_spark_home(bare)
    (bare / "jars").unlink()
    (bare / "jars").mkdir()
    for jar in (home / "jars").iterdir():
        if not jar.name.startswith(_BEAM):
            (bare / "jars" / jar.name).symlink_to(jar)


def configured(folder: Path, rest: int) -> Path:
    """Flink's configuration folder, for a JobManager with this port of its web page."""
    folder.mkdir()
    place = FlinkPlace(HOST, free_port(), rest)
    (folder / "flink-conf.yaml").write_text(commands.flink_configuration(place, folder), encoding="utf-8")
    return folder


def _without_beam(command: Command) -> Command:
    """The same process on a class path without Beam's jars and ours: a plain Flink."""
    arguments = list(command.arguments)
    place = arguments.index("-cp") + 1
    jars = arguments[place].split(":")
    kept = [jar for jar in jars if not Path(jar).name.startswith(_BEAM)]
    assert len(kept) < len(jars)
    arguments[place] = ":".join(kept)
    return Command(tuple(arguments), command.environment)
