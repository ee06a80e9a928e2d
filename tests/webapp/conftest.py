"""Fixtures of the app's tests: settings in a folder of their own, an app over SQLite, a runner that only takes notes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.servers import nats_server_program
from webapp.app import create_app
from webapp.context import EXTENSION, Kalla
from webapp.db import Database
from webapp.errors import ServiceError
from webapp.settings import Settings

TOKEN = "open-sesame-4711"
SECRET_KEY = "correct horse battery staple"


@dataclass
class FakeDispatcher:
    """Takes every job and keeps it. ``error`` is raised instead when a test sets it."""

    jobs: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    loads: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, Any] | None = None
    error: ServiceError | None = None

    def submit(self, job: Mapping[str, Any]) -> None:
        self._fail()
        self.jobs.append(dict(job))

    def cancel(self, run_id: str) -> None:
        self._fail()
        self.cancelled.append(run_id)

    def status(self, run_id: str) -> dict[str, Any] | None:
        self._fail()
        return self.statuses.get(run_id)

    def load_scoped(self, alias: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._fail()
        self.loads.append((alias, dict(body)))
        return self.rows or {"alias": alias, "columns": [], "rows": [], "total_rows": 0, "preview_rows": 0}

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Loopback, no token, everything below the test's own folder; ``tmp_path/data`` may be read besides."""
    staging = tmp_path / "staging"
    data = tmp_path / "data"
    data.mkdir()
    return Settings(staging_path=staging, database_url=f"sqlite:///{staging / 'kalla.db'}", local_roots=(data,))


@pytest.fixture
def dispatcher() -> FakeDispatcher:
    return FakeDispatcher()


@pytest.fixture
def make_app(settings: Settings, dispatcher: FakeDispatcher) -> Iterator[Callable[..., Flask]]:
    """``make_app(access_token="x")``: an app with these settings changed; its database is closed at the end."""
    made: list[Database] = []

    def make(**changes: Any) -> Flask:
        changed = replace(settings, **changes)
        database = Database(changed.database_url)
        made.append(database)
        return create_app(changed, database=database, dispatcher=dispatcher)

    yield make
    for database in made:
        database.close()
    logger = logging.getLogger("webapp")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An app that listens on the loopback address without a token."""
    return make_app()


@pytest.fixture
def parts(app: Flask) -> Kalla:
    """The app's parts, for services called directly."""
    found: Kalla = app.extensions[EXTENSION]
    return found


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def guarded(make_app: Callable[..., Flask]) -> FlaskClient:
    """A client of an app with the access token ``TOKEN``; nobody has signed in."""
    return make_app(access_token=TOKEN, secret_key=SECRET_KEY).test_client()


@pytest.fixture
def data(settings: Settings) -> Path:
    """The folder that sources may lie in."""
    return settings.local_roots[0]


@pytest.fixture(scope="session")
def nats_server_path() -> Path:
    """The program nats-server; without it and without Go to build it the test is skipped."""
    try:
        return nats_server_program()
    except RuntimeError as error:
        pytest.skip(str(error))
