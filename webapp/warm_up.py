"""What the first conversation would wait for: modules and templates that start-up leaves out, loaded a moment later."""

from __future__ import annotations

import logging
import threading
import time
from importlib import import_module

from flask import Flask

log = logging.getLogger(__name__)

DELAY_SECONDS = 1.0  # the first page comes first
_MODULES = (
    "connectors.csv.reader",
    "connectors.parquet.reader",
    "webapp.agent.guided",
    "webapp.agent.tools_pairs",
    "webapp.agent.tools_recipe",
    "webapp.agent.tools_runs",
    "webapp.agent.tools_sources",
    "webapp.services.insight",
    "pipelines.evidence",
)


def start(app: Flask) -> None:
    """Load it on a thread of its own, once the server has had time for its first page."""

    def work() -> None:
        time.sleep(DELAY_SECONDS)
        began = time.monotonic()
        load(app)
        log.debug("warmed up in %.1f s", time.monotonic() - began)

    threading.Thread(target=work, name="kalla-warm-up", daemon=True).start()


def load(app: Flask) -> None:
    """Load it now; the second time costs nothing."""
    for name in _MODULES:
        import_module(name)
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)
