"""The connector contract on a real MariaDB and a real MySQL, and what is special to them: names, order, moments."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from connectors import Connector
from recipe import Column
from tests.connectors.contract import ConnectorContract, Make, Row
from tests.connectors.mysql_database import SECRET, MysqlDatabase, declared

pytest_plugins = ("tests.connectors.mysql_fixtures",)


NUMBERS = itertools.count(1)


class MysqlContract(ConnectorContract):
    server = "mariadb"
    secret = SECRET
    missing_code = "source.table_not_found"
    identity_keys = frozenset({"server", "server_version", "database", "table", "kind", "engine", "rows"})

    @pytest.fixture
    def database(self, shared_databases: Callable[[str], MysqlDatabase]) -> MysqlDatabase:
        return shared_databases(self.server)

    @pytest.fixture
    def make(self, database: MysqlDatabase) -> Make:
        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            name = f"t{next(NUMBERS)}"
            database.run(f"CREATE TABLE {name} ({', '.join(map(declared, columns))})")
            database.insert(name, rows)
            return self.over(database, name)

        return build

    def over(self, database: MysqlDatabase, table: str) -> Connector:
        """A connector of the ordinary user that gives the rows of a table."""
        database.grant(table)
        return database.source(table, reader=True)

    @pytest.fixture
    def missing(self, database: MysqlDatabase) -> Connector:
        database.run("CREATE TABLE IF NOT EXISTS somewhere (v int)")
        database.grant("somewhere")
        return database.source("nowhere", reader=True)


class TestMariaDbTable(MysqlContract):
    pass


class TestMysqlTable(MysqlContract):
    server = "mysql"


class TestView(MysqlContract):
    def over(self, database: MysqlDatabase, table: str) -> Connector:
        database.run(f"CREATE VIEW v_{table} AS SELECT * FROM {table}")
        return super().over(database, f"v_{table}")
