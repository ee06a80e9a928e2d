"""``python -m pipelines.cli`` is ``kalla``."""

from __future__ import annotations

from pipelines.cli import main

main()
