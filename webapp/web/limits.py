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

    def record(self, key: str) -> None:
        """Count one event."""
        moment = self._clock()
        self._events.add(self._kind, key, moment, moment - self._window)

    def wait(self, key: str) -> int:
        """Whole seconds until the next event is allowed; 0 when it is now."""
        moment = self._clock()
        found = self._events.latest(self._kind, key, moment - self._window, self._most)
        if len(found) < self._most:
            return 0
        return max(1, math.ceil((self._window - (moment - found[-1])).total_seconds()))

    def forget(self, key: str) -> None:
        """Start over for a key."""
        self._events.forget(self._kind, key)
