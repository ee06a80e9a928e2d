"""``/runs`` and ``/runs/<id>``: what was reconciled, how far it is, what came out, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import redirect, render_template, request, url_for

from recipe import KallaError
from webapp.context import kalla
from webapp.pages import card, evidence_view, notices
from webapp.pages.frame import blueprint, status_for
from webapp.pages.paging import PAGE, number, pages
from webapp.pages.view import FINAL, STATUSES
from webapp.pages.view import notices as attention
from webapp.pages.words import rule_sentences
from webapp.services import evidence
from webapp.services import runs as service

Answer = Any  # a page, or a page with its status, or a redirect
MOST_CHOICES = 100  # recipes in the filter; any other comes by its own page
UNMATCHED = {"unmatched_left": "left", "unmatched_right": "right"}


@blueprint.get("/runs")
def runs() -> str:
    """All runs, newest first; by recipe and status when asked."""
    app = kalla()
    recipe_id = request.args.get("recipe_id") or None
    status = request.args.get("status") or None
    status = status if status in STATUSES else None
    offset = number("offset")
    found = service.list_runs(app, recipe_id, status, PAGE, offset)
    return render_template(
        "runs.html",
        runs=found,
        recipe_id=recipe_id,
        status=status,
        statuses=list(STATUSES.items()),
        recipes=app.recipes.names(MOST_CHOICES),
        pages=pages(offset, len(found), app.runs.count(recipe_id, status)),
        live=any(run["status"] not in FINAL for run in found),
    )


@blueprint.get("/runs/<run_id>")
def run(run_id: str) -> str:
    """One run: its progress while it works, its equation and its evidence when it is done."""
    return run_page(service.get_run(kalla(), run_id))


def run_page(found: Mapping[str, Any], **more: Any) -> str:
    """The page of a run, with the outcome of what was asked of it."""
    done = found["status"] == "completed"
    recipe = found.get("recipe_snapshot") or {}
    match_sql = str(recipe.get("match_sql", ""))
    return render_template(
        "run.html",
        run=found,
        recipe=recipe,
        stored=kalla().recipes.has(found["recipe_id"]),
        sentences=rule_sentences(match_sql) if match_sql else [],
        is_open=found["status"] not in FINAL,
        attention=attention(found) if done else [],
        shown=evidence_view.shown(kalla(), found) if done else None,
        notice_words=notices.current(),
        **more,
    )


@blueprint.post("/runs/<run_id>/cancel")
def run_cancel(run_id: str) -> Answer:
    """Stop it; what it has done so far leaves no evidence."""
    try:
        service.cancel(kalla(), run_id)
    except KallaError as error:
        if error.code == "run.not_found":
            raise
        return run_page(service.get_run(kalla(), run_id), error=error), status_for(error)
    return redirect(url_for("pages.run", run_id=run_id, done="run-cancelled"), 303)


@blueprint.post("/runs/<run_id>/again")
def run_again(run_id: str) -> Answer:
    """The same recipe and sources under a new run."""
    try:
        started = service.retry(kalla(), run_id)
    except KallaError as error:
        if error.code == "run.not_found":
            raise
        return run_page(service.get_run(kalla(), run_id), error=error), status_for(error)
    return redirect(url_for("pages.run", run_id=started["run_id"]), 303)


@blueprint.post("/runs/<run_id>/verify")
def run_verify(run_id: str) -> Answer:
    """Compute every hash, count and total of the evidence again."""
    found = service.get_run(kalla(), run_id)
    try:
        result = evidence.verify(kalla(), run_id)
    except KallaError as error:
        return run_page(found, error=error), status_for(error)
    return run_page(found, verified=result)


@blueprint.get("/runs/<run_id>/<any(unmatched_left, unmatched_right):set_name>/<int:row>")
def record(run_id: str, set_name: str, row: int) -> str:
    """One unmatched record beside its nearest candidate."""
    app = kalla()
    found = service.get_run(app, run_id)
    shown = card.card(app, found, UNMATCHED[set_name], row)
    return render_template("record.html", run=found, set_name=set_name, row=row, card=shown)
