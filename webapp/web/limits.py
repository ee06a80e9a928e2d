"""How often something may be tried: sliding windows that all processes of the app share."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from webapp.db.models import now
from webapp.stores.rate_events import RateEvents


class RateLimit:
    """At most ``most`` events of a ``kind`` within ``seconds`` per key. All raise ServiceError
    ``database.unavailable``."""

    def __init__(
        self, events: RateEvents, kind: str, most: int, seconds: float, clock: Callable[[], datetime] = now
    ) -> None:
        self._events, self._kind, self._most, self._clock = events, kind, most, clock
        self._window = timedelta(seconds=seconds)

    def take(self, key: str) -> int:
        """Count one event if it is allowed, and 0; else the whole seconds until the next one is."""
        moment = self._clock()
        oldest = self._events.take(self._kind, key, moment, self._window, self._most)
        return 0 if oldest is None else self._until_allowed(moment, oldest)

    def record(self, key: str) -> None:
        """Count one event, allowed or not."""
        self._events.add(self._kind, key, self._clock(), self._window)

    def wait(self, key: str) -> int:
        """Whole seconds until the next event is allowed; 0 when it is now."""
        moment = self._clock()
        found = self._events.latest(self._kind, key, moment, self._window, self._most)
        return 0 if len(found) < self._most else self._until_allowed(moment, found[-1])

    def forget(self, key: str) -> None:
        """Start over for a key."""
        self._events.forget(self._kind, key)

    def _until_allowed(self, moment: datetime, oldest: datetime) -> int:
        left = min(self._window, self._window - (moment - oldest))
        return max(1, math.ceil(left.total_seconds()))
