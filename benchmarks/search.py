"""How fast an index of a real OpenSearch on this machine is read.

    python -m benchmarks.search [--rows 500000] [--shards 2] [--splits 4] [--threads 2] [--rounds 3]

The node takes its share of the same processor, which a node elsewhere does not.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from connectors import Connector, connector_for
from recipe import ElasticsearchSource

_MAPPED = {
    "id": {"type": "long"},
    "ref": {"type": "keyword"},
    "amount": {"type": "scaled_float", "scaling_factor": 100},
    "day": {"type": "date", "format": "yyyy-MM-dd"},
    "note": {"type": "text"},
}
_LINE = (
    '{{"id": {i}, "ref": "INV-{i:09d}", "amount": {a:.2f}, "day": "2026-01-{d:02d}", "note": "payment of invoice {i}"}}'
)
_BLOCK_ROWS = 20_000


def fill(node: Any, rows: int, shards: int) -> str:
    """A new index of so many documents; its name."""
    name = str(node.index(_MAPPED, shards=shards))
    for first in range(0, rows, _BLOCK_ROWS):
        block = range(first, min(first + _BLOCK_ROWS, rows))
        node.put(name, [_LINE.format(i=i, a=i / 7, d=i % 28 + 1) for i in block], first)
    return name


def read(connector: Connector, splits: int, threads: int) -> tuple[int, float, float]:
    """Rows, seconds and CPU seconds of this process for reading every column of everything."""
    started, used = time.monotonic(), time.process_time()
    with connector.open_snapshot() as snapshot, ThreadPoolExecutor(threads) as pool:

        def one(split: Any) -> int:
            return sum(batch.num_rows for batch in connector.read(snapshot, split))

        rows = sum(pool.map(one, connector.plan_splits(snapshot, splits)))
    return rows, time.monotonic() - started, time.process_time() - used


def node_cpu(node: Any) -> float:
    """CPU seconds that the node has used so far."""
    (told,) = node.call("GET", "/_nodes/stats/process")["nodes"].values()
    return float(told["process"]["cpu"]["total_in_millis"]) / 1000


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    from tests.search_servers import search_node  # the tests know how to start one; it ends with this process

    node = search_node(os.getpid())
    name = fill(node, asked.rows, asked.shards)
    uri = f"elasticsearch://127.0.0.1:{node.port}?index={name}"
    for _ in range(asked.rounds):
        connector = connector_for(ElasticsearchSource(alias="a", uri=uri, primary_key=("id",)))
        before = node_cpu(node)
        rows, seconds, cpu = read(connector, asked.splits, asked.threads)
        assert rows == asked.rows, rows
        speed = f"{rows:,} rows in {seconds:.1f} s: {rows / seconds:,.0f} rows/s"
        print(f"{speed}; CPU: reader {cpu:.1f} s, node {node_cpu(node) - before:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
