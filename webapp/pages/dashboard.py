"""``/``: what Kalla does in three steps, with what is there already, and the latest runs."""

from __future__ import annotations

from flask import render_template

from webapp.context import kalla
from webapp.pages.frame import blueprint
from webapp.services import runs as service

LATEST = 10


@blueprint.get("/")
def dashboard() -> str:
    """Steps, counts, latest runs."""
    app = kalla()
    latest = service.list_runs(app, limit=LATEST)
    open_runs = any(run["completed_at"] is None for run in latest)
    return render_template(
        "dashboard.html",
        sources=app.sources.count(),
        recipes=app.recipes.count(),
        runs=app.runs.count(),
        latest=latest,
        live=open_runs,
    )
