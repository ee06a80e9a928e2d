"""Kalla from PostgreSQL to evidence, against two plain ``COPY table TO STDOUT`` to /dev/null, one after the other.

    python -m benchmarks.versus_copy --rows 1000000 --repeat 3

Starts a server of its own with the tests' means, and fills two tables with the data of the other benchmarks. The line
below the figures is what plain scripts need for the same work: both tables by COPY into CSV files, then the DuckDB
script of ``versus_duckdb`` on these. CPU seconds are without the server's.
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
from tests.servers import PostgresServer, postgres_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory-limit", help="given to Kalla, such as 1GiB")
    parser.add_argument("--data", type=Path, default=Path("out/benchmarks"), help="where evidence is written")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, dict[str, Summary]] = {}
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; median of {arguments.repeat}")
    print(header("COPY"))
    with postgres_server() as server:
        for rows in arguments.rows:
            name = f"postgres {rows:,}"
            results[name] = scenario(server, arguments, rows)
            print(line(name, results[name]), flush=True)
            print(f"  plain scripts: {_told(results[name], 'scripts')}; Kalla: {_told(results[name], 'kalla')}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


def scenario(server: PostgresServer, arguments: argparse.Namespace, rows: int) -> dict[str, Summary]:
    folder = arguments.data / f"postgres-{rows}"
    folder.mkdir(parents=True, exist_ok=True)
    database = server.create_database()
    fill(server, database, rows)
    uris = [server.uri(database, table) for table in ("invoices", "payments")]
    out = folder / "out"
    kalla = kalla_run(write_recipe(folder, "postgres", *uris), out, arguments.memory_limit)
    psql = f"{server.bin}/psql -h {server.host} -p {server.port} -U postgres -d {database} -c"
    tables = ("invoices", "payments")
    copies = [f"{psql} 'COPY {table} TO STDOUT' > /dev/null" for table in tables]
    files = [f"{out}/{table}.csv" for table in tables]
    scripts = [f"{psql} 'COPY {t} TO STDOUT (FORMAT csv, HEADER)' > {f}" for t, f in zip(tables, files, strict=True)]
    scripts.append(f"{sys.executable} -m benchmarks.peers.duckdb_script {' '.join(files)} {out}/duckdb")
    figures = in_turns(kalla, _shell(copies), out, arguments.repeat, scripts=_shell(scripts))
    server.drop_database(database)
    return figures


def _told(figures: dict[str, Summary], which: str) -> str:
    seconds, copies = figures[which]["seconds"], figures["peer"]["seconds"]
    return f"{seconds:.2f} s, {seconds / copies:.2f} times two COPYs, CPU {figures[which]['cpu_seconds']:.2f} s"


def _shell(commands: list[str]) -> list[str]:
    return ["/bin/sh", "-c", " && ".join(commands)]


def fill(server: PostgresServer, database: str, rows: int) -> None:
    """Both tables, vacuumed: a first scan would otherwise write hint bits."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.datasets",
        "--rows",
        str(rows),
        "--pattern",
        "one_to_one",
        "--seed",
        "7",
    ]
    postgres = ["--shuffle", "--format", "postgres", "--postgres", server.uri(database)]
    subprocess.run([*command, *postgres], check=True, stdout=subprocess.DEVNULL)
    server.execute(database, "VACUUM ANALYZE")


if __name__ == "__main__":
    main()
