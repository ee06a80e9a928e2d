"""A database of a real MariaDB or MySQL, as the connector tests use it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors import ConnectorError, connector_for
from connectors.mysql.reader import MysqlConnector
from recipe import Column, Kind, MysqlSource
from tests.mysql_servers import MysqlServer

READER = "kalla_reader"
WRONG = "wr0ng-s3cret"
SECRET = "s3cr3t/p@ss wörd%数"  # distinctive, and needing every kind of escaping

_TYPES = {
    Kind.INTEGER: "bigint",
    Kind.DECIMAL: "decimal",
    Kind.DOUBLE: "double",
    Kind.TEXT: "varchar(200)",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "datetime(6)",
    Kind.TIMESTAMPTZ: "timestamp(6) NULL",
    Kind.BOOLEAN: "bit(1)",
}


def declared(column: Column) -> str:
    """A column as SQL declares it."""
    size = f"({column.precision},{column.scale})" if column.kind is Kind.DECIMAL else ""
    return f"`{column.name}` {_TYPES[column.kind]}{size}"


@dataclass
class MysqlDatabase:
    """A database of one test. ``READER`` may read what is granted to it and gives ``SECRET`` as its password."""

    server: MysqlServer
    name: str

    def run(self, *statements: str) -> Any:
        """Execute statements as the superuser; the rows of the last."""
        return self.server.execute(self.name, *statements)

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows into a table, one statement each, in their order."""
        marks = ", ".join(["%s"] * len(rows[0])) if rows else ""
        name = table.replace("`", "``").replace("%", "%%")
        self.server.execute(self.name, f"INSERT INTO `{name}` VALUES ({marks})", rows=rows)

    def uri(self, table: str, *, reader: bool = False, params: Mapping[str, str] | None = None, port: int = 0) -> str:
        """The address of a table, as the superuser or as the ordinary user with its password."""
        who = {"user": READER, "password": SECRET} if reader else {}
        return self.server.uri(self.name, table, params=params, port=port or None, **who)

    def grant(self, table: str) -> None:
        """Let ``READER`` read a table."""
        self.run(f"GRANT SELECT ON `{self.name}`.`{table}` TO {READER}")

    def source(
        self, table: str, *, reader: bool = False, params: Mapping[str, str] | None = None, port: int = 0
    ) -> MysqlConnector:
        """A connector over a table."""
        return open_uri(self.uri(table, reader=reader, params=params, port=port))


def open_uri(uri: str) -> MysqlConnector:
    """The connector for an address, made as a recipe makes it."""
    found = connector_for(MysqlSource(alias="books", uri=uri, primary_key=("id",)))
    assert isinstance(found, MysqlConnector)
    return found


def check_form(error: ConnectorError) -> None:
    """No secret in any form of the error, a hint, and nothing of the driver's behind it."""
    texts = (str(error), repr(error), str(error.as_dict()), str(pickle.loads(pickle.dumps(error))))
    assert not [text for text in texts if WRONG in text or SECRET in text or "s3cr3t" in text]
    assert error.hint
    assert error.__cause__ is None
