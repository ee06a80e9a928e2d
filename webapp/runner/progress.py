"""What a run's events mean for people who wait: a stage and a fraction, sent beside the work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from webapp.runner.delivery import Attempt
from webapp.runner.log import note
from webapp.runner.metrics import STAGES

Event = Mapping[str, Any]
_SIDES = {"l": "left", "r": "right", "left": "left", "right": "right"}


@dataclass(frozen=True)
class Pace:
    """Seconds between progress callbacks."""

    least: float = 1.0
    most: float = 30.0


class Tracker:
    """Follows one run's events. ``sides`` says which side an alias in an event means, where that is certain."""

    def __init__(self, run_id: str, sides: Mapping[str, str], partitions: int) -> None:
        self._run_id, self._sides, self._partitions = run_id, sides, max(partitions, 1)
        self._lock = threading.Lock()
        self._splits: dict[str | None, list[int]] = {}  # source -> splits begun and done
        self._chunks = [0, 0]  # written, in all
        self._state: dict[str, Any] = {"stage": STAGES[0], "progress": 0.0}
        self._since = time.monotonic()
        self.rows: dict[str, int] = {}
        self.seconds: dict[str, float] = {}

    @property
    def stage(self) -> str:
        with self._lock:
            return str(self._state["stage"])

    @property
    def fraction(self) -> float:
        with self._lock:
            return float(self._state["progress"])

    def body(self) -> dict[str, Any]:
        """The progress callback of this moment (contract 3.4)."""
        with self._lock:
            return {"run_id": self._run_id, **self._state}

    def take(self, event: Event) -> bool:
        """Note an event; whether the stage changed with it."""
        with self._lock:
            before = self._state["stage"]
            self._take(str(event.get("event")), event)
            if self._state["stage"] == before:
                return False
            self._close(before)
            return True

    def finish(self) -> None:
        """The run has ended: the current stage's time is complete."""
        with self._lock:
            self._close(self._state["stage"])

    def _close(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now

    def _take(self, kind: str, event: Event) -> None:
        if kind == "waiting":
            self._state["waiting"] = True  # for room on a cluster, until the next event of the work
            return
        self._state.pop("waiting", None)
        if kind == "progress" and event.get("stage") == STAGES[0]:
            self._staged(event, 0)
        elif kind == "staged":
            self._staged(event, 1)
        elif kind == "side":
            self._side(event)
        elif kind == "progress" and event.get("stage") in STAGES[1:]:
            self._enter(str(event["stage"]), min(1.0, float(event.get("progress") or 0.0)))
        elif kind == "pairs":
            self._chunks[1] = int(event["chunks"])
            self._enter(STAGES[2], 0.0 if self._chunks[1] else 1.0)
            self._state["matched_count"] = int(event["matched_count"])
        elif kind == "chunk":
            self._chunks[0] += 1
            self._enter(STAGES[2], min(1.0, self._chunks[0] / max(self._chunks)))

    def _enter(self, stage: str, fraction: float) -> None:
        self._state.pop("source", None)
        self._state.update(stage=stage, progress=fraction)

    def _staged(self, event: Event, place: int) -> None:
        """A split of a source begins or is done. How many there are is only known to be about ``partitions``."""
        source = self._sides.get(str(event.get("source")))
        begun_and_done = self._splits.setdefault(source, [0, 0])
        begun_and_done[place] += 1
        if self._state["stage"] != STAGES[0]:
            return
        expected = max(self._partitions * (1 if source else 2), begun_and_done[0])
        fraction = begun_and_done[1] / expected
        if source == self._state.get("source"):
            fraction = max(fraction, self._state["progress"])
        self._show(source, min(fraction, 1.0))

    def _side(self, event: Event) -> None:
        side = _SIDES.get(str(event.get("side")))
        if side is None:
            return
        self.rows[side] = int(event["rows"])
        self._state[f"total_{side}"] = self.rows[side]
        if self._state["stage"] == STAGES[0]:
            self._show(f"{side}_src", 1.0)

    def _show(self, source: str | None, fraction: float) -> None:
        self._state["progress"] = fraction
        if source is None:
            self._state.pop("source", None)
        else:
            self._state["source"] = source


class Sender:
    """Sends the newest progress of one run: at once, then at most once and at least once in a time.

    It runs on its own thread, so a receiver that is slow or gone never holds up the work.
    """

    def __init__(
        self,
        tracker: Tracker,
        send: Callable[[dict[str, Any]], Attempt],
        on_failure: Callable[[], None],
        on_end: Callable[[], None],
        pace: Pace,
    ) -> None:
        self._tracker, self._send, self._pace = tracker, send, pace
        self._on_failure, self._on_end = on_failure, on_end
        self._stop = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kalla-progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def changed(self) -> None:
        """There is something new to tell."""
        self._news.set()

    def stop(self) -> None:
        """Send no more. An attempt under way ends by itself; ``on_end`` follows it."""
        self._stop.set()
        self._news.set()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._news.clear()
                started = time.monotonic()
                self._attempt()
                if self._stop.wait(max(started + self._pace.least - time.monotonic(), 0)):
                    return
                self._news.wait(max(started + self._pace.most - time.monotonic(), 0))
        finally:
            self._on_end()

    def _attempt(self) -> None:
        body = self._tracker.body()
        found = self._send(body)
        if not found.ok:
            self._on_failure()
            note(logging.WARNING, "A progress callback failed.", run_id=body["run_id"], reason=found.detail)
