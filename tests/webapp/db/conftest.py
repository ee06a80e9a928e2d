"""App databases of both kinds, migrated and empty, one a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import PostgresServer, postgres_server
from webapp.db import Database

KINDS = ("sqlite", "postgres")


@pytest.fixture(scope="session")
def postgres_for_app() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state' / 'kalla.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_for_app")
    name = server.create_database()
    yield server.uri(name)
    server.drop_database(name)


@pytest.fixture
def open_database() -> Iterator[Callable[[str], Database]]:
    """Databases that are closed when the test ends."""
    opened: list[Database] = []

    def open_one(url: str) -> Database:
        opened.append(Database(url))
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def database(address: str, open_database: Callable[[str], Database]) -> Database:
    found = open_database(address)
    found.migrate()
    return found
