"""Sliding windows, shared by all who use one database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from tests.webapp.db.conftest import address, database, open_database, postgres_for_app
from webapp.db import Database
from webapp.db.models import RateEvent
from webapp.stores.rate_events import RateEvents
from webapp.web.limits import RateLimit

__all__ = ["address", "database", "open_database", "postgres_for_app"]  # fixtures, found here by their names


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_a_window_slides(database: Database):
    clock = Clock()
    limit = RateLimit(RateEvents(database), "try", 2, 10, clock)
    assert limit.wait("a") == 0
    limit.record("a")
    clock.go_on(4)
    limit.record("a")
    assert limit.wait("a") == 6
    assert limit.wait("b") == 0
    clock.go_on(6)
    assert limit.wait("a") == 0
    limit.record("a")
    assert limit.wait("a") == 4
    clock.go_on(3.5)
    assert limit.wait("a") == 1
    limit.forget("a")
    assert limit.wait("a") == 0


def test_what_one_process_counts_another_one_sees_but_other_kinds_do_not(database: Database):
    clock = Clock()
    here, there = (RateLimit(RateEvents(database), "try", 2, 10, clock) for _ in range(2))
    here.record("a")
    there.record("a")
    assert here.wait("a") == there.wait("a") == 10
    assert RateLimit(RateEvents(database), "other", 1, 10, clock).wait("a") == 0


def test_what_is_past_is_forgotten(database: Database):
    clock = Clock()
    limit = RateLimit(RateEvents(database), "try", 1, 10, clock)
    longer = RateLimit(RateEvents(database), "other", 1, 1000, clock)
    longer.record("a")
    for number in range(5):
        limit.record(str(number))
    clock.go_on(10)
    limit.record("new")
    with database.session() as session:
        assert session.scalar(select(func.count()).select_from(RateEvent)) == 2
    assert longer.wait("a") == 990


def test_of_many_at_once_only_so_many_are_let_through(database: Database):
    limit = RateLimit(RateEvents(database), "try", 10, 60)
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: limit.take("a"), range(64)))
    assert waits.count(0) == 10 and all(1 <= wait <= 60 for wait in waits if wait)
    assert limit.take("b") == 0


def test_a_clock_that_was_set_back_locks_nobody_out(database: Database):
    clock = Clock()
    limit = RateLimit(RateEvents(database), "try", 2, 60, clock)
    limit.take("a")
    limit.take("a")
    clock.go_on(-30)
    assert limit.wait("a") == 60  # never longer than the window
    clock.go_on(-3600)
    assert limit.take("a") == 0
