"""``/sources``: register, test, preview, upload, edit and delete the places that records come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from flask import redirect, render_template, request, url_for

from recipe import KallaError, is_alias
from webapp.context import kalla
from webapp.pages import notices, uploading
from webapp.pages.forms import Form, refused, typed, wrong
from webapp.pages.frame import blueprint, status_for
from webapp.pages.view import SOURCE_TYPES
from webapp.services import key_search, previews
from webapp.services import sources as service

Answer = Any  # a page, or a page with its status, or a redirect
FIELDS = ("alias", "source_type", "uri")
# Disposable and uploaded files are no lasting places: they are uploaded here, or for each run.
TYPES = tuple((kind, words) for kind, words in SOURCE_TYPES.items() if kind not in ("csv_upload", "file"))
PREVIEW_ROWS = 20
LISTED = 200


@blueprint.get("/sources")
def sources() -> str:
    """All sources, newest first."""
    found = service.list_sources(kalla())
    return render_template("sources.html", sources=found, upload=Form(), notice_words=notices.current())


@blueprint.get("/sources/new")
def source_new() -> str:
    """The form for a new source."""
    values = {name: request.args.get(name, "") for name in FIELDS}
    return _form_again(Form(values))


@blueprint.post("/sources")
def source_save() -> Answer:
    """Register or change a source; back to the form when it is refused."""
    values = typed()
    editing = values.get("editing", "")
    values["uri"] = service.typed_before(
        kalla(), values.get("source_type", ""), values.get("uri", ""), values.get("kept", "")
    )
    if values.get("pick"):
        return _picked_form(values)
    body = {name: values.get(name, "") for name in FIELDS}
    if values.get("action") == "list":
        return _listed_form(values, body)
    missing = {name: "This is needed." for name in FIELDS if not body[name]}
    form = wrong(values, missing, FIELDS) if missing else None
    if form is None and values.get("action") == "test":
        return _tested_form(values, body)
    if form is None and not editing and kalla().sources.get(body["alias"]) is not None:
        words = "There is a source of this name already; choose another, or edit that one."
        form = wrong(values, {"alias": words}, FIELDS)
    if form is None:
        try:
            service.put_source(kalla(), body)
        except KallaError as error:
            form = refused(values, error, FIELDS) if error.details else _beside_the_address(values, error)
    if form is not None:
        return _form_again(form), 400
    return redirect(url_for("pages.source", alias=body["alias"], done="source-saved"), 303)


def _form_again(form: Form, **more: Any) -> str:
    """The form with what was typed; a password in it comes back masked, and sealed for the next attempt."""
    shown, sealed = service.kept(kalla(), form.value("uri"))
    form = replace(form, values={**form.values, "uri": shown, "kept": sealed})
    return render_template("source_form.html", form=form, types=TYPES, alias=form.value("editing") or None, **more)


def _tested_form(values: dict[str, str], body: Mapping[str, str]) -> Answer:
    """The form again, with whether the address can be reached."""
    try:
        tested = service.test_source(kalla(), {"uri": body["uri"], "source_type": body["source_type"]})
    except KallaError as error:
        form = refused(values, error, FIELDS) if error.details else _beside_the_address(values, error)
        return _form_again(form), status_for(error)
    return _form_again(Form(values), tested=tested)


def _listed_form(values: dict[str, str], body: Mapping[str, str]) -> Answer:
    """The form again, with the tables, indexes or files of the place that is typed so far."""
    missing = {name: "This is needed." for name in ("source_type", "uri") if not body[name]}
    if missing:
        return _form_again(wrong(values, missing, FIELDS)), 400
    asked = {"uri": body["uri"], "source_type": body["source_type"], "limit": LISTED}
    try:
        listing = service.list_tables(kalla(), asked)
    except KallaError as error:
        form = refused(values, error, FIELDS) if error.details else _beside_the_address(values, error)
        return _form_again(form), status_for(error)
    return _form_again(Form(values), listing=listing)


def _picked_form(values: dict[str, str]) -> Answer:
    """The form again, with the address of what was picked from the list; a password in it is the one typed before."""
    kind, typed_uri = values.get("source_type", ""), values.get("uri", "")
    sealed = service.kept(kalla(), typed_uri)[1]
    picked = service.typed_before(kalla(), kind, values["pick"], sealed)
    return _form_again(Form({**values, "uri": picked}))


def _beside_the_address(values: dict[str, str], error: KallaError) -> Form:
    """An error about a source as a whole is nearly always one of its address."""
    words = f"{error.message} {error.hint}".strip()
    at = "uri" if error.code.startswith("source.") and error.code != "source.unsupported_type" else "source_type"
    return wrong(values, {at if error.code.startswith("source.") else "": words}, FIELDS)


@blueprint.get("/sources/<alias>")
def source(alias: str) -> str:
    """One source: where it is, its rows and key on request, who uses it."""
    return _source_page(alias)


def _source_page(alias: str, **more: Any) -> str:
    app = kalla()
    found = service.get_source(app, alias)
    used_by = app.recipes.naming_source(alias)
    return render_template("source.html", source=found, used_by=used_by, notice_words=notices.current(), **more)


@blueprint.get("/sources/<alias>/rows")
def source_rows(alias: str) -> Answer:
    """The first rows; also loaded into the source's page and the recipe form."""
    try:
        table = previews.preview_source(kalla(), alias, PREVIEW_ROWS)
    except KallaError as error:
        return render_template("source_rows.html", alias=alias, table=None, error=error), status_for(error)
    return render_template("source_rows.html", alias=alias, table=table, error=None)


