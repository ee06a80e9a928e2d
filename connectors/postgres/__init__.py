"""PostgreSQL tables and views: one exported snapshot, ctid block ranges, COPY into Arrow."""

from __future__ import annotations

from connectors.registry import load_driver

load_driver("psycopg2", "postgres")  # the modules of this package import it plainly; here its absence gets a pip line
