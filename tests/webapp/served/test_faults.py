"""What the app and its runner do when something else fails: the database, the network between them, the disk, or many who
come at once. Every process is a real one."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.evidence import Evidence, verify
from tests.servers import PostgresServer, free_port, postgres_server
from tests.webapp.served.serving import SAMPLE, Served, answers, runner, served, until
from webapp.dispatch import HttpDispatcher

TRUTH = (7, 8, 8)
RUN, RUNNER, APP = ("pipelines.process",), ("webapp.serve", "runner"), ("webapp.serve", "app")
SECRET = "the-secret-of-both"
PAGES = ("/", "/sources", "/recipes", "/recipes/invoice-payment-match", "/runs")


def check_completed(run: dict[str, Any]) -> None:
    """The run ended well, with the sample's counts and evidence of its own that verifies."""
    assert run["status"] == "completed", run
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == TRUTH
    folder = Path(run["output_matched"].removeprefix("file://")).parent
    assert Evidence(folder).manifest["run_id"] == run["run_id"]
    assert verify(folder).ok


def listed(kalla: Served) -> list[str]:
    return sorted(run["run_id"] for run in kalla.call("GET", "/api/runs")[1])


# -- the app's database ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[PostgresServer, str]]:
    # A commit that was confirmed has to survive SIGKILL, as everywhere but in tests.
    with postgres_server(settings={"synchronous_commit": "on"}) as server:
        yield server, server.uri(server.create_database())


