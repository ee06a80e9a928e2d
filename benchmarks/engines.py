"""The engine beam-sql against vectorized on the same files, in turns, in one command; needs Java (`make java`).

    python -m benchmarks.engines --rows 10000 100000 --repeat 3

Both are whole runs of Kalla on this machine, the start of Java included; the column called Kalla is beam-sql.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

from benchmarks.turns import Summary, header, in_turns, kalla_run, line, write_recipe
from benchmarks.versus_duckdb import make_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory-limit", help="given to both, such as 4GiB")
    parser.add_argument("--data", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, dict[str, Summary]] = {}
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; median of {arguments.repeat}")
    print(header("vect."))
    for rows in arguments.rows:
        name = f"parquet {rows:,}"
        results[name] = scenario(arguments, rows)
        print(line(name, results[name]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


def scenario(arguments: argparse.Namespace, rows: int) -> dict[str, Summary]:
    folder = arguments.data / f"parquet-{rows}"
    make_data(folder, rows, "parquet")
    left, right = (str((folder / f"{name}.parquet").resolve()) for name in ("invoices", "payments"))
    out = folder / "out"
    command = kalla_run(write_recipe(folder, "parquet", left, right), out, arguments.memory_limit)
    engines = {name: [*command, "--engine", name] for name in ("beam-sql", "vectorized")}
    return in_turns(engines["beam-sql"], engines["vectorized"], out, arguments.repeat)


if __name__ == "__main__":
    main()
