"""Fixtures over a real PostgreSQL: one server a test process, one database a test.

A test module takes them with ``pytest_plugins = ("tests.connectors.postgres_fixtures",)``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg2 import sql

from tests.connectors.postgres_database import READER, SECRET, Database
from tests.servers import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        server.execute("postgres", create.format(sql.Identifier(READER), sql.Literal(SECRET)))
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    name = postgres.create_database()
    yield Database(postgres, name)
    postgres.drop_database(name)
