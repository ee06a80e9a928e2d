"""Fixtures over real MariaDB and MySQL servers: one of each a test process, one database a test.

A test module takes them with ``pytest_plugins = ("tests.connectors.mysql_fixtures",)``. Tests that take ``mysql_database``
run on both; a server that is not there skips its half.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.connectors.mysql_database import READER, SECRET, MysqlDatabase
from tests.mysql_servers import MysqlServer, mysql_server

SERVERS = ("mariadb", "mysql")


@pytest.fixture(scope="session")
def mysql_servers() -> Iterator[Callable[[str], MysqlServer]]:
    """A server by its name, started when it is first asked for."""
    running: dict[str, MysqlServer] = {}
    with contextlib.ExitStack() as stack:

        def ask(name: str) -> MysqlServer:
            if name not in running:
                try:
                    running[name] = stack.enter_context(mysql_server(name))
                except RuntimeError as error:
                    pytest.skip(str(error))
                running[name].execute(None, f"CREATE USER {READER} IDENTIFIED BY '{SECRET}'")
            return running[name]

        yield ask


@pytest.fixture(scope="session", params=SERVERS)
def mysql(request: pytest.FixtureRequest, mysql_servers: Callable[[str], MysqlServer]) -> MysqlServer:
    """Each of the servers."""
    return mysql_servers(request.param)


@pytest.fixture(scope="session")
def shared_databases(mysql_servers: Callable[[str], MysqlServer]) -> Callable[[str], MysqlDatabase]:
    """A database by its server's name, for tests that name their tables by ``unique``."""
    made: dict[str, MysqlDatabase] = {}

    def ask(name: str) -> MysqlDatabase:
        if name not in made:
            server = mysql_servers(name)
            made[name] = MysqlDatabase(server, server.create_database())
        return made[name]

    return ask


@pytest.fixture
def mysql_database(mysql: MysqlServer) -> Iterator[MysqlDatabase]:
    name = mysql.create_database()
    yield MysqlDatabase(mysql, name)
    mysql.drop_database(name)


@pytest.fixture
def mariadb_database(mysql_servers: Callable[[str], MysqlServer]) -> Iterator[MysqlDatabase]:
    """A database of MariaDB alone, where the two cannot differ."""
    server = mysql_servers("mariadb")
    name = server.create_database()
    yield MysqlDatabase(server, name)
    server.drop_database(name)
