"""The app database: engine, tables and their versioned migrations."""

from __future__ import annotations

from webapp.db.database import Database
from webapp.db.models import OWN_TABLES, Base

__all__ = ["OWN_TABLES", "Base", "Database"]
