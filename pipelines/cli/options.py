"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import click

from pipelines.options import ENGINES, RUNNERS, STRATEGIES, ClusterOptions

SIDES = ("left", "right")


class Size(click.ParamType):
    """Bytes written as ``2GiB`` or ``512M``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from pipelines.options import parse_size
        from recipe import RecipeError

        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except RecipeError as error:
            return self.fail(f"{error.message} {error.hint}".strip(), param, ctx)


class Address(click.ParamType):
    """``left=URI`` or ``right=URI``."""

    name = "side=uri"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value[0], value[1]
        side, equals, uri = str(value).partition("=")
        if side not in SIDES or not equals or not uri:
            self.fail("Write left=URI or right=URI.", param, ctx)
        return side, uri


def addresses(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The values of ``--set`` by side. Raises click.BadParameter for a side that is given twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise click.BadParameter("Give each side once.", param_hint="--set")
    return found


def _option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    return click.option(*names, **settings)


json_option = _option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
debug_option = _option("--debug", is_flag=True, help="Show the traceback of an error.")
set_option = _option(
    "--set",
    "sets",
    multiple=True,
    type=Address(),
    metavar="SIDE=URI",
    help="Read a side from another address.",
)
memory_option = _option(
    "--memory-limit", type=Size(), envvar="KALLA_MEMORY_LIMIT", show_envvar=True, metavar="SIZE",
    help="Memory of the run's processes, such as 2GiB; half of the machine unless given.",
)  # fmt: skip
partitions_option = _option(
    "--partitions", type=click.IntRange(1, 1024), default=4, envvar="KALLA_PARTITIONS", show_envvar=True,
    show_default=True, help="Parallel reads per source.",
)  # fmt: skip

strategy_option = click.option(
    "--strategy", type=click.Choice(STRATEGIES), default="auto", show_default=True, help="How rows meet."
)
engine_option = click.option(
    "--engine", type=click.Choice(ENGINES), default="auto", envvar="KALLA_ENGINE", show_envvar=True, show_default=True,
    help="What compares them: DuckDB (vectorized, also auto) or Beam SQL, which needs Java.",
)  # fmt: skip
_CLUSTER = (
    _option(
        "--job-endpoint", envvar="KALLA_JOB_ENDPOINT", show_envvar=True, metavar="HOST:PORT",
        help="Job server of the cluster.",
    ),
    _option(
        "--worker-pool", envvar="KALLA_WORKER_POOL", show_envvar=True, metavar="HOST:PORT",
        default=ClusterOptions.worker_pool, show_default=True,
        help="Pool of Python workers, as machines of the cluster reach it.",
    ),
    _option(
        "--master-url", envvar="KALLA_MASTER_URL", show_envvar=True, metavar="URL",
        help="Web interface of Flink's JobManager or Spark's master.",
    ),
    _option(
        "--parallelism", type=click.IntRange(1, 4096), envvar="KALLA_PARALLELISM", show_envvar=True,
        help="Steps at once on the cluster; all its slots unless given.",
    ),
    _option(
        "--sql-service", envvar="KALLA_SQL_SERVICE", show_envvar=True, metavar="HOST:PORT",
        help="Service of engine beam-sql; a run on this machine starts its own unless given.",
    ),
)  # fmt: skip


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a cluster, gathered into one argument ``cluster``."""

    @functools.wraps(command)
    def gathered(*args: Any, **given: Any) -> Any:
        names = [field.name for field in fields(ClusterOptions)]
        return command(*args, cluster=ClusterOptions(**{name: given.pop(name) for name in names}), **given)

    for option in reversed(_CLUSTER):
        gathered = option(gathered)
    return gathered


runner_option = click.option(
    "--runner", type=click.Choice(RUNNERS), default="direct", envvar="KALLA_RUNNER", show_envvar=True,
    show_default=True, help="Where the pipeline runs; auto takes the cluster that answers, else this machine.",
)  # fmt: skip
