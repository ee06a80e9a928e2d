"""Alembic's entry: migrates over the connection that ``webapp.db.migrate`` hands in."""

from __future__ import annotations

from alembic import context

from webapp.db.models import VERSION_TABLE, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
