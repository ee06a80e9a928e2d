"""Running the packaged migrations from code. ``Database.migrate`` is the way in."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from webapp.db.models import VERSION_TABLE
from webapp.errors import SettingsError
from webapp.locks import locked

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).with_name("migrations")
# Files are v0001_what_it_does.py, and hold the revision "0001".
NEWEST = max(path.name for path in (_FOLDER / "versions").glob("v*.py"))[1:5]
_ADVISORY_LOCK = 0x6B616C6C61  # "kalla" in ASCII
_ONE_AT_A_TIME = threading.Lock()  # alembic keeps the migration at work in a global


def sqlite(engine: Engine, path: Path) -> None:
    """Migrate a SQLite file; a lock file beside it holds back other processes."""
    engine.connect().close()  # makes the folder
    with _ONE_AT_A_TIME, locked(path.with_name(path.name + ".lock")):
        with engine.connect() as connection:
            # Kept in the file. Not asked for at every connect: two that ask for it at once get "locked".
            connection.connection.cursor().execute("PRAGMA journal_mode = WAL")
        with engine.begin() as connection:
            upgrade(connection)


def postgres(engine: Engine) -> None:
    """Migrate a PostgreSQL database in one transaction, which also holds the lock."""
    with _ONE_AT_A_TIME, engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        upgrade(connection)


def upgrade(connection: Connection, revision: str = NEWEST) -> None:
    """Run what is missing up to ``revision``, inside the transaction of ``connection``."""
    if _revision(connection) == revision:
        return
    from alembic import command  # a quarter of a second, which a start with nothing to do need not take
    from alembic.util import CommandError

    try:
        command.upgrade(configuration(connection), revision)
    except CommandError:
        raise SettingsError(
            "The app database was set up by a newer Kalla.", hint="Start that version, or use another database."
        ) from None


def _revision(connection: Connection) -> str | None:
    """What the database is at; None for a new one."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our constant


def configuration(connection: Connection) -> Config:
    """What alembic needs to know; there is no alembic.ini."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
