"""The pages for people: plain HTML from the server, small JavaScript modules beside it."""

from __future__ import annotations

from webapp.pages import dashboard, recipe_form, recipes, reconcile, runs, sources
from webapp.pages.frame import blueprint

__all__ = ["blueprint", "dashboard", "recipe_form", "recipes", "reconcile", "runs", "sources"]
