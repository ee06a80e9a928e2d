"""The interface of runners of clusters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

Build = Callable[[Any], None]
"""Adds a run's steps to a ``beam.Pipeline``."""


class Job(Protocol):
    """A submitted pipeline."""

    def wait(self) -> None:
        """Until it is done. Raises what made it fail; RunCancelled after ``cancel``."""

    def cancel(self) -> None:
        """Ask for an end; ``wait`` then returns by raising."""


class Runner(Protocol):
    """``name`` is ``flink`` or ``spark``."""

    name: str

    def submit(self, build: Build, folder: Path, run_id: str) -> Job:
        """Start the pipeline that ``build`` describes. ``folder`` is the run's scratch folder, which every worker sees
        at the same path."""
