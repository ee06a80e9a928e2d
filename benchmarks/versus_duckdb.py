"""Kalla against a plain DuckDB script on the same files, in turns, in one command.

    python -m benchmarks.versus_duckdb --rows 1000000 10000000 --format parquet --repeat 3

Prints one line a scenario: medians, the ratio of wall times, and peak memory. ``--json`` leaves the figures in a file.
Data is made once a size below ``--data``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Measured, measure

MATCH_SQL = (
    "SELECT i.*, p.* FROM left_src i JOIN right_src p ON i.invoice_id = p.reference_number "
    "AND tolerance_match(i.amount, p.paid_amount, 0.02)"
)

HEADER = (
    f"{'scenario':<22}{'Kalla s':>9}{'DuckDB s':>10}{'ratio':>7}{'apart s':>9}{'CPU ratio':>11}"
    f"{'Kalla MiB':>11}{'DuckDB MiB':>12}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--format", choices=("parquet", "csv"), nargs="+", default=["parquet"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory-limit", help="given to Kalla, such as 1GiB")
    parser.add_argument("--data", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = []
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; median of {arguments.repeat}")
    print(HEADER)
    for form in arguments.format:
        for rows in arguments.rows:
            result = scenario(arguments.data, rows, form, arguments.repeat, arguments.memory_limit)
            results.append(result)
            print(line(result), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


def scenario(data: Path, rows: int, form: str, repeat: int, memory_limit: str | None) -> dict[str, object]:
    """Run both in turns; the first turn, which warms the page cache, does not count."""
    folder = data / f"{form}-{rows}"
    make_data(folder, rows, form)
    left, right = (str((folder / f"{name}.{form}").resolve()) for name in ("invoices", "payments"))
    recipe = write_recipe(folder, left, right, form)
    out = folder / "out"
    limit = ["--memory-limit", memory_limit] if memory_limit else []
    kalla = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "run",
        str(recipe),
        "--output",
        str(out / "kalla"),
        "--json",
        *limit,
    ]
    peer = [sys.executable, "-m", "benchmarks.peers.duckdb_script", left, right, str(out / "duckdb")]
    figures: dict[str, list[Measured]] = {"kalla": [], "duckdb": []}
    for turn in range(repeat + 1):
        for name, command in (("kalla", kalla), ("duckdb", peer)):
            shutil.rmtree(out, ignore_errors=True)
            measured = measure(command)
            if turn:
                figures[name].append(measured)
    shutil.rmtree(out, ignore_errors=True)
    return {"scenario": f"{form} {rows:,}", **{name: summary(runs) for name, runs in figures.items()}}


def summary(runs: list[Measured]) -> dict[str, float]:
    def median(pick: Callable[[Measured], float]) -> float:
        return statistics.median(pick(run) for run in runs)

    return {
        "seconds": median(lambda m: m.seconds),
        "fastest": min(m.seconds for m in runs),
        "cpu_seconds": median(lambda m: m.cpu_seconds),
        "peak_rss": max(m.peak_rss for m in runs),
        "peak_anonymous": max(m.peak_anonymous for m in runs),
    }


def line(result: dict[str, object]) -> str:
    kalla, duckdb = result["kalla"], result["duckdb"]
    assert isinstance(kalla, dict) and isinstance(duckdb, dict)
    ratio, cpu = kalla["seconds"] / duckdb["seconds"], kalla["cpu_seconds"] / duckdb["cpu_seconds"]
    return (
        f"{result['scenario']!s:<22}{kalla['seconds']:>9.2f}{duckdb['seconds']:>10.2f}{ratio:>7.2f}"
        f"{kalla['seconds'] - duckdb['seconds']:>9.2f}{cpu:>11.2f}"
        f"{kalla['peak_rss'] / (1 << 20):>11.0f}{duckdb['peak_rss'] / (1 << 20):>12.0f}"
    )


def make_data(folder: Path, rows: int, form: str) -> None:
    """Invoices and payments of the pattern one_to_one, the payments in another order; made once."""
    if (folder / "truth.json").exists():
        return
    command = [sys.executable, "-m", "benchmarks.datasets", "--rows", str(rows), "--pattern", "one_to_one"]
    subprocess.run(
        [*command, "--format", form, "--out", str(folder), "--seed", "7", "--shuffle"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def write_recipe(folder: Path, left: str, right: str, form: str) -> Path:
    document = {
        "recipe_id": "benchmark",
        "name": "Benchmark",
        "match_sql": MATCH_SQL,
        "sources": {
            "left": {"alias": "invoices", "type": form, "uri": left, "primary_key": ["invoice_id"]},
            "right": {"alias": "payments", "type": form, "uri": right, "primary_key": ["payment_id"]},
        },
    }
    path = folder / "recipe.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
