"""What must hold when something dies, is stopped or was never there, as functions over a running cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from pipelines.cluster.local import LocalCluster, fetch_json
from pipelines.cluster.processes import free_port
from pipelines.launch import Event, launch
from tests.cluster.scenarios import same_evidence, sample
from tests.clusters import on, options
from tests.helpers import request

_WAIT = 180.0


def until(ready: Callable[[], Any], what: str) -> Any:
    """What ``ready`` gives as soon as it is something."""
    deadline = time.monotonic() + _WAIT
    while not (found := ready()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def started(found: LocalCluster, recipe: dict[str, Any], output: Path, **more: Any) -> Iterator[dict[str, Any]]:
    """A run on a thread; ``run["pid"]``, ``run["events"]`` and, after the block, ``run["outcome"]``."""
    run: dict[str, Any] = {"events": []}
    asked = request(recipe, output, runner=found.kind, cluster=options(found), **more)

    def note(event: Event) -> None:
        run["events"].append(event)

    def go() -> None:
        run["outcome"] = launch(asked, note, timeout=600, on_start=lambda pid: run.update(pid=pid))

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    yield run
    thread.join(600)
    assert "outcome" in run, "the run did not end"


def at_work(run: dict[str, Any]) -> bool:
    """Whether steps run on the cluster: their events have come back."""
    return any(event["event"] in ("staged", "side") for event in run["events"])


def right_or_nothing(outcome: dict[str, Any], output: Path, truth: Path) -> None:
    """A run ends right, or fails with a code and leaves nothing: never half evidence, never another count."""
    if outcome["status"] == "completed":
        same_evidence(output, truth)
        return
    assert outcome["error"]["code"] not in ("internal.error", "run.failed"), outcome
    assert outcome["error"]["message"]
    assert not output.exists()
    assert not list(output.parent.glob(f".{output.name}.kalla-*"))


def python_workers(found: LocalCluster) -> list[psutil.Process]:
    """The workers that the pool has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(found.processes.get("worker-pool").pid).children()
    return []


def a_python_worker_is_killed(found: LocalCluster, recipe: dict[str, Any], output: Path, truth: Path) -> None:
    with started(found, recipe, output, strategy="shuffle") as run:
        until(lambda: at_work(run) or "outcome" in run, "the first step")
        for worker in python_workers(found)[:1]:
            worker.send_signal(signal.SIGKILL)
    right_or_nothing(run["outcome"], output, truth)


def a_machine_is_killed(found: LocalCluster, recipe: dict[str, Any], output: Path, truth: Path) -> None:
    """A TaskManager is killed in the middle; another has taken its place by the time the cluster tries again."""
    from pipelines.cluster.commands import flink_task_manager

    with started(found, recipe, output, strategy="shuffle") as run:
        until(lambda: at_work(run) or "outcome" in run, "the first step")
        name = found.workers[0]
        killed = found.processes.get(name)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait(60)
        configuration = found.processes.logs.parent / "conf"
        found.processes.start(name, flink_task_manager(configuration))
    right_or_nothing(run["outcome"], output, truth)


def cancelled(found: LocalCluster, recipe: dict[str, Any], output: Path) -> None:
    """A run that is asked to end takes its job with it, and leaves nothing."""
    with started(found, recipe, output, strategy="shuffle") as run:
        until(lambda: at_work(run), "the first step")
        os.kill(run["pid"], signal.SIGTERM)
    assert run["outcome"]["status"] == "failed", run["outcome"]
    assert run["outcome"]["error"]["code"] == "run.cancelled"
    assert not output.exists()
    until(lambda: not _running_jobs(found), "the end of the job")


def _running_jobs(found: LocalCluster) -> list[Any]:
    jobs = (fetch_json(f"{found.master_url}/jobs/overview") or {"jobs": []})["jobs"]
    return [job for job in jobs if job["state"] not in ("FINISHED", "FAILED", "CANCELED")]


def the_pool_is_down(found: LocalCluster, output: Path) -> None:
    away = options(found, worker_pool=f"127.0.0.1:{free_port()}")
    asked = request(sample(), output, runner=found.kind, cluster=away)
    outcome = launch(asked, timeout=300)
    assert outcome["status"] == "failed"
    assert outcome["error"]["code"] == "run.worker_pool_unreachable", outcome
    assert "kalla worker" in outcome["error"]["message"]
    assert not output.exists()


def a_bad_record_is_told_at_once(found: LocalCluster, folder: Path) -> None:
    """A failure of a step, not of the cluster: its own code, and no second try."""
    bad = folder / "bad.csv"
    bad.write_text('id,ref\n1,a\n2,"b\n', encoding="utf-8")
    recipe = sample()
    recipe["sources"]["left"]["uri"] = str(bad)
    recipe["sources"]["left"]["primary_key"] = ["id"]
    recipe["match_sql"] = "SELECT l.id FROM left_src l JOIN right_src r ON l.ref = r.payment_id"
    outcome = on(found, recipe, folder / "bad")
    assert outcome["status"] == "failed"
    assert outcome["error"]["code"].startswith("source."), outcome


def no_port_is_left(found: LocalCluster) -> None:
    """Everything has ended with its cluster."""
    for address in (found.endpoint, found.worker_pool):
        host, _, port = address.partition(":")
        with socket.socket() as probe:
            assert probe.connect_ex((host, int(port))) != 0
