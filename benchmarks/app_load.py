"""The app under load: mixed reads at a steady rate, over a database with many runs and recipes.

    python -m benchmarks.app_load --rate 200 --seconds 60 --runs 100000 --recipes 10000

Starts ``kalla serve`` on a folder of its own and asks from threads of another process. Prints, by kind of request,
the app's CPU time a request (asked one after the other, which other work on the machine disturbs least) and the
latencies at the given rate; then errors, the app's CPU time a request under load, and its memory as it went.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from sqlalchemy import insert

from tests.webapp.served.serving import served
from webapp.db import Database
from webapp.db.models import Run
from webapp.settings import Settings
from webapp.stores.recipes import RecipeStore
from webapp.stores.vault import Vault

SAMPLE = json.loads((Path(__file__).parent.parent / "docs/sample/invoice-payment-match.json").read_text())
ALONE = 200  # requests of each kind, for their CPU time
EVERY = 1_000  # requests between two looks at the app's memory


@dataclass(frozen=True)
class App:
    """The processes that answer."""

    pids: tuple[int, ...]

    @staticmethod
    def of(pid: int) -> App:
        """Those below ``kalla serve``."""
        children = psutil.Process(pid).children(recursive=True)
        found = [c.pid for c in children if {"webapp.serve", "app"} <= set(c.cmdline()) and c.ppid() != pid]
        if not found:
            raise RuntimeError("the app's processes were not found")
        return App(tuple(found))

    def cpu_seconds(self) -> float:
        """What they have used, user and system together."""
        spent = [psutil.Process(pid).cpu_times() for pid in self.pids]
        return float(sum(times.user + times.system for times in spent))

    def resident(self) -> int:
        """Bytes in memory; what several have in common counts once."""
        return sum(int(psutil.Process(pid).memory_full_info().pss) for pid in self.pids)


@dataclass
class Found:
    """Seconds by kind of request, what went wrong, (requests so far, resident bytes) of the app as it went, and how
    long all of it took."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    elapsed: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--recipes", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--folder", type=Path, help="where the database is kept for the next turn")
    arguments = parser.parse_args()
    with work_folder(arguments.folder) as folder:
        ids = filled(folder, arguments.runs, arguments.recipes)
        with served(folder) as kalla:
            app = App.of(kalla.process.pid)
            ask(kalla.port, ids, 50, 10, 4, app)  # warm
            alone = {kind: cpu_alone(kalla.port, app, kind, ids) for kind in paths(ids)}
            before = app.cpu_seconds()
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                requests = arguments.rate * arguments.seconds
                found = pool.apply(ask, (kalla.port, ids, requests, arguments.rate, arguments.threads, app))
            spent = app.cpu_seconds() - before
    report(found, arguments, alone, spent)


@contextlib.contextmanager
def work_folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="kalla-load-") as name:
        yield Path(name)


def filled(folder: Path, runs: int, recipes: int) -> list[str]:
    """Some ids of runs in the database of that folder; it is filled when this is its first turn."""
    listed = folder / f"ids-{runs}-{recipes}.json"
    if not listed.exists():
        listed.write_text(json.dumps(fill(folder / "staging", runs, recipes)))
    return list(json.loads(listed.read_text()))


def fill(staging: Path, runs: int, recipes: int) -> list[str]:
    """A database with so many runs and recipes; some of the runs' ids."""
    staging.mkdir(parents=True)
    settings = Settings.from_environment({"STAGING_PATH": str(staging)})
    database = Database(settings.database_url)
    database.migrate()
    store = RecipeStore(database, Vault.for_settings(settings))
    for number in range(recipes):
        store.put({**SAMPLE, "recipe_id": f"recipe-{number}", "name": f"Recipe {number}"})
    now, ids = datetime.now(UTC), []
    with database.session() as session:
        for start in range(0, runs, 5_000):
            rows = [run_row(now, n, recipes) for n in range(start, min(runs, start + 5_000))]
            ids += [str(row["id"]) for row in rows[:50]]
            session.execute(insert(Run), rows)
    database.close()
    return ids


