"""What a run is asked to do: plain data that travels from the command line or a service to the run's own process."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recipe import Problem

STRATEGIES = ("auto", "local", "broadcast", "shuffle")
ENGINES = ("auto", "vectorized", "beam-sql")
RUNNERS = ("direct", "flink", "spark", "auto")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
LEAST_MEMORY = 512 << 20


@dataclass(frozen=True)
class ClusterOptions:
    """Where the cluster is, for runners other than ``direct``.

    ``job_endpoint`` is Beam's job server, ``worker_pool`` the pool of Python workers as a machine of the cluster
    reaches it, both host:port; ``master_url`` the web interface of Flink's JobManager or Spark's master, without which
    versions are not checked. ``parallelism`` None takes all slots.

    ``sql_service`` is the service of engine beam-sql, host:port, for any runner; None has a run start its own on this
    machine.
    """

    job_endpoint: str | None = None
    worker_pool: str = "localhost:50000"
    master_url: str | None = None
    parallelism: int | None = None
    sql_service: str | None = None


@dataclass(frozen=True)
class Choice:
    """Where a run goes. ``reason`` is a sentence for the plan; ``warning`` stands in the result where a cluster was
    meant and not taken."""

    runner: str
    reason: str
    parallelism: int
    warning: Problem | None = None


@dataclass(frozen=True)
class RunRequest:
    """``recipe`` is a path or a whole document. Sizes in bytes; None means the default of the machine.

    ``output`` is a folder, or one of an object store (``s3://bucket/folder``).

    ``sources`` replaces a side's address for this run (``{"left": uri}``). ``roots`` limits local files; None sets no
    limit. ``hosts`` are the numeric addresses that servers may be reached at, by their host; None asks the resolver.
    ``staging`` is the folder of this machine for scratch data; None lays it beside the output, or below the folder for
    temporary files where the output is in an object store. ``exchange`` is a folder of an object store through which
    the machines of a cluster hand files on; None has them share the folders. ``choice`` is where the run goes, where
    its launcher knows; None has it find out.
    """

    recipe: str | dict[str, Any]
    output: str
    run_id: str
    strategy: str = "auto"
    engine: str = "auto"
    runner: str = "direct"
    partitions: int = 4
    memory_limit: int | None = None
    overwrite: bool = False
    sources: dict[str, str] = field(default_factory=dict)
    roots: list[str] | None = None
    hosts: dict[str, list[str]] | None = None
    staging: str | None = None
    exchange: str | None = None
    cluster: ClusterOptions = field(default_factory=ClusterOptions)
    choice: Choice | None = None

    def __post_init__(self) -> None:
        if "://" in (self.staging or ""):  # a folder of that name would be made, and the store never used
            raise ValueError("staging is a folder of this machine; a store goes into exchange")

    @property
    def memory(self) -> int:
        return self.memory_limit or default_memory()


def default_memory() -> int:
    """Half of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def parse_size(text: str) -> int:
    """Bytes of ``1GiB``, ``512M`` or ``1500000``; units are powers of 1024.

    >>> parse_size("1.5 GiB")
    1610612736

    Raises RecipeError ``run.invalid_option``.
    """
    size = _size(text)
    if size is not None and size >= LEAST_MEMORY:
        return size
    from recipe import RecipeError  # what starts a run needs nothing else of it, and it takes a fifth of a second

    if size is None:
        sentence, hint = f"{text!r} is no size.", "Write a number with a unit, such as 2GiB."
    else:
        sentence, hint = f"A run needs more memory than {text}.", "Give it 512MiB at least."
    raise RecipeError(sentence, code="run.invalid_option", hint=hint)


def _size(text: str) -> int | None:
    found = _SIZE.fullmatch(text.strip())
    return int(float(found[1]) * (1 << _UNITS[found[2].lower()])) if found else None
