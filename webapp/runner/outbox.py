"""Delivers complete and error callbacks until somebody takes them, across restarts of the runner (contract 3.4)."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from webapp.runner.delivery import Attempt
from webapp.runner.journal import Final, Journal
from webapp.runner.log import note
from webapp.runner.metrics import Metrics

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
GIVE_UP_AFTER = 24 * 3600.0
_THREADS = 4
Send = Callable[[str, str, dict[str, Any]], Attempt]


def wait_after(attempts: int) -> float:
    """Seconds until the next attempt: 0.5, 1, 2, 4 ... 60."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempts, 10))


class Outbox:
    """Threads that send what the journal holds. A run's final callback waits while its progress is being sent."""

    def __init__(self, journal: Journal, send: Send, metrics: Metrics, give_up_after: float = GIVE_UP_AFTER) -> None:
        self._journal, self._send, self._metrics, self._give_up_after = journal, send, metrics, give_up_after
        self._changed = threading.Condition()
        self._held: set[str] = set()
        self._stopping = False
        self._threads = [threading.Thread(target=self._work, name="kalla-outbox", daemon=True) for _ in range(_THREADS)]

    def start(self) -> None:
        self._journal.retry_now()
        for thread in self._threads:
            thread.start()

    def hold(self, run_id: str) -> None:
        """Keep back this run's final callback until ``release``."""
        with self._changed:
            self._held.add(run_id)

    def release(self, run_id: str) -> None:
        with self._changed:
            self._held.discard(run_id)
            self._changed.notify_all()

    def wake(self) -> None:
        """There is something new in the journal."""
        with self._changed:
            self._changed.notify_all()

    def settle(self, seconds: float) -> None:
        """Wait until nothing is due or under way, at most so long."""
        ends = time.monotonic() + seconds
        with self._changed:
            while (self._held or self._journal.due(time.time(), 1)) and time.monotonic() < ends:
                self._changed.wait(0.05)

    def stop(self) -> None:
        """Start no more attempts; those under way end by their own limit. Whatever is left stays journalled."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            final = self._next()
            if final is None:
                return
            try:
                self._attempt(final)
            except sqlite3.Error as error:
                # The callback may be sent once more for it; a receiver ignores what it knows.
                note(logging.ERROR, "The journal cannot be written.", run_id=final.run_id, reason=error)
                time.sleep(FIRST_WAIT)
            finally:
                self.release(final.run_id)

    def _next(self) -> Final | None:
        """A callback that is due, now held by the caller; None when the outbox stops."""
        with self._changed:
            while not self._stopping:
                wait = LONGEST_WAIT
                try:
                    due = [f for f in self._journal.due(time.time(), len(self._held) + 1) if f.run_id not in self._held]
                    if due:
                        self._held.add(due[0].run_id)
                        return due[0]
                    coming = self._journal.next_due()
                    if coming is not None and coming > time.time():
                        wait = min(wait, coming - time.time())
                except sqlite3.Error as error:
                    note(logging.ERROR, "The journal cannot be read.", reason=error)
                    wait = FIRST_WAIT
                self._changed.wait(max(wait, 0.01))
            return None

    def _attempt(self, final: Final) -> None:
        started = time.time()
        found = self._send(final.url, final.kind, final.body)
        if found.ok:
            self._journal.end_delivery(final.run_id, "delivered")
            note(logging.INFO, "A callback was delivered.", run_id=final.run_id, kind=final.kind)
            return
        self._metrics.callbacks_failed.labels(final.kind).inc()
        first = final.first_attempt_at or started
        now = time.time()
        if found.result == "refused" or now - first > self._give_up_after:
            self._journal.end_delivery(final.run_id, "ended")
            why = {"run_id": final.run_id, "kind": final.kind, "reason": found.detail}
            note(logging.ERROR, "A callback was given up: its receiver does not take it.", **why)
            return
        self._journal.postpone(final, first, now + wait_after(final.attempts))
        note(logging.WARNING, "A callback failed and will be repeated.", run_id=final.run_id, reason=found.detail)
