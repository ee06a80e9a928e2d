"""MySQL and MariaDB tables and views: one consistent-snapshot transaction, streamed as text into Arrow."""

from __future__ import annotations

from connectors.registry import load_driver

load_driver("pymysql", "mysql")  # the modules of this package import it plainly; here its absence gets a pip line