@pytest.fixture(scope="module")
def on_postgres(database: tuple[PostgresServer, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An app that was started before its database."""
    server, address = database
    server.stop()
    late = threading.Timer(1.5, server.start)
    late.start()
    try:
        with served(tmp_path_factory.mktemp("on-postgres"), DATABASE_URL=address) as found:
            yield found
    finally:
        late.join()


def check_unavailable(kalla: Served, run_id: str) -> None:
    """Everything that needs the database says so, to programs and to people, and nothing says anything else."""
    order = {"recipe_id": "invoice-payment-match"}
    for method, path, body in (
        ("GET", "/api/runs", None),
        ("GET", f"/api/runs/{run_id}", None),
        ("GET", "/api/sources", None),
        ("GET", "/api/recipes", None),
        ("GET", "/ready", None),
        ("POST", "/api/runs", order),
        ("POST", f"/api/runs/{run_id}/cancel", {}),
    ):
        status, answer = kalla.call(method, path, body)
        assert (status, answer["code"]) == (503, "database.unavailable"), (path, status, answer)
        assert answer["error"].startswith("The app database does not answer.")
    assert kalla.call("GET", "/health") == (503, {"status": "error", "database": "error"})
    for path in (*PAGES, f"/runs/{run_id}"):
        status, text = kalla.page(path)
        assert status == 503 and "The app database does not answer." in text and "<h1" in text, (path, status, text)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_database_that_goes_and_comes_back(
    how: str, database: tuple[PostgresServer, str], on_postgres: Served
) -> None:
    """Runs go on meanwhile; what they could not report is reported afterwards."""
    server, _ = database
    before = listed(on_postgres)
    runs = [on_postgres.submit() for _ in range(2)]
    until(lambda: on_postgres.processes(*RUN), bool)
    getattr(server, how)()
    try:
        check_unavailable(on_postgres, runs[0])
        until(lambda: on_postgres.processes(*RUN), lambda found: not found)
        check_unavailable(on_postgres, runs[-1])
    finally:
        server.start()
    until(lambda: on_postgres.call("GET", "/health")[0], lambda status: status == 200, 10)
    for run_id in runs:
        check_completed(on_postgres.ended(run_id))
    assert listed(on_postgres) == sorted(before + runs)
    assert all(on_postgres.page(path)[0] == 200 for path in PAGES)


def test_an_app_killed_while_its_database_is_away(database: tuple[PostgresServer, str], on_postgres: Served) -> None:
    """It is started again, and serves once the database is there."""
    server, _ = database
    runs = [on_postgres.submit()]
    server.stop()
    try:
        for _ in range(2):
            until(lambda: on_postgres.processes(*APP), bool)  # started again
            assert on_postgres.kill(*APP)
        until(lambda: on_postgres.processes(*RUN), lambda found: not found)
        assert on_postgres.process.poll() is None
    finally:
        server.start()
    until(lambda: on_postgres.call("GET", "/health")[0], lambda status: status == 200)
    check_completed(on_postgres.ended(runs[0]))


# -- the way from the runner to the app --------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [20, pytest.param(120, marks=pytest.mark.slow)])
def test_runs_that_end_while_the_app_is_away(seconds: float, tmp_path: Path) -> None:
    port, app_port = free_port(), free_port()
    both = {"KALLA_CALLBACK_SECRET": SECRET, "WORKER_URL": f"http://127.0.0.1:{port}"}
    app = partial(served, tmp_path, SAMPLE, app_port, (), **both)
    asked = HttpDispatcher(both["WORKER_URL"], [SECRET])
    with runner(tmp_path, port, MAX_CONCURRENT_JOBS="2", **both):
        with app() as kalla:
            runs = [kalla.submit() for _ in range(4)]
            open_runs = {run_id for run_id in runs if kalla.run(run_id)["status"] != "completed"}
        back = time.monotonic() + seconds
        assert len(open_runs) >= 2
        for run_id in runs:
            until(partial(asked.status, run_id), lambda job: job["status"] == "completed", 60)
        until(time.monotonic, lambda now: now >= back, seconds + 1)
        with app() as kalla:
            for run_id in runs:
                check_completed(kalla.ended(run_id, 70))  # attempts are at most 60 s apart
            assert listed(kalla) == sorted(runs)


# -- a full disk -------------------------------------------------------------------------------------------------------

_ON_SMALL_DISK = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def small_disk(size: str, folder: Path) -> list[str]:
    """A command that becomes another one which sees a disk of this size at ``folder``; nobody else sees it."""
    folder.mkdir()
    for unshare in (["unshare", "-m"], ["unshare", "-Urm"]):
        command = [*unshare, "sh", "-c", _ON_SMALL_DISK, "sh", size, str(folder)]
        if shutil.which("unshare") and not subprocess.run([*command, "true"], capture_output=True).returncode:
            return command
    pytest.skip("this machine lets no test mount a small disk")


def bulky_recipe(folder: Path) -> dict[str, Any]:
    """Two files of 300,000 records that do not compress, and a recipe that matches them."""
    folder.mkdir()
    chance = np.random.default_rng(7)
    ids = np.arange(300_000)
    noise = pa.array(chance.integers(0, 1 << 62, len(ids)))
    pq.write_table(pa.table({"id": ids, "noise": noise}), folder / "l.parquet")
    pq.write_table(pa.table({"id": ids + 7, "noise": noise}), folder / "r.parquet")
    sources = {
        side: {"alias": side, "type": "parquet", "uri": f"file://{folder}/{side[0]}.parquet", "primary_key": ["id"]}
        for side in ("left", "right")
    }
    return {
        "recipe_id": "bulky", "name": "Too much", "match_description": "Same id.", "sources": sources,
        "match_sql": "SELECT l.id, r.id AS other, l.noise FROM left_src l JOIN right_src r ON l.id = r.id",
    }  # fmt: skip


@pytest.fixture(scope="module")
def on_small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("on-small-disk")
    disk, bulky = folder / "disk", folder / "bulky"
    recipe = bulky_recipe(bulky)
    environment = {"STAGING_PATH": str(disk), "KALLA_LOCAL_ROOTS": f"{SAMPLE}:{bulky}"}
    with served(folder, SAMPLE, None, small_disk("8m", disk), **environment) as kalla:
        status, answer = kalla.call("POST", "/api/recipes", recipe)
        assert status == 200, answer
        yield kalla


def check_verifies(kalla: Served, run: dict[str, Any]) -> None:
    """As ``check_completed`` where only the app sees the files."""
    assert run["status"] == "completed", run
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == TRUTH
    status, found = kalla.call("POST", f"/api/runs/{run['run_id']}/verify", {})
    assert status == 200 and found["ok"], found


def test_a_run_that_does_not_fit_on_the_disk(on_small_disk: Served) -> None:
    run_id = on_small_disk.submit("bulky")
    seen: set[int] = set()

    def asked() -> dict[str, Any]:
        seen.update(on_small_disk.call("GET", path)[0] for path in ("/health", "/api/runs", "/api/recipes"))
        return on_small_disk.run(run_id)

    run = until(asked, lambda found: found["status"] == "failed", 60)
    assert "disk" in run["error_message"] and run["error_stage"], run
    assert run["matched_count"] == 0 and run["output_matched"] is None
    assert seen <= {200, 503}, seen
    check_verifies(on_small_disk, on_small_disk.ended(on_small_disk.submit()))


def test_a_disk_that_is_full_to_the_last_byte(on_small_disk: Served) -> None:
    """Refusals in plain words; nothing that was stored before is lost; all is well once there is room again."""
    done = on_small_disk.ended(on_small_disk.submit())
    name = {"filename": "a.csv", "session_id": "s"}
    link = on_small_disk.call("POST", "/api/uploads/presign", name)[1]["presigned_url"]
    disk = Path(f"/proc/{on_small_disk.process.pid}/root{on_small_disk.folder}/disk")
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        refused = on_small_disk.call("POST", "/api/runs", {"recipe_id": "invoice-payment-match"})
        assert refused[0] in (502, 503, 507) and "internal" not in refused[1]["code"], refused
        assert on_small_disk.run(done["run_id"]) == done
        assert on_small_disk.page(f"/runs/{done['run_id']}")[0] == 200
        assert on_small_disk.call("GET", f"/api/runs/{done['run_id']}/evidence/unmatched_left")[1]["total_rows"] == 8
        request = urllib.request.Request(link, b"id\n" + b"1\n" * 100_000, method="PUT")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=30)
        answer = json.loads(caught.value.read())
        assert answer["code"] == "upload.no_space" and "disk" in answer["error"], answer
        runner_port = on_small_disk.processes(*RUNNER)[0].environ()["HTTP_PORT"]
        assert on_small_disk.kill(*RUNNER) and on_small_disk.kill(*APP)
        for port in (runner_port, on_small_disk.port):
            until(partial(answers, f"http://127.0.0.1:{port}/ready"), bool)
        assert on_small_disk.page(f"/runs/{done['run_id']}")[0] == 200
    finally:
        filler.unlink()
    assert on_small_disk.run(done["run_id"]) == done
    check_verifies(on_small_disk, on_small_disk.ended(on_small_disk.submit()))


# -- many at once ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_submissions_at_once(tmp_path: Path) -> None:
    with served(tmp_path) as kalla, ThreadPoolExecutor(50) as pool:
        start = threading.Barrier(50)

        def submit(_: int) -> str:
            start.wait()
            return kalla.submit()

        runs = list(pool.map(submit, range(50)))
        assert len(set(runs)) == 50
        for run_id in runs:
            check_completed(kalla.ended(run_id, 600))
        assert len(listed(kalla)) == 50
