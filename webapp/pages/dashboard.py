"""``/``: what Kalla does in three steps, with what is there already, and the latest runs."""

from __future__ import annotations

from flask import render_template

from webapp.context import kalla
from webapp.pages.frame import blueprint
from webapp.services import runs as service
from webapp.stores.counts import counts

LATEST = 10


@blueprint.get("/")
def dashboard() -> str:
    """Steps, counts, latest runs."""
    app = kalla()
    latest = service.list_runs(app, limit=LATEST)
    there = counts(app.database)
    open_runs = any(run["completed_at"] is None for run in latest)
    return render_template(
        "dashboard.html",
        sources=there.sources,
        recipes=there.recipes,
        runs=there.runs,
        latest=latest,
        live=open_runs,
    )
