"""``kalla worker``: the pool of Python workers of one machine of a cluster."""

from __future__ import annotations

import click


@click.command("worker", short_help="Serve Python workers to a Flink or Spark cluster.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=50000, envvar="KALLA_POOL_PORT", show_envvar=True,
    show_default=True, help="Port of the pool.",
)  # fmt: skip
@click.option(
    "--bind-host", default="127.0.0.1", show_default=True,
    help="Address to listen on. Whoever reaches it can run code here: only the cluster may.",
)  # fmt: skip
def worker(port: int, bind_host: str) -> int:
    """Serve Python workers to the Flink or Spark that runs on this machine. One runs on every machine of a cluster."""
    from pipelines.cluster.worker_pool import main

    return main(["--port", str(port), "--bind-host", bind_host])
