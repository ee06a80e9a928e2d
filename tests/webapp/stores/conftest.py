"""Stores over an empty, migrated database of either kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.webapp.db.conftest import address, database, open_database, postgres_for_app
from webapp.db import Base, Database
from webapp.stores.audit import AuditStore
from webapp.stores.chat import ChatStore
from webapp.stores.recipes import RecipeStore
from webapp.stores.runs import RunStore
from webapp.stores.sources import SourceStore
from webapp.stores.vault import Vault

__all__ = ["address", "database", "open_database", "postgres_for_app"]  # fixtures, found here by their names

KEY = "a passphrase of the tests"


@pytest.fixture(scope="session")
def vault() -> Vault:
    return Vault(KEY)


@pytest.fixture
def sources(database: Database, vault: Vault) -> SourceStore:
    return SourceStore(database, vault)


@pytest.fixture
def recipes(database: Database, vault: Vault) -> RecipeStore:
    return RecipeStore(database, vault)


@pytest.fixture
def runs(database: Database, vault: Vault) -> RunStore:
    return RunStore(database, vault)


@pytest.fixture
def audit(database: Database, vault: Vault) -> AuditStore:
    return AuditStore(database, vault)


@pytest.fixture
def chats(database: Database) -> ChatStore:
    return ChatStore(database)


@pytest.fixture
def raw(database: Database, tmp_path: Path) -> Callable[[], str]:
    """All that is stored, as somebody who stole it would see it."""

    def dump() -> str:
        with database.session() as session:
            rows = [[*session.execute(text(f"SELECT * FROM {name}"))] for name in Base.metadata.tables]
        files = [path.read_bytes() for path in (tmp_path / "state").glob("kalla.db*")] if database.is_sqlite else []
        return repr(rows) + "".join(data.decode("latin-1") for data in files)

    return dump
