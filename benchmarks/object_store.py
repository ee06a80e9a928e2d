"""A CSV with line ends inside quotes, read in splits from an S3 store on this machine, against the same file on disk.

    python -m benchmarks.object_store [--mib 1024] [--splits 16] [--threads 2] [--rounds 2]

Each reading is a process of its own: its rows are counted and hashed, its time and memory measured. The store takes its
share of the same processor, which a store elsewhere does not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measure import measure
from connectors import bucket_of, connector_for
from recipe import CsvSource

_LINE = '{i},"Ref {i:09d}","note of {i}\nsecond line, with ""quotes""",{a:.2f},2026-01-{d:02d}\n'
_BLOCK_ROWS = 20_000


def write_csv(path: Path, mib: int) -> int:
    """Rows of a file of about so many MiB."""
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("id,ref,note,amount,day\n")
        while file.tell() < mib << 20:
            block = range(rows, rows + _BLOCK_ROWS)
            file.write("".join(_LINE.format(i=i, a=i / 7, d=i % 28 + 1) for i in block))
            rows += _BLOCK_ROWS
    return rows


def read(uri: str, splits: int, threads: int) -> dict[str, Any]:
    """Read everything, some splits at a time; rows, and a hash of every cell in order."""
    connector = connector_for(CsvSource(alias="a", uri=uri, primary_key=("id",)))
    started = time.monotonic()
    with connector.open_snapshot() as snapshot, ThreadPoolExecutor(threads) as pool:
        planned = connector.plan_splits(snapshot, splits)
        after_plan = time.monotonic()

        def one(split: Any) -> tuple[int, str]:
            digest, rows = hashlib.blake2b(), 0
            for batch in connector.read(snapshot, split):
                rows += batch.num_rows
                digest.update("\0".join(batch.column(0).to_pylist()[::997]).encode())
                digest.update(str(batch.column(2).nbytes).encode())
            return rows, digest.hexdigest()

        found = list(pool.map(one, planned))
    ended = time.monotonic()
    return {
        "rows": sum(rows for rows, _ in found),
        "hash": hashlib.blake2b("".join(h for _, h in found).encode()).hexdigest()[:16],
        "splits": len(planned),
        "plan_seconds": round(after_plan - started, 2),
        "seconds": round(ended - started, 2),
    }


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has used so far; its own, not its children's."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--splits", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--read", help="internal: read this address and print what was found")
    asked = parser.parse_args(arguments)
    if asked.read:
        print(json.dumps(read(asked.read, asked.splits, asked.threads)))
        return
    from tests.object_servers import s3_server  # the tests know how to start one

    folder = Path(tempfile.mkdtemp(prefix="kalla-bench-"))
    try:
        with s3_server() as store:
            assert store.process is not None, "it has been started"
            rows = write_csv(folder / "big.csv", asked.mib)
            os.environ.update(store.environment())
            name = store.bucket()
            bucket_of("s3", name).upload("big.csv", folder / "big.csv")
            for title, uri in (("disk", str(folder / "big.csv")), ("S3", f"s3://{name}/big.csv")) * asked.rounds:
                out = folder / "out.json"
                command = f'"{sys.executable}" -m benchmarks.object_store --read "{uri}" --splits {asked.splits}'
                before = cpu_of(store.process.pid)
                measured = measure(["sh", "-c", f'{command} --threads {asked.threads} > "{out}"'])
                found = json.loads(out.read_text())
                assert found["rows"] == rows, (found, rows)
                memory = measured.peak_rss >> 20
                cpu = f"reader {measured.cpu_seconds:.1f} s, store {cpu_of(store.process.pid) - before:.1f} s"
                print(f"{title:5} {found}  peak memory {memory} MiB  CPU {cpu}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
