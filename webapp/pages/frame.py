"""The blueprint of all pages, and what every template may use: assets, filters, the navigation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import flask
from flask import Blueprint, g, request
from flask.blueprints import BlueprintSetupState

from recipe import KallaError
from webapp.errors import ServiceError, status_of
from webapp.pages import view

blueprint = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/assets")

# area of the path, words, endpoint
NAVIGATION = (
    ("", "Dashboard", "pages.dashboard"),
    ("sources", "Data Sources", "pages.sources"),
    ("reconcile", "New Reconciliation", "pages.reconcile"),
    ("runs", "Run History", "pages.runs"),
    ("recipes", "Recipes", "pages.recipes"),
)


def url_for(endpoint: str, **values: Any) -> str:
    """What Flask's ``url_for`` gives, remembered: a page holds dozens of links, and most stand on every page."""
    if endpoint.startswith("."):  # means another page in another blueprint
        return flask.url_for(endpoint, **values)
    return _address(request.script_root, endpoint, tuple(values.items()))


@lru_cache(maxsize=2048)
def _address(script_root: str, endpoint: str, values: tuple[tuple[str, Any], ...]) -> str:
    # The root is part of the key because it is part of the address; nothing else of a request is.
    return flask.url_for(endpoint, **dict(values))


@lru_cache(maxsize=64)
def _version(name: str) -> str:
    return hashlib.sha256((Path(__file__).parent / "static" / name).read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """The address of a static file; it changes with the content, so that browsers may keep it."""
    return url_for("pages.static", filename=name, v=_version(name))


def status_for(error: KallaError) -> int:
    """The HTTP status of a page that shows an error in its place."""
    return error.status if isinstance(error, ServiceError) else status_of(error.code)


def _area() -> str:
    path = request.path.strip("/")
    return "reconcile" if path.startswith("recipes/new") else path.partition("/")[0]


def took(run: Mapping[str, Any]) -> str:
    """How long a run took, from its first report to its last."""
    return view.duration(view.seconds(run.get("started_at") or run.get("created_at"), run.get("completed_at")))


@blueprint.app_context_processor
def _frame() -> dict[str, Any]:
    signed_in = g.get("actor") == "session"
    return {"asset": asset, "navigation": NAVIGATION, "current_area": _area(), "signed_in": signed_in}


@blueprint.record_once
def _links(state: BlueprintSetupState) -> None:
    state.app.jinja_env.globals["url_for"] = url_for  # of macros too, which see no context


_FILTERS: dict[str, Callable[..., Any]] = {
    "count": view.count,
    "rate": view.rate,
    "verdict": view.verdict,
    "in_words": view.in_words,
    "plural": view.plural,
    "moment": view.moment,
    "iso": view.iso,
    "took": took,
    "verdict_kind": lambda word: view.VERDICTS.get(word, ""),
    "status_words": lambda status: view.STATUSES.get(status, status),
    "source_status_words": lambda status: view.SOURCE_STATUSES.get(status, status),
    "type_words": lambda kind: view.SOURCE_TYPES.get(kind, kind),
    "set_words": lambda name: view.SETS.get(name, name),
    "stage_words": lambda stage: view.STAGES.get(stage, stage),
}
for _name, _function in _FILTERS.items():
    blueprint.add_app_template_filter(_function, _name)
blueprint.add_app_template_test(view.is_amount, "amount")
