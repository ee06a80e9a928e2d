"""A PostgreSQL for whole runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def run_database() -> Iterator[PostgresServer]:
    """A PostgreSQL for runs, one a test process."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(run_database: PostgresServer) -> Iterator[str]:
    """The name of an empty database."""
    name = run_database.create_database()
    yield name
    run_database.drop_database(name)