def run_row(now: datetime, number: int, recipes: int) -> dict[str, object]:
    moment = now - timedelta(minutes=number)
    return {
        "id": uuid.uuid4(), "recipe_id": f"recipe-{number % max(recipes, 1)}", "recipe_name": f"Recipe {number}",
        "recipe_snapshot": SAMPLE, "status": "completed", "left_source": "invoices_csv", "right_source": "payments_csv",
        "left_record_count": 15, "right_record_count": 15, "matched_count": 7, "unmatched_left_count": 8,
        "unmatched_right_count": 8, "matched_left_count": 7, "matched_right_count": 7, "warnings": [],
        "started_at": moment, "completed_at": moment, "created_at": moment, "updated_at": moment,
    }  # fmt: skip


def paths(ids: list[str]) -> dict[str, str]:
    run_id = random.choice(ids)  # noqa: S311 - which page is asked for
    return {
        "runs": "/api/runs?limit=50",
        "runs of a recipe": f"/api/runs?recipe_id=recipe-{random.randrange(100)}&limit=50",  # noqa: S311
        "one run": f"/api/runs/{run_id}",
        "recipes": "/api/recipes?limit=50",
        "one recipe": f"/api/recipes/recipe-{random.randrange(1000)}",  # noqa: S311
        "sources": "/api/sources",
        "dashboard": "/",
        "run page": f"/runs/{run_id}",
    }


def cpu_alone(port: int, app: App, kind: str, ids: list[str]) -> float:
    """Seconds of CPU that the app uses for one request of a kind, asked one after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    before = app.cpu_seconds()
    for _ in range(ALONE):
        status = get(connection, paths(ids)[kind])
        if status != 200:
            raise RuntimeError(f"{kind}: {status}")
    connection.close()
    return (app.cpu_seconds() - before) / ALONE


def get(connection: http.client.HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def ask(port: int, ids: list[str], requests: int, rate: int, threads: int, app: App) -> Found:
    """Send so many requests, each at its own moment; a request that had to wait for a free thread counts from that
    moment."""
    found = Found()
    numbers = iter(range(requests))
    lock = threading.Lock()
    began = time.monotonic()

    def next_number() -> int | None:
        with lock:
            number = next(numbers, None)
            if number is not None and number % EVERY == 0:
                found.memory.append((number, app.resident()))
            return number

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while (number := next_number()) is not None:
            due = began + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            kind, path = random.choice(list(paths(ids).items()))  # noqa: S311
            try:
                status = get(connection, path)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with lock:
                    found.errors.append(f"{path}: {error!r}")
                continue
            with lock:
                found.times[kind].append(time.monotonic() - due)
                if status != 200:
                    found.errors.append(f"{path}: {status}")

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found.memory.append((requests, app.resident()))
    found.elapsed = time.monotonic() - began
    found.times = dict(found.times)
    return found


def report(found: Found, arguments: argparse.Namespace, alone: dict[str, float], spent: float) -> None:
    everything = [t for kind in found.times.values() for t in kind]
    print(
        f"{os.cpu_count()} cores; {arguments.runs:,} runs, {arguments.recipes:,} recipes; "
        f"{arguments.rate} requests/s for {arguments.seconds} s: "
        f"{len(everything):,} answers, {len(found.errors)} errors"
    )
    print(f"{'request':<20}{'CPU ms':>9}{'n':>7}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for kind, values in [*sorted(found.times.items()), ("all", everything)]:
        cuts = statistics.quantiles(values, n=100)
        shown = [cuts[49], cuts[94], cuts[98], max(values)]
        own = alone.get(kind, statistics.fmean(alone.values()))
        print(f"{kind:<20}{own * 1000:>9.2f}{len(values):>7}" + "".join(f"{v * 1000:>9.1f}" for v in shown))
    print(
        f"app CPU under load: {spent / len(everything) * 1000:.2f} ms a request, {spent / found.elapsed:.0%} of a core"
        f" over {found.elapsed:.0f} s"
    )
    print(f"app memory: {memory_words(found.memory)}")
    for error in found.errors[:10]:
        print(error)


def memory_words(seen: list[tuple[int, int]]) -> str:
    """Resident memory at the start, in the middle, at the end, and every thousand requests."""
    sizes = [size >> 20 for _, size in sorted(seen)]
    return (
        f"{sizes[0]} MiB at the start, {sizes[len(sizes) // 2]} in the middle, {sizes[-1]} at the end; "
        f"every {EVERY:,} requests: {' '.join(map(str, sizes))}"
    )


if __name__ == "__main__":
    main()
