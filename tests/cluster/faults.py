"""What must hold when something dies or is stopped in the middle of a run, as functions over a running cluster."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from pipelines.cluster.commands import flink_task_manager
from pipelines.cluster.local import LocalCluster, fetch_json
from pipelines.launch import Event, launch
from pipelines.runners.flink import is_living, named, newest
from tests.cluster.scenarios import Ground, same_evidence, sample
from tests.clusters import on, options
from tests.helpers import request

_WAIT = 180.0
_CANCEL_SECONDS = 10.0  # as docs/cluster.md promises
_STRAGGLE_SECONDS = 8.0


def until(ready: Callable[[], Any], what: str, seconds: float = _WAIT) -> Any:
    """What ``ready`` gives as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def in_the_middle(ground: Ground, output: Path) -> Iterator[dict[str, Any]]:
    """The block runs while steps of a run are at work on the cluster: some have told their end, others have not.

    ``run["asked"]`` is the request, ``run["pid"]`` its process and, after the block, ``run["outcome"]`` its end.
    """
    asked = request(
        ground.large, output, runner=ground.found.kind, cluster=options(ground.found), strategy="shuffle"
    )  # fmt: skip
    run: dict[str, Any] = {"asked": asked}
    at_work = threading.Event()

    def note(event: Event) -> None:
        if event["event"] == "staged":
            at_work.set()

    def go() -> None:
        run["outcome"] = launch(asked, note, timeout=600, on_start=lambda pid: run.update(pid=pid))

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    until(lambda: at_work.is_set() or "outcome" in run, "the first step")
    assert "outcome" not in run, run["outcome"]
    yield run
    thread.join(600)
    assert "outcome" in run, "the run did not end"


def right_or_nothing(ground: Ground, outcome: dict[str, Any], output: Path) -> None:
    """A run ends right, or fails with a code and leaves nothing: never half evidence, never another count."""
    if outcome["status"] == "completed":
        same_evidence(output, ground.large_truth)
        return
    assert outcome["error"]["code"] not in ("internal.error", "run.failed", "run.cluster_failed"), outcome
    left_nothing(output)


def left_nothing(output: Path) -> None:
    assert not output.exists()
    assert not list(output.parent.glob(f".{output.name}.kalla-*"))


