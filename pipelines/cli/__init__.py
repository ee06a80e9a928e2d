"""The command line, ``kalla``. Importing it costs milliseconds: a command brings in what it needs when called."""

from __future__ import annotations

from pipelines.cli.app import main

__all__ = ["main"]
