"""Recipes: /api/recipes."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from webapp.context import kalla
from webapp.services import recipes
from webapp.web import schemas
from webapp.web.described import PAGING, describe
from webapp.web.requests import json_body, limit_and_offset

blueprint = Blueprint("recipes", __name__)

_PROBLEM = schemas.record({"path": schemas.TEXT, "message": schemas.TEXT, "code": schemas.TEXT})
_FOUND = schemas.record(
    {
        "valid": schemas.FLAG,
        "errors": schemas.listed(schemas.TEXT),
        "warnings": schemas.listed(schemas.TEXT),
        "details": schemas.listed(_PROBLEM),
    }
)
_MISFIT = schemas.record(
    {
        "field": schemas.TEXT,
        "source": schemas.TEXT,
        "message": schemas.TEXT,
        "suggestion": schemas.nullable(schemas.TEXT),
    }
)
_FIT = schemas.record(
    {
        "valid": schemas.FLAG,
        "errors": schemas.listed(_MISFIT),
        "warnings": schemas.listed(schemas.TEXT),
        "resolved_fields": schemas.listed(schemas.listed(schemas.TEXT, least=2, most=2)),
    }
)


@blueprint.get("/api/recipes")
@describe("Stored recipes", tag="Recipes", query=PAGING, response=schemas.listed(schemas.RECIPE))
def list_recipes() -> list[dict[str, Any]]:
    """All recipes, newest first, secrets masked."""
    return recipes.list_recipes(kalla(), *limit_and_offset())


@blueprint.post("/api/recipes")
@describe(
    "Save a recipe, in place of one with the same id",
    tag="Recipes",
    description="Checked in full; a refusal names every problem at once, each with its path and its own code.",
    request=schemas.RECIPE,
    response=schemas.SUCCESS,
    errors=("request.malformed_json", "recipe.invalid"),
)
def put_recipe() -> dict[str, Any]:
    """Create or replace."""
    return recipes.put_recipe(kalla(), json_body())


@blueprint.get("/api/recipes/<recipe_id>")
@describe("One recipe", tag="Recipes", response=schemas.RECIPE, errors=("recipe.not_found",))
def get_recipe(recipe_id: str) -> dict[str, Any]:
    """The recipe, secrets masked."""
    return recipes.get_recipe(kalla(), recipe_id)


@blueprint.delete("/api/recipes/<recipe_id>")
@describe("Delete a recipe; its runs stay", tag="Recipes", response=schemas.SUCCESS, errors=("recipe.not_found",))
def delete_recipe(recipe_id: str) -> dict[str, Any]:
    """Runs keep their snapshot of it."""
    return recipes.delete_recipe(kalla(), recipe_id)


@blueprint.post("/api/recipes/validate")
@describe(
    "Check a recipe without its sources",
    tag="Recipes",
    description="Answers 200 for an invalid recipe too.",
    request=schemas.OBJECT,
    response=_FOUND,
    errors=("request.malformed_json",),
)
def validate() -> dict[str, Any]:
    """What is wrong, and what is doubtful."""
    return recipes.validate(kalla(), json_body())


@blueprint.post("/api/recipes/validate-schema")
@describe(
    "Check a recipe against the columns of its sources",
    tag="Recipes",
    description="The columns of a disposable file are those of its schema.",
    request=schemas.RECIPE,
    response=_FIT,
    errors=("request.malformed_json", "recipe.invalid", "source.unreachable", "source.access_denied"),
)
def validate_schema() -> dict[str, Any]:
    """Which columns were found, and which were not, with the nearest names."""
    return recipes.validate_schema(kalla(), json_body())