def python_workers(found: LocalCluster) -> list[psutil.Process]:
    """The workers that the pool has started and that live."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(found.processes.get("worker-pool").pid).children()
        return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return []


def a_python_worker_is_killed(ground: Ground) -> None:
    output = ground.folder / "worker-killed"
    with in_the_middle(ground, output) as run:
        killed = python_workers(ground.found)
        assert killed
        for worker in killed:  # some may be left of an earlier run
            worker.send_signal(signal.SIGKILL)
    right_or_nothing(ground, run["outcome"], output)
    assert _was_tried_again(ground.found, run["asked"].run_id)


def a_machine_is_killed(ground: Ground) -> None:
    """A TaskManager is killed; another has taken its place by the time the cluster tries again. Its workers end too."""
    output = ground.folder / "machine-killed"
    with in_the_middle(ground, output) as run:
        name, before = ground.found.workers[0], python_workers(ground.found)
        _kill(ground.found, name)
        ground.found.processes.start(name, flink_task_manager(ground.found.processes.logs.parent / "conf"))
    right_or_nothing(ground, run["outcome"], output)
    assert _was_tried_again(ground.found, run["asked"].run_id)
    until(lambda: fetch_json(f"{ground.found.master_url}/overview")["taskmanagers"] == 2, "the new TaskManager")
    until(lambda: not set(before) & set(python_workers(ground.found)), "the end of the machine's Python workers")


def a_spark_worker_is_killed(ground: Ground) -> None:
    """A worker is killed with its executor; the other one is left."""
    output = ground.folder / "machine-killed"
    with in_the_middle(ground, output) as run:
        _kill(ground.found, ground.found.workers[0])
    right_or_nothing(ground, run["outcome"], output)
    assert "Lost executor" in (ground.found.processes.logs / "jobserver.log").read_text(encoding="utf-8")


def the_job_server_is_killed(ground: Ground) -> None:
    """The run fails within seconds, and its job, of which the master alone still knows, does not go on."""
    output = ground.folder / "server-killed"
    with in_the_middle(ground, output) as run:
        _kill(ground.found, "jobserver")
    assert run["outcome"]["error"]["code"] == "run.cluster_lost", run["outcome"]
    left_nothing(output)
    assert _ended_as(ground.found, run["asked"].run_id) == "CANCELED"


def _kill(found: LocalCluster, name: str) -> None:
    killed = found.processes.get(name)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(60)


def a_worker_straggles(ground: Ground) -> None:
    """A Python worker stands still in the middle of its work, and goes on."""
    _straggles(ground, "worker-straggled", lambda: python_workers(ground.found)[-1:])


def a_machine_straggles(ground: Ground) -> None:
    """A TaskManager, or a Spark worker with its executor, stands still while its Python worker is at work."""
    machine = psutil.Process(ground.found.processes.get(ground.found.workers[0]).pid)
    _straggles(ground, "machine-straggled", lambda: [machine, *machine.children(recursive=True)])


def _straggles(ground: Ground, name: str, slow: Callable[[], list[psutil.Process]]) -> None:
    """The others wait, nothing is done twice, and the evidence is the same."""
    output = ground.folder / name
    with in_the_middle(ground, output) as run:
        stopped = slow()
        assert stopped
        for process in stopped:
            process.suspend()
        try:
            time.sleep(_STRAGGLE_SECONDS)
            assert "outcome" not in run, "the run did not need what stood still"
        finally:
            for process in stopped:
                process.resume()
    assert run["outcome"]["status"] == "completed", run["outcome"]
    same_evidence(output, ground.large_truth)
    assert ground.found.kind != "flink" or not _was_tried_again(ground.found, run["asked"].run_id)


def a_run_is_cancelled(ground: Ground) -> None:
    """A run that is asked to end takes its job and its workers with it within seconds, and leaves nothing."""
    output = ground.folder / "cancelled"
    with in_the_middle(ground, output) as run:
        assert python_workers(ground.found)
        os.kill(run["pid"], signal.SIGTERM)
        until(
            lambda: _is_over(ground.found, run["asked"].run_id) and not python_workers(ground.found),
            "the end of the job and its workers",
            _CANCEL_SECONDS,
        )
    assert run["outcome"]["status"] == "failed", run["outcome"]
    assert run["outcome"]["error"]["code"] == "run.cancelled"
    left_nothing(output)


def _is_over(found: LocalCluster, run_id: str) -> bool:
    """Whether the master says that the job of a cancelled run has come to its end."""
    if found.kind == "flink":
        job = newest(_flink_jobs(found, run_id))
        return job is not None and job["state"] == "CANCELED"
    told = fetch_json(f"{found.master_url}/json/")
    ended = [app for app in told["completedapps"] if app["name"].startswith(f"kalla-{run_id}_")]
    return bool(ended) and not told["activeapps"]


def _ended_as(found: LocalCluster, run_id: str) -> str:
    """How the JobManager says that the job of a run ended, once it has."""

    def ended() -> str | None:
        job = newest(_flink_jobs(found, run_id))
        assert job is not None
        return None if is_living(job) else str(job["state"])

    return str(until(ended, "the end of the job"))


def _was_tried_again(found: LocalCluster, run_id: str) -> bool:
    """Whether the fault met the job at work: the JobManager keeps what failed of it."""
    told = [fetch_json(f"{found.master_url}/jobs/{job['jid']}/exceptions") for job in _flink_jobs(found, run_id)]
    return any(exceptions["exceptionHistory"]["entries"] for exceptions in told)


def _flink_jobs(found: LocalCluster, run_id: str) -> list[dict[str, Any]]:
    return named(fetch_json(f"{found.master_url}/jobs/overview")["jobs"], f"kalla-{run_id}")


def a_bad_record_is_told_at_once(ground: Ground) -> None:
    """A failure of a step, not of the cluster: its own code, and no second try."""
    bad = ground.folder / "bad.csv"
    bad.write_text('id,ref\n1,a\n2,"b\n', encoding="utf-8")
    recipe = sample()
    recipe["sources"]["left"]["uri"] = str(bad)
    recipe["sources"]["left"]["primary_key"] = ["id"]
    recipe["match_sql"] = "SELECT l.id FROM left_src l JOIN right_src r ON l.ref = r.payment_id"
    outcome = on(ground.found, recipe, ground.folder / "bad")
    assert outcome["status"] == "failed"
    assert outcome["error"]["code"].startswith("source."), outcome


def no_process_is_left(found: LocalCluster) -> None:
    """Everything has ended with its cluster: no port answers, no process has its folder in its command."""
    for address in (found.endpoint, found.worker_pool, re.sub("^http://", "", found.master_url)):
        host, _, port = address.partition(":")
        with socket.socket() as probe:
            assert probe.connect_ex((host, int(port))) != 0
    assert not processes_of(found.processes.logs.parent)


def processes_of(folder: Path) -> list[dict[str, Any]]:
    """The processes of this machine that have ``folder`` in their command."""
    told = psutil.process_iter(["pid", "cmdline"])
    return [p.info for p in told if str(folder) in " ".join(p.info["cmdline"] or ())]
