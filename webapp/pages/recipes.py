"""``/recipes``: what belongs together, in plain words first; run it, check it, edit it, delete it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import redirect, render_template, url_for

from recipe import KallaError, read_json, write_json
from webapp.context import kalla
from webapp.pages import notices, running
from webapp.pages.forms import Form, refused, typed, wrong
from webapp.pages.frame import blueprint, status_for
from webapp.pages.paging import PAGE, number, pages
from webapp.pages.words import rule_sentences
from webapp.services import recipes as service
from webapp.services import runs as run_service

Answer = Any  # a page, or a page with its status, or a redirect
PAST_RUNS = 10


@blueprint.get("/recipes")
def recipes() -> str:
    """All recipes, newest first, each with its last run."""
    app = kalla()
    offset = number("offset")
    found = service.list_recipes(app, limit=PAGE, offset=offset)
    newest = app.runs.last_of_recipe([recipe["recipe_id"] for recipe in found])
    last = {recipe_id: run_service.summary_body(summary) for recipe_id, summary in newest.items()}
    return render_template(
        "recipes.html",
        recipes=found,
        last=last,
        pages=pages(offset, len(found), app.recipes.count()),
        notice_words=notices.current(),
    )


@blueprint.get("/recipes/<recipe_id>")
def recipe(recipe_id: str) -> str:
    """One recipe: words, sources, keys, past runs, and the form to run it."""
    return recipe_page(service.get_recipe(kalla(), recipe_id), Form())


def recipe_page(document: Mapping[str, Any], form: Form, **more: Any) -> str:
    """The page of a recipe; ``form`` is the one that runs it."""
    app = kalla()
    past = run_service.list_runs(app, recipe_id=document["recipe_id"], limit=PAST_RUNS)
    return render_template(
        "recipe.html",
        recipe=document,
        sentences=rule_sentences(document["match_sql"]),
        document=write_json(document, indent=2),
        runs=past,
        run_count=app.runs.count(recipe_id=document["recipe_id"]),
        form=form,
        operators=running.OPERATORS,
        filter_rows=running.FILTER_ROWS,
        conditions={side: running.filters_in_words(document["sources"][side]) for side in running.SIDES},
        notice_words=notices.current(),
        **more,
    )


@blueprint.post("/recipes/<recipe_id>/runs")
def recipe_run(recipe_id: str) -> Answer:
    """Start a run; back to the recipe when something is missing."""
    document = service.get_recipe(kalla(), recipe_id)
    values = typed()
    body: dict[str, Any] = {}
    try:
        body, problems = running.run_body(document, values)
        if problems:
            return recipe_page(document, wrong(values, problems, running.fields(document))), 400
        started = run_service.submit(kalla(), body)
    except KallaError as error:
        beside = running.beside(error, values)
        if beside is None:
            form = refused(values, error, running.fields(document), running.names(document, body))
        else:
            form = wrong(values, {beside: f"{error.message} {error.hint}".strip()}, running.fields(document))
        return recipe_page(document, form), status_for(error)
    return redirect(url_for("pages.run", run_id=started["run_id"]), 303)


@blueprint.post("/recipes/<recipe_id>/check")
def recipe_check(recipe_id: str) -> Answer:
    """Compare the recipe with its sources as they are now."""
    document = service.get_recipe(kalla(), recipe_id)
    try:
        result = service.validate_schema(kalla(), document)
    except KallaError as error:
        return recipe_page(document, Form(), error=error), status_for(error)
    return recipe_page(document, Form(), checked=result)


@blueprint.get("/recipes/<recipe_id>/edit")
def recipe_edit(recipe_id: str) -> str:
    """The recipe as a document; secrets stay masked and mean the stored ones."""
    document = service.get_recipe(kalla(), recipe_id)
    return render_template(
        "recipe_edit.html", recipe_id=recipe_id, form=Form({"document": write_json(document, indent=2)})
    )


@blueprint.post("/recipes/<recipe_id>/edit")
def recipe_save(recipe_id: str) -> Answer:
    """Store the document; another id would be another recipe."""
    values = typed()
    try:
        document = read_json(values.get("document", ""), "The recipe")
        if not isinstance(document, dict) or document.get("recipe_id") != recipe_id:
            words = f"recipe_id must stay {recipe_id}; another id would be another recipe."
            form = wrong(values, {"document": words}, ("document",))
        else:
            service.put_recipe(kalla(), document)
            return redirect(url_for("pages.recipe", recipe_id=recipe_id, done="recipe-saved"), 303)
    except KallaError as error:
        form = refused(values, error, ("document",), {} if error.details else {"": "document"})
    return render_template("recipe_edit.html", recipe_id=recipe_id, form=form), 400


@blueprint.get("/recipes/<recipe_id>/delete")
def recipe_question(recipe_id: str) -> str:
    """Asks before anything is lost."""
    app = kalla()
    document = service.get_recipe(app, recipe_id)
    return render_template("recipe_delete.html", recipe=document, runs=app.runs.count(recipe_id=recipe_id))


@blueprint.post("/recipes/<recipe_id>/delete")
def recipe_delete(recipe_id: str) -> Answer:
    """Forget the recipe; its runs keep theirs."""
    service.delete_recipe(kalla(), recipe_id)
    return redirect(url_for("pages.recipes", done="recipe-deleted"), 303)