@blueprint.get("/sources/<alias>/key")
def source_key(alias: str) -> Answer:
    """Which columns tell the rows apart."""
    try:
        key = key_search.primary_key(kalla(), alias)
    except KallaError as error:
        return render_template("source_key.html", alias=alias, key=None, error=error), status_for(error)
    return render_template("source_key.html", alias=alias, key=key, error=None)


@blueprint.get("/sources/<alias>/edit")
def source_edit(alias: str) -> str:
    """The form with what is stored; secrets stay masked and mean the stored ones."""
    found = service.get_source(kalla(), alias)
    values = {name: str(found[name]) for name in FIELDS}
    return render_template("source_form.html", form=Form(values), types=TYPES, alias=alias)


@blueprint.post("/sources/<alias>/test")
def source_test(alias: str) -> str:
    """Try to reach it now."""
    result = service.test_source(kalla(), {"alias": alias})
    return _source_page(alias, tested=result)


@blueprint.get("/sources/<alias>/delete")
def source_question(alias: str) -> str:
    """Asks before anything is lost."""
    found = service.get_source(kalla(), alias)
    return render_template("source_delete.html", source=found, error=None)


@blueprint.post("/sources/<alias>/delete")
def source_delete(alias: str) -> Answer:
    """Forget the address; the data itself is never touched."""
    try:
        service.delete_source(kalla(), alias)
    except KallaError as error:
        if error.code == "source.not_found":
            raise
        found = service.get_source(kalla(), alias)
        return render_template("source_delete.html", source=found, error=error), status_for(error)
    return redirect(url_for("pages.sources", done="source-deleted"), 303)


@blueprint.post("/sources/upload")
def source_upload() -> Answer:
    """Register an uploaded CSV as a source."""
    values = typed()
    try:
        s3_uri = uploading.uploaded("file", uploading.new_session())
        if s3_uri is None:
            return _upload_again(wrong(values, {"file": "Choose a file."}, ("file", "name")))
        values["file_uploaded"] = s3_uri
        name = values.get("name", "") or default_alias(s3_uri)
        if not is_alias(name):
            words = "Use letters, digits, dots, dashes and underscores only."
            return _upload_again(wrong(values, {"name": words}, ("file", "name")))
        saved = service.register_csv(kalla(), {"s3_uri": s3_uri, "original_alias": name})
    except KallaError as error:
        return _upload_again(wrong(values, {"file": f"{error.message} {error.hint}".strip()}, ("file", "name")))
    return redirect(url_for("pages.source", alias=saved["alias"], done="upload-saved"), 303)


def _upload_again(form: Form) -> Answer:
    found = service.list_sources(kalla())
    return render_template("sources.html", sources=found, upload=form, notice_words=""), 400


def default_alias(s3_uri: str) -> str:
    """A name for a file: its own, with what a name may not hold as dashes."""
    stem = PurePath(s3_uri.rpartition("/")[2]).stem
    return re.sub(r"[^\w.-]+", "-", stem).strip("-")[:200] or "file"
