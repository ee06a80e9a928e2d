"""The progress bar of a run: one line a stage, on standard error, on terminals only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from pipelines.cli.console import err, number, printable

Event = dict[str, Any]
STAGES = {"staging": "Reading sources", "matching": "Matching", "writing_results": "Writing evidence"}


@contextlib.contextmanager
def progress_bar(show: bool = True) -> Iterator[Callable[[Event], None]]:
    """What to call with each event of a run. Without a terminal it shows nothing."""
    console = err()
    if not (show and console.is_terminal):
        yield _ignore
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(30),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        yield StageBars(progress).show


def _ignore(event: Event) -> None:
    return


class StageBars:
    """Turns events into bars. A stage begins with its first event and ends when the next one begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._rows: dict[str, int] = {}
        self._sides: dict[str, str] = {}

    def show(self, event: Event) -> None:
        """Take one event; unknown ones are for others."""
        kind = event.get("event")
        if kind == "planned":
            self._begin("staging")
        elif kind == "waiting":
            self._progress.update(self._begin("staging"), told="waiting for room on the cluster")
        elif kind == "progress" and event.get("stage") in STAGES:
            task = self._begin(str(event["stage"]))
            if not self._rows:
                self._progress.update(task, told="")
            if event.get("progress"):
                self._progress.update(task, total=1.0, completed=float(event["progress"]))
        elif kind in ("staged", "side"):
            self._read(event)
        elif kind == "pairs":
            task = self._begin("writing_results")
            told = f"{number(int(event['matched_count']))} pairs"
            self._progress.update(task, total=max(int(event["chunks"]), 1), told=told)
        elif kind == "chunk":
            self._progress.advance(self._begin("writing_results"))

    def _begin(self, stage: str) -> TaskID:
        if stage not in self._tasks:
            for earlier in self._tasks.values():
                self._progress.update(earlier, total=1, completed=1)
            self._tasks[stage] = self._progress.add_task(STAGES[stage], total=None, told="")
        return self._tasks[stage]

    def _read(self, event: Event) -> None:
        """Rows of each source so far; ``side`` brings the final number."""
        name, rows = printable(event["source"]), int(event["rows"])
        if event["event"] == "side":
            self._sides[str(event["side"])] = f"{number(rows)} {name}"
        else:
            self._rows[name] = self._rows.get(name, 0) + rows
        told = [f"{number(n)} {source}" for source, n in self._rows.items()]
        self._progress.update(self._begin("staging"), told=", ".join(self._sides.values() or told))
