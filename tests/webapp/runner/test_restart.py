"""Runners that are killed at any moment, stopped, and started again. Every job ends with one final callback."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.webapp.runner.helpers import Receiver, RunnerProcess, job, receiving, run_processes, until

Make = Callable[..., RunnerProcess]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Runner processes below ``tmp_path``, ended whatever happens."""
    made = []

    def new(**values: float) -> RunnerProcess:
        runner = RunnerProcess(tmp_path, **values)  # type: ignore[arg-type]
        made.append(runner)
        return runner

    yield new
    for runner in made:
        if runner.process is not None:
            runner.end(signal.SIGKILL)


def one_final_each(receiver: Receiver, run_ids: list[str]) -> None:
    """All callbacks that were taken for a run say the same, and nothing follows them but a repetition."""
    for run_id in run_ids:
        receiver.wait_final(run_id)
    for run_id in run_ids:
        finals = receiver.finals(run_id)
        assert all(f.body == finals[0].body and f.kind == finals[0].kind for f in finals), finals
        calls = receiver.of(run_id)
        assert {c.kind for c in calls[calls.index(finals[0]) :]} == {finals[0].kind}


def test_killed_with_a_real_run_at_work(make: Make, receiver: Receiver, tmp_path: Path):
    runner = make(jobs=1).start()
    first, second = job(receiver.url), job(receiver.url)
    assert runner.submit(first) == runner.submit(second) == 202
    until(lambda: bool(run_processes(first["run_id"])), 30)
    runner.end(signal.SIGKILL)
    until(lambda: not run_processes(first["run_id"]), 5)  # nobody would learn how it ended
    assert not receiver.finals(first["run_id"])
    runner.start()
    assert runner.submit(first) == 202
    one_final_each(receiver, [first["run_id"], second["run_id"]])
    for body in (first, second):
        assert receiver.finals(body["run_id"])[0].body["matched_count"] == 7
        assert runner.status(body["run_id"])["status"] == "completed"
        folder = tmp_path / "staging" / "results" / "runs"
        assert sorted(p.name for p in (folder / body["run_id"]).iterdir()) == [
            "manifest.json", "matched", "unmatched_left", "unmatched_right",
        ]  # fmt: skip
    assert not list(folder.glob(".*")), "the interrupted run's folder is gone"


def test_interrupted_twice(make: Make, receiver: Receiver):
    runner, body = make(run_seconds=600).start(), job(receiver.url)
    runner.submit(body)
    for _ in range(2):
        seen = len(receiver.of(body["run_id"], "progress"))
        assert receiver.wait(lambda seen=seen: len(receiver.of(body["run_id"], "progress")) > seen)  # type: ignore[misc]
        runner.end(signal.SIGKILL)
        assert not receiver.finals(body["run_id"])
        runner.start()
    final = receiver.wait_final(body["run_id"])
    assert (final.kind, final.body["code"], final.body["stage"]) == ("error", "job.interrupted", "staging")
    assert runner.status(body["run_id"])["status"] == "failed"
    assert runner.submit(body) == 202
    one_final_each(receiver, [body["run_id"]])


def test_final_callbacks_outlive_the_runner(make: Make):
    with receiving() as gone:
        url, port = gone.url, gone.port
    runner, body = make(run_seconds=0).start(), job(url)
    runner.submit(body)
    until(lambda: runner.status(body["run_id"])["status"] == "completed")
    time.sleep(0.6)
    runner.end(signal.SIGKILL)
    with receiving(port) as back:
        runner.start()
        assert back.wait_final(body["run_id"], 10).kind == "complete"
        one_final_each(back, [body["run_id"]])


def test_a_stop_lets_running_jobs_end(make: Make, receiver: Receiver):
    runner = make(run_seconds=1.5, jobs=1).start()
    running, waiting = job(receiver.url), job(receiver.url)
    runner.submit(running)
    assert receiver.wait(lambda: bool(receiver.of(running["run_id"])))
    runner.submit(waiting)
    assert runner.end(signal.SIGTERM) == 0
    assert receiver.finals(running["run_id"])[0].kind == "complete"
    assert not receiver.of(waiting["run_id"])
    runner.start()
    one_final_each(receiver, [running["run_id"], waiting["run_id"]])


def test_a_stop_does_not_wait_for_ever(make: Make, receiver: Receiver, tmp_path: Path):
    runner = make(run_seconds=600, drain_seconds=0.5).start()
    body = job(receiver.url)
    runner.submit(body)
    assert receiver.wait(lambda: bool(receiver.of(body["run_id"])))
    started = time.monotonic()
    assert runner.end(signal.SIGTERM) == 0
    assert time.monotonic() - started < 8 and not receiver.finals(body["run_id"])
    with sqlite3.connect(tmp_path / "staging" / "runner" / "journal.db") as db:
        assert db.execute("SELECT status, starts FROM jobs").fetchall() == [("running", 1)]
    db.close()


def test_ctrl_c_stops_at_once(make: Make, receiver: Receiver):
    runner, body = make(run_seconds=600, drain_seconds=60).start(), job(receiver.url)
    runner.submit(body)
    assert receiver.wait(lambda: bool(receiver.of(body["run_id"])))
    started = time.monotonic()
    runner.end(signal.SIGINT)
    assert time.monotonic() - started < 8 and not receiver.finals(body["run_id"])


def kill_series(make: Make, receiver: Receiver, seed: int, rounds: int, jobs: int, run_seconds: float) -> None:
    """Kill a runner at random moments while jobs come in, then let it finish."""
    chance = random.Random(seed)
    runner = make(run_seconds=run_seconds).start()
    sent: list[str] = []
    for _ in range(rounds):
        for _ in range(chance.randrange(1, jobs)):
            body = job(receiver.url)
            if runner.submit(body) == 202:
                sent.append(body["run_id"])
        time.sleep(chance.uniform(0, 1.2 * max(run_seconds, 1.0)))
        runner.end(signal.SIGKILL)
        runner.start()
    one_final_each(receiver, sent)
    for run_id in sent:
        status = runner.status(run_id)["status"]
        assert status == {"complete": "completed", "error": "failed"}[receiver.finals(run_id)[0].kind]


def test_killed_at_random_moments(make: Make, receiver: Receiver):
    kill_series(make, receiver, seed=1, rounds=3, jobs=5, run_seconds=0.3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_many_random_moments(make: Make, receiver: Receiver, seed: int):
    refusals = random.Random(seed)
    receiver.answer = lambda kind, body: refusals.choice([200, 200, 500])
    kill_series(make, receiver, seed, rounds=15, jobs=6, run_seconds=0.2 if seed % 2 else -1)
