"""Kalla from PostgreSQL to evidence, against two plain ``COPY table TO STDOUT`` to /dev/null, one after the other.

    python -m benchmarks.versus_copy --rows 1000000 --repeat 3

Starts a server of its own with the tests' means, and fills two tables with the data of the other benchmarks.
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
    copies = [
        f"{server.bin}/psql -h {server.host} -p {server.port} -U postgres -d {database} "
        f"-c 'COPY {table} TO STDOUT' > /dev/null"
        for table in ("invoices", "payments")
    ]
    figures = in_turns(kalla, ["/bin/sh", "-c", " && ".join(copies)], out, arguments.repeat)
    server.drop_database(database)
    return figures


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
