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
import subprocess
import sys
from pathlib import Path

from benchmarks.turns import Summary, header, in_turns, kalla_run, line, write_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--format", choices=("parquet", "csv"), nargs="+", default=["parquet"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory-limit", help="given to Kalla, such as 1GiB")
    parser.add_argument("--alone", action="store_true", help="measure Kalla without the peer")
    parser.add_argument("--data", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, dict[str, Summary]] = {}
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; median of {arguments.repeat}")
    print(header("DuckDB"))
    for form in arguments.format:
        for rows in arguments.rows:
            name = f"{form} {rows:,}"
            results[name] = scenario(arguments, form, rows)
            print(line(name, results[name]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


def scenario(arguments: argparse.Namespace, form: str, rows: int) -> dict[str, Summary]:
    folder = arguments.data / f"{form}-{rows}"
    make_data(folder, rows, form)
    left, right = (str((folder / f"{name}.{form}").resolve()) for name in ("invoices", "payments"))
    out = folder / "out"
    kalla = kalla_run(write_recipe(folder, form, left, right), out, arguments.memory_limit)
    peer = [sys.executable, "-m", "benchmarks.peers.duckdb_script", left, right, str(out / "duckdb")]
    return in_turns(kalla, None if arguments.alone else peer, out, arguments.repeat)


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


if __name__ == "__main__":
    main()
