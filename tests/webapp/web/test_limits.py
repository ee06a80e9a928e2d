"""Sliding windows."""

from __future__ import annotations

from webapp.web.limits import RateLimit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_window_slides():
    clock = Clock()
    limit = RateLimit(2, 10, clock)
    assert limit.wait("a") == 0
    limit.record("a")
    clock.now += 4
    limit.record("a")
    assert limit.wait("a") == 7
    assert limit.wait("b") == 0
    clock.now += 6
    assert limit.wait("a") == 0
    limit.record("a")
    assert limit.wait("a") == 5
    limit.forget("a")
    assert limit.wait("a") == 0


def test_memory_is_bounded():
    limit = RateLimit(1, 1000, Clock())
    for number in range(10_050):
        limit.record(str(number))
    assert limit.wait("0") == 0
    assert limit.wait("10049") > 0
