"""The whole product on one machine, by its own command: runs complete, and what is killed comes back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.cli.exits import INVALID
from pipelines.evidence import Evidence, verify
from tests.servers import free_port
from tests.webapp.served.serving import SAMPLE, Served, served, until
from webapp.app_server import CANNOT_START

RUNNER, APP, RUN = ("webapp.serve", "runner"), ("webapp.serve", "app"), ("pipelines.process",)
TRUTH = (7, 8, 8)


@pytest.fixture(scope="module")
def kalla(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as found:
        yield found


def counts(run: dict) -> tuple[int, int, int]:
    return run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]


def test_the_sample_runs_as_delivered(kalla: Served) -> None:
    run = kalla.ended(kalla.submit())
    assert run["status"] == "completed" and counts(run) == TRUTH, run
    folder = Path(run["output_matched"].removeprefix("file://")).parent
    assert verify(folder).ok
    assert Evidence(folder).manifest["run_id"] == run["run_id"]
    status, page = kalla.call("GET", f"/api/runs/{run['run_id']}/evidence/unmatched_left?limit=3")
    assert status == 200 and page["total_rows"] == 8 and len(page["rows"]) == 3


def test_several_at_once(kalla: Served) -> None:
    runs = [kalla.ended(run_id, 120) for run_id in [kalla.submit() for _ in range(6)]]
    assert [(run["status"], counts(run)) for run in runs] == [("completed", TRUTH)] * 6


@pytest.mark.parametrize("target", [RUN, RUNNER, APP])
def test_what_is_killed_in_a_run_does_not_lose_it(kalla: Served, target: tuple[str, ...]) -> None:
    """A killed run fails with its reason; a killed runner starts it again; a killed app learns of it later."""
    run_id = kalla.submit()
    time.sleep(random.uniform(0, 1.5))
    assert kalla.kill(*target) or target == RUN
    run = kalla.ended(run_id)
    if target == RUN:
        assert run["status"] == "completed" or run["error_message"], run
    else:
        assert run["status"] == "completed", run
    if run["status"] == "completed":
        assert counts(run) == TRUTH


@pytest.mark.slow
@pytest.mark.timeout(900)  # fifty times the start and end of a run, and what was killed starts again
def test_fifty_runs_with_something_killed_at_a_random_moment(tmp_path: Path) -> None:
    """Every run ends, completed or with its reason; no status goes back; no evidence counts twice."""
    order = ["pending", "submitted", "running"]
    with served(tmp_path) as kalla:
        for turn in range(50):
            run_id = kalla.submit()
            kill_at, seen, killed = time.monotonic() + random.uniform(0, 2.5), [], False
            end = time.monotonic() + 60
            while True:
                run = kalla.run(run_id)
                if not seen or seen[-1] != run["status"]:
                    seen.append(run["status"])
                if run["status"] not in order:
                    break
                if not killed and time.monotonic() > kill_at:
                    kalla.kill(*random.choice([RUN, RUNNER, APP]))
                    killed = True
                assert time.monotonic() < end, f"turn {turn}: {run}"
                time.sleep(0.05)
            ranks = [order.index(status) if status in order else len(order) for status in seen]
            assert ranks == sorted(ranks), seen
            assert (run["status"] == "completed" and counts(run) == TRUTH) or run["error_message"], run
            if run["status"] == "completed":
                assert verify(Path(run["output_matched"]).parent).ok


def test_what_many_threads_log_at_once_stands_in_whole_lines(kalla: Served) -> None:
    """One thread writes for all: no line is lost, none is cut by another, each carries its own request."""
    before = len(access_lines(kalla))
    paths = [f"/api/recipes/none-{number}" for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        assert {status for status, _ in pool.map(lambda path: kalla.call("GET", path), paths)} == {404}
    until(lambda: len(access_lines(kalla)), lambda found: found >= before + len(paths))
    lines = [line for line in access_lines(kalla) if line["path"].startswith("/api/recipes/none-")]
    assert sorted(line["path"] for line in lines) == sorted(paths)
    assert len({line["request_id"] for line in lines}) == len(paths)


def test_the_processes_of_the_app_count_together_and_go_on_without_each_other(kalla: Served) -> None:
    def asked() -> int:
        with urllib.request.urlopen(kalla.url + "/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        found = [
            line for line in lines if line.startswith('kalla_http_requests_total{method="GET",route="/api/sources"')
        ]
        return int(sum(float(line.rpartition(" ")[2]) for line in found))

    before = asked()
    assert [kalla.call("GET", "/api/sources")[0] for _ in range(20)] == [200] * 20
    assert {asked() for _ in range(10)} == {before + 20}  # whichever process answers
    main, *workers = sorted(kalla.processes(*APP), key=lambda process: process.pid)
    assert [worker.ppid() for worker in workers] == [main.pid] * 2
    workers[0].kill()
    answers = until(lambda: kalla.call("GET", "/api/sources")[0], lambda status: status == 200, 5)
    assert answers == 200 and workers[1].is_running()
    until(lambda: len(kalla.processes(*APP)), lambda found: found == 3)
    assert asked() >= before + 20  # what a killed process has counted stays


def access_lines(kalla: Served) -> list[dict]:
    text = (kalla.folder / "serve.log").read_text().rpartition("\n")[0]
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["logger"] == "webapp.access"]


def test_settings_of_the_process_are_no_headers_of_a_request(tmp_path: Path) -> None:
    with served(tmp_path, HTTP_X_REQUEST_ID="from-the-environment") as kalla:
        with urllib.request.urlopen(kalla.url + "/health", timeout=30) as answer:
            assert answer.headers["X-Request-Id"] != "from-the-environment"


def test_ctrl_c_ends_all_of_it_without_a_fuss(tmp_path: Path) -> None:
    """The terminal sends the signal to every process; none waits until it is killed."""
    with served(tmp_path, within=("setsid",)) as kalla:
        os.killpg(kalla.process.pid, signal.SIGINT)
        assert kalla.process.wait(25) == 0
    words = (tmp_path / "serve.log").read_text()
    assert "Traceback" not in words and "leaked" not in words


def test_an_app_that_cannot_start_says_why_and_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "serve", "--port", str(free_port())]
    variables = {**os.environ, "STAGING_PATH": str(tmp_path), "DATABASE_URL": "sqlite:////proc/none/app.db"}
    ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120)
    assert ended.returncode == CANNOT_START
    assert "[database.unavailable]" in ended.stderr and "Traceback" not in ended.stderr


def test_a_first_recipe_is_reconciled_while_the_app_starts(tmp_path: Path) -> None:
    """As ``make run`` does: the page does not wait for the result, and the address stands below it."""
    options = ("--first", str(SAMPLE / "invoice-payment-match.json"), "--output", str(tmp_path / "evidence"))
    with served(tmp_path, options=options) as kalla:
        until(lambda: (tmp_path / "serve.log").read_text().count(f"Kalla: {kalla.url}"), lambda said: said == 2, 60)
        found = Evidence(tmp_path / "evidence").manifest["counts"]
        assert counts(found) == TRUTH
        assert verify(tmp_path / "evidence").ok
        assert kalla.ended(kalla.submit())["status"] == "completed"
    words = (tmp_path / "serve.log").read_text()
    assert words.index("matched") < words.rindex("Kalla: http")


def test_a_first_recipe_that_fails_ends_the_app_with_its_status(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "serve", "--port", str(free_port()), "--first", "none.json"]
    variables = {**os.environ, "STAGING_PATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120)
    assert ended.returncode == INVALID
    assert "recipe.not_found" in ended.stderr and "Traceback" not in ended.stderr
