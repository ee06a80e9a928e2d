"""A database of a real PostgreSQL, as the connector tests use it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from connectors import connector_for
from connectors.postgres.reader import PostgresConnector
from recipe import PostgresSource
from tests.servers import PostgresServer

READER = "kalla_reader"
SECRET = "s3cr3t/p@ss word%"  # distinctive, and needing every kind of escaping


@dataclass
class Database:
    """A database of one test. ``READER`` may read what is granted to it and gives ``SECRET`` as its
    password."""

    server: PostgresServer
    name: str

    def run(self, statement: str | sql.Composable, args: object = None) -> None:
        """Execute statements as the superuser, committed."""
        self.server.execute(self.name, statement, args)

    def value(self, query: str) -> Any:
        """The first cell of a query."""
        with contextlib.closing(self.server.connect(self.name)) as found, found.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0]

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows into a table of any name, one statement."""
        with (
            contextlib.closing(self.server.connect(self.name, autocommit=False)) as found,
            found.cursor() as cursor,
        ):
            for row in rows:
                form = sql.SQL("INSERT INTO {} VALUES ({})")
                marks = sql.SQL(", ").join(sql.Placeholder() * len(row))
                cursor.execute(form.format(sql.Identifier(*table.split(".")), marks), row)
            found.commit()

    def uri(self, table: str, *, reader: bool = False, params: Mapping[str, str] | None = None) -> str:
        """The address of a table, as the superuser or as the ordinary user with its password."""
        if reader:
            return self.server.uri(self.name, table, user=READER, password=SECRET, params=params)
        return self.server.uri(self.name, table, params=params)

    def source(self, table: str, *, reader: bool = False, params: Mapping[str, str] | None = None) -> PostgresConnector:
        """A connector over a table."""
        return open_uri(self.uri(table, reader=reader, params=params))


def open_uri(uri: str) -> PostgresConnector:
    """The connector for an address, made as a recipe makes it."""
    found = connector_for(PostgresSource(alias="books", uri=uri, primary_key=("id",)))
    assert isinstance(found, PostgresConnector)
    return found
