"""The command line, ``kalla``. Importing it costs milliseconds: each command brings in what it needs when it is called."""

from __future__ import annotations

from pipelines.cli.app import main

__all__ = ["main"]
