"""A cluster that is looked at in the background; it is played by real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.launch import Choice, watch_cluster
from pipelines.options import ClusterOptions
from pipelines.runners import watch as module
from pipelines.runners.choice import FALLBACK, on_this_machine
from pipelines.runners.watch import ClusterWatch
from tests.cluster.scenarios import sample
from tests.cluster.test_choice import job_server
from tests.helpers import drive


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def goes_to(watch: ClusterWatch, runner: str) -> Callable[[], bool]:
    return lambda: (found := watch.latest()) is not None and found.runner == runner


def test_what_answers_and_what_has_gone_is_known_without_asking() -> None:
    with job_server(b"flink_master") as endpoint:
        watch = ClusterWatch("auto", ClusterOptions(endpoint), every=0.02)
        assert watch.latest() is None
        watch.start()
        until(goes_to(watch, "flink"))
    until(goes_to(watch, "direct"))
    found = watch.latest()
    assert found is not None and found.warning is not None and found.warning.code == FALLBACK
    watch.close()


def test_an_error_is_left_to_the_run_to_tell() -> None:
    asked: list[str] = []
    with job_server(b"spark_master", asked) as endpoint:
        watch = ClusterWatch("flink", ClusterOptions(endpoint), every=0.02)
        watch.start()
        until(lambda: len(asked) > 2)
        assert watch.latest() is None
        watch.close()


def test_a_look_that_breaks_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | Choice] = [RuntimeError("odd"), PipelineError("away"), Choice("flink", "there", 2)]

    def choose(*_: object) -> Choice:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(module, "choose_runner", choose)
    watch = ClusterWatch("auto", ClusterOptions(), every=0.01)
    watch.start()
    until(goes_to(watch, "flink"))
    monkeypatch.setattr(module, "_KEPT_SECONDS", -1.0)
    assert watch.latest() is None  # too old
    watch.close()


def test_without_a_cluster_nothing_is_looked_at() -> None:
    assert watch_cluster("direct", ClusterOptions("127.0.0.1:1")) is None
    assert watch_cluster("auto", ClusterOptions()) is None


def test_a_run_takes_what_its_launcher_knows_and_else_asks_once(tmp_path: Path) -> None:
    asked: list[str] = []
    known = on_this_machine(PipelineError("It was away.", code="run.cluster_unreachable", hint="Start it."))
    with job_server(b"neither", asked) as endpoint:
        for choice, calls, says in ((known, 0, "It was away."), (None, 1, "no job server for Flink or Spark")):
            asked.clear()
            output = tmp_path / str(calls)
            outcome = drive(sample(), output, runner="auto", cluster=ClusterOptions(endpoint), choice=choice)
            assert (outcome["runner"], len(asked)) == ("direct", calls)
            assert [w for w in outcome["warnings"] if w["code"] == FALLBACK and says in w["message"]]
