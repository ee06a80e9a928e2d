"""``kalla sql-service``: what engine beam-sql needs beside the workers of a cluster."""

from __future__ import annotations

import os

import click


@click.command("sql-service", short_help="Serve engine beam-sql to the runs of this machine or of a cluster.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8097, show_default=True,
    help="Port that runs ask, as KALLA_SQL_SERVICE names it.",
)  # fmt: skip
@click.option(
    "--worker-port", type=click.IntRange(1, 65535), default=8098, show_default=True,
    help="Port that the steps of a run ask, the same on every machine.",
)  # fmt: skip
@click.option(
    "--memory-mib", type=click.IntRange(256), default=1024, show_default=True, help="Memory of its program."
)  # fmt: skip
def sql_service(port: int, worker_port: int, memory_mib: int) -> None:
    """Expand and run the statements of engine beam-sql, on loopback. One runs on every machine of a cluster."""
    from pipelines.beam_sql.service import service_command

    command = service_command(port, worker_port, memory_mib)
    os.execv(command[0], command)  # noqa: S606
