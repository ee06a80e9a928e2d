"""Whether a run's latest report says that it waits for others to leave the cluster."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("run_progress", sa.Column("waiting", sa.Boolean(), nullable=False, server_default=sa.false()))
