"""Recipes: stored, listed, checked in full, and checked against the columns of their sources (contract 2.3)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from recipe import Problem, dump_recipe
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.services import note
from webapp.services.columns import fit
from webapp.services.recipe_checks import check_document, resolved


def list_recipes(app: Kalla, limit: int = 1000, offset: int = 0) -> list[dict[str, Any]]:
    """Stored recipes, masked, newest first."""
    return [record.document for record in app.recipes.list(limit, offset, masked=True)]


def get_recipe(app: Kalla, recipe_id: str) -> dict[str, Any]:
    """One recipe, masked. Raises ServiceError ``recipe.not_found``."""
    record = app.recipes.get(recipe_id, masked=True)
    if record is None:
        raise _not_found(recipe_id)
    return record.document


def put_recipe(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """Save a recipe, in place of one with the same id. Raises RecipeError ``recipe.invalid``."""
    recipe = check_document(app, body, is_saved=True).require()
    app.recipes.put(dump_recipe(recipe))
    note(app, "recipe.save", recipe.recipe_id)
    return {"success": True, "message": "Recipe saved"}


def delete_recipe(app: Kalla, recipe_id: str) -> dict[str, Any]:
    """Delete a recipe; its runs stay. Raises ServiceError ``recipe.not_found``."""
    if not app.recipes.delete(recipe_id):
        raise _not_found(recipe_id)
    note(app, "recipe.delete", recipe_id)
    return {"success": True, "message": "Recipe deleted"}


def validate(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is wrong with a document, as an answer rather than an error."""
    checked = check_document(app, body, is_saved=True)
    return {
        "valid": checked.recipe is not None,
        "errors": [_sentence(p) for p in checked.problems],
        "warnings": [_sentence(p) for p in checked.warnings],
        "details": [p.as_dict() for p in checked.problems],
    }


def slug(name: str) -> str:
    """An id made from a name: plain letters, digits and dashes; "" when the name has none.

    >>> slug("Ledger vs. Bank, März")
    'ledger-vs-bank-marz'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80]


def stored_document(app: Kalla, recipe_id: str) -> dict[str, Any]:
    """The stored document with its secrets. Raises ServiceError ``recipe.not_found``."""
    record = app.recipes.get(recipe_id)
    if record is None:
        raise _not_found(recipe_id)
    return record.document


def _not_found(recipe_id: str) -> ServiceError:
    return ServiceError(f"Recipe '{recipe_id[:255]}' was not found.", code="recipe.not_found")


def _sentence(problem: Problem) -> str:
    return f"{problem.path}: {problem.message}" if problem.path else problem.message


def validate_schema(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a recipe fits the columns of its live sources; those of a disposable file are its ``schema``.

    Raises RecipeError ``recipe.invalid``, ConnectorError ``source.unreachable``.
    """
    checked = check_document(app, body, is_saved=True)
    found = fit(app, resolved(app, checked.require()))
    return {**found, "warnings": [*dict.fromkeys([*map(_sentence, checked.warnings), *found["warnings"]])]}
