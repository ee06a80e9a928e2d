"""The peer: an inner join and two anti joins in plain DuckDB, three Parquet files. No reasons, no totals, no hashes.

python -m benchmarks.peers.duckdb_script LEFT RIGHT OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

_ON = "l.invoice_id = r.reference_number AND abs(l.amount - r.paid_amount) <= 0.02"


def main(left: str, right: str, out: str) -> None:
    Path(out).mkdir(parents=True, exist_ok=True)
    reader = "read_csv" if left.endswith(".csv") else "read_parquet"
    sides = {"l": f"{reader}('{left}') l", "r": f"{reader}('{right}') r"}
    if reader == "read_csv":  # the script's author would say which columns are exact
        sides["l"] = f"read_csv('{left}', types={{'amount': 'DECIMAL(18,2)'}}) l"
        sides["r"] = f"read_csv('{right}', types={{'paid_amount': 'DECIMAL(18,2)'}}) r"
    connection = duckdb.connect()
    for name, query in (
        ("matched", f"SELECT l.*, r.* FROM {sides['l']} JOIN {sides['r']} ON {_ON}"),
        ("unmatched_left", f"SELECT l.* FROM {sides['l']} ANTI JOIN {sides['r']} ON {_ON}"),
        ("unmatched_right", f"SELECT r.* FROM {sides['r']} ANTI JOIN {sides['l']} ON {_ON}"),
    ):
        connection.execute(f"COPY ({query}) TO '{out}/{name}.parquet'")


if __name__ == "__main__":
    main(*sys.argv[1:])
