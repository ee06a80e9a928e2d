"""How often something may be tried: sliding windows in the memory of this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

_MOST_KEYS = 10_000


class RateLimit:
    """At most ``most`` events within ``seconds`` per key. Safe between threads; old keys are forgotten."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

    def record(self, key: str) -> None:
        """Count one event."""
        with self._lock:
            events = self._events.setdefault(key, deque(maxlen=self._most))
            events.append(self._clock())
            self._events.move_to_end(key)
            while len(self._events) > _MOST_KEYS:
                self._events.popitem(last=False)

    def wait(self, key: str) -> int:
        """Whole seconds until the next event is allowed; 0 when it is now."""
        with self._lock:
            events = self._events.get(key)
            if events is None:
                return 0
            now = self._clock()
            while events and now - events[0] >= self._seconds:
                events.popleft()
            if not events:
                del self._events[key]
                return 0
            return int(self._seconds - (now - events[0])) + 1 if len(events) >= self._most else 0

    def forget(self, key: str) -> None:
        """Start over for a key."""
        with self._lock:
            self._events.pop(key, None)
