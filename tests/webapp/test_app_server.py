"""The start of the app's processes."""

from __future__ import annotations

import threading

import pytest

from webapp import app_server
from webapp.errors import ServiceError


class Load:
    """Fails so many times before there is an app."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def __call__(self) -> str:
        if self.failures:
            self.failures -= 1
            raise ServiceError("The app database does not answer.", code="database.unavailable")
        return "app"


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    monkeypatch.setattr(app_server, "_RETRY_SECONDS", 0)
    return threading.Event(), threading.Event()


def test_the_first_process_that_cannot_start_says_why(flags: tuple[threading.Event, threading.Event]):
    served, refused = flags
    with pytest.raises(SystemExit, match="does not answer"):
        app_server._started(Load(1), served, refused)
    assert refused.is_set() and not served.is_set()


def test_one_that_is_started_again_waits_until_it_can(flags: tuple[threading.Event, threading.Event]):
    served, refused = flags
    assert app_server._started(Load(0), served, refused) == "app" and served.is_set()
    assert app_server._started(Load(3), served, refused) == "app"
    assert not refused.is_set()


def test_a_fault_of_ours_is_no_reason_to_give_up_what_serves(flags: tuple[threading.Event, threading.Event]):
    served, refused = flags
    served.set()
    with pytest.raises(ZeroDivisionError):
        app_server._started(lambda: 1 // 0, served, refused)
    assert not refused.is_set()
