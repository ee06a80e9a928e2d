"""The interface of runners of clusters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from pipelines.exchange import Exchange

Build = Callable[[Any], None]
"""Adds a run's steps to a ``beam.Pipeline``."""


class Job(Protocol):
    """A submitted pipeline."""

    @property
    def logs(self) -> list[str]:
        """What the job server told of it so far."""

    def state(self) -> int:
        """Its ``JobState``."""

    def wait(self) -> None:
        """Until it is done, passing its workers' events on. Raises what made it fail, ``run.cancelled`` once it was
        told to stop."""


class Runner(Protocol):
    """``name`` is ``flink`` or ``spark``."""

    name: str

    def submit(self, build: Build, exchange: Exchange, run_id: str, stop: threading.Event) -> Job:
        """Start the pipeline that ``build`` describes, once the cluster has room. Its workers use ``exchange``;
        ``stop`` may be set at any time, also by a signal handler."""
