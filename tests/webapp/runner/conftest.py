"""A receiver, and runners that are closed whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.webapp.runner.helpers import FakeLaunch, Receiver, receiving, settings_of
from webapp.runner import create_runner, runner_of


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def fake() -> FakeLaunch:
    """Runs end at once; tests that want them at work clear ``hold``."""
    found = FakeLaunch()
    found.hold.set()
    return found


@pytest.fixture
def runners(tmp_path: Path, fake: FakeLaunch) -> Iterator[Callable[..., FlaskClient]]:
    """Starts runners with the fake launcher below ``tmp_path``; keywords are settings, ``overrides`` the rest."""
    started = []

    def start(overrides: dict[str, Any] | None = None, **changes: Any) -> FlaskClient:
        app = create_runner(settings_of(tmp_path, **changes), **({"launch": fake} | (overrides or {})))
        started.append(app)
        return app.test_client()

    yield start
    fake.hold.set()
    for app in started:
        runner_of(app).close(5)
