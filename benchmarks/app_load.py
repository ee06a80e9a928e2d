"""The app under load: mixed reads at a steady rate, over a database with many runs and recipes.

    python -m benchmarks.app_load --rate 200 --seconds 30 --runs 100000 --recipes 10000

Starts ``kalla serve`` on a folder of its own, asks from threads of another process, and prints latencies by kind of
request, errors, and the app's memory before and after.
"""

from __future__ import annotations

import argparse
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--recipes", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kalla-load-") as name:
        folder = Path(name)
        ids = fill(folder / "staging", arguments.runs, arguments.recipes)
        with served(folder) as kalla:
            app = app_process(kalla.process.pid)
            ask(kalla.port, ids, 50, 1, arguments.threads)  # warm
            before = app.memory_info().rss
            with multiprocessing.Pool(1) as pool:
                found = pool.apply(
                    ask, (kalla.port, ids, arguments.rate * arguments.seconds, arguments.rate, arguments.threads)
                )
            after = app.memory_info().rss
    report(found, arguments, before, after)


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


def app_process(pid: int) -> psutil.Process:
    """The worker of the app's server."""
    for child in psutil.Process(pid).children(recursive=True):
        if {"webapp.serve", "app"} <= set(child.cmdline()) and child.ppid() != pid:
            return child
    raise RuntimeError("the app's process was not found")


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


Times = dict[str, list[float]]


def ask(port: int, ids: list[str], requests: int, rate: int, threads: int) -> tuple[Times, list[str]]:
    """Send so many requests, each at its own moment; a request that had to wait for a free thread counts from that
    moment. Returns seconds by kind, and what went wrong."""
    times: Times = defaultdict(list)
    errors: list[str] = []
    numbers = iter(range(requests))
    lock = threading.Lock()
    began = time.monotonic()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            due = began + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            kind, path = random.choice(list(paths(ids).items()))  # noqa: S311
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with lock:
                    errors.append(f"{path}: {error!r}")
                continue
            with lock:
                times[kind].append(time.monotonic() - due)
                if answer.status != 200:
                    errors.append(f"{path}: {answer.status}")

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return dict(times), errors


def report(found: tuple[Times, list[str]], arguments: argparse.Namespace, before: int, after: int) -> None:
    times, errors = found
    everything = [t for kind in times.values() for t in kind]
    print(
        f"{os.cpu_count()} cores; {arguments.runs:,} runs, {arguments.recipes:,} recipes; "
        f"{arguments.rate} requests/s for {arguments.seconds} s: {len(everything):,} answers, {len(errors)} errors"
    )
    print(f"{'request':<20}{'n':>7}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for kind, values in [*sorted(times.items()), ("all", everything)]:
        cuts = statistics.quantiles(values, n=100)
        shown = [cuts[49], cuts[94], cuts[98], max(values)]
        print(f"{kind:<20}{len(values):>7}" + "".join(f"{v * 1000:>9.1f}" for v in shown))
    print(f"app memory: {before >> 20} MiB before, {after >> 20} MiB after")
    for error in errors[:10]:
        print(error)


if __name__ == "__main__":
    main()
