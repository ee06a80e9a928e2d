"""Tools that make, check and keep the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any

from recipe import KallaError, Problem, dump_recipe
from webapp.agent.cards import withdraw
from webapp.agent.context import ToolContext, ToolError
from webapp.agent.places import insight_of
from webapp.agent.rule_card import rule_card
from webapp.agent.session import SIDES, Place, Session
from webapp.agent.tools import BuildRecipe, SaveRecipe, ValidateRecipe
from webapp.inference import Table
from webapp.services import recipes
from webapp.services.addresses import check_address, concrete_type
from webapp.services.columns import fit
from webapp.services.previews import stored
from webapp.services.recipe_checks import check_document, resolved

_CSV_TYPES = ("csv", "csv_upload", "file")


def build_recipe(context: ToolContext, given: BuildRecipe) -> dict[str, Any]:
    """The draft, checked in full against both sources, and a card that says its rule in words."""
    session, app = context.session, context.app
    insight = insight_of(app, session)
    tables = {"left": insight.left, "right": insight.right}
    keys = {"left": given.left_pk, "right": given.right_pk}
    each_run = {"left": given.left_upload_each_run, "right": given.right_upload_each_run}
    document = {
        "recipe_id": _recipe_id(session, given.name),
        "name": given.name.strip(),
        "description": given.description,
        "match_sql": given.match_sql,
        "match_description": given.match_description,
        "sources": {
            side: _source(context, side, tables[side], keys[side], each_run[side], given.keep_filters) for side in SIDES
        },
    }
    checked = check_document(app, document, is_saved=True)
    problems = [_sentence(p) for p in checked.problems]
    if not problems:
        problems = _unfit(context, document)
    if problems:
        raise ToolError("The recipe cannot be used: " + " ".join(_ended(p) for p in problems))
    assert insight.analysis is not None, "the sources have been checked"
    draft = dump_recipe(checked.require(), mask=True)
    session.clear_from("inference")
    session.recipe_draft = draft
    session.title = draft["name"]
    withdraw(session, "rule_summary", "result_summary", "confirm")
    found = rule_card(session, insight.analysis, draft["match_sql"], keys)
    about = {name: draft[name] for name in ("name", "match_sql", "match_description")}
    context.show("rule_summary", {**about, "primary_keys": keys, **found})
    figures = {"figures": found["figures"], "ambiguities": found["ambiguities"]}
    return {**draft, **figures, "warnings": [_sentence(p) for p in checked.warnings]}


def _recipe_id(session: Session, name: str) -> str:
    """The draft's own, or a new one."""
    if session.recipe_draft is not None:
        return str(session.recipe_draft["recipe_id"])
    return f"{recipes.slug(name) or 'recipe'}-{token_hex(4)}"


def _source(
    context: ToolContext, side: str, table: Table | None, key: Sequence[str], each_run: bool, keep_filters: bool
) -> dict[str, Any]:
    """One side as the session knows it. A registered source keeps its address in its own table."""
    place = context.session.place(side)
    if place is None or table is None:
        raise ToolError(f"The {side} source is not known.")
    kind = "file" if place.is_upload and each_run else place.source_type
    if not place.is_upload and kind == "file":
        kind = _registered_kind(context, place)
    source: dict[str, Any] = {"alias": place.alias, "type": kind, "primary_key": list(key)}
    if place.is_upload:
        source["schema"] = place.column_names
        if kind != "file":
            source["uri"] = place.uri
    if _is_csv(context, place, kind):
        source["format"] = table.format.model_dump(mode="json", include={"decimal", "thousands", "date_order"})
    scope = context.session.scope(side)
    if keep_filters and scope:
        source["filters"] = scope
    return source


def _registered_kind(context: ToolContext, place: Place) -> str:
    """A recipe knows a registered ``file`` by what it holds."""
    record = stored(context.app, place.alias)
    return concrete_type("file", check_address(context.app, "file", record.uri, registering=True))


def _is_csv(context: ToolContext, place: Place, kind: str) -> bool:
    if place.is_upload:
        return place.source_type == "csv_upload"
    if kind not in (*_CSV_TYPES, "s3"):
        return False
    record = stored(context.app, place.alias)
    address = check_address(context.app, record.source_type, record.uri, registering=record.source_type == "file")
    return concrete_type(record.source_type, address) == "csv"


def _unfit(context: ToolContext, document: Mapping[str, Any]) -> list[str]:
    """What does not fit the columns of the live sources."""
    recipe = check_document(context.app, document, is_saved=True).require()
    found = fit(context.app, resolved(context.app, recipe))
    return [f"{error['field']}: {error['message']}" for error in found["errors"]]


def _sentence(problem: Problem) -> str:
    return f"{problem.path}: {problem.message}" if problem.path else problem.message


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def save_recipe(context: ToolContext, given: SaveRecipe) -> dict[str, Any]:
    """Store the draft. Another id must be a new one: nothing of somebody else's is replaced."""
    session, app = context.session, context.app
    draft = _draft(session)
    if given.recipe_id is not None and given.recipe_id != draft["recipe_id"]:
        if app.recipes.get(given.recipe_id) is not None:
            raise ToolError(f"There is another recipe with the id {given.recipe_id!r}. Leave the id out.")
        draft = {**draft, "recipe_id": given.recipe_id}
    answer = recipes.put_recipe(app, draft)
    session.recipe_draft = draft
    session.working.saved = True
    if session.status == "active":
        session.status = "recipe_ready"
    return {**answer, "recipe_id": draft["recipe_id"]}


def validate_recipe(context: ToolContext, given: ValidateRecipe) -> dict[str, Any]:
    """Everything that is wrong with the draft, the columns of its live sources included."""
    draft = _draft(context.session)
    found = recipes.validate(context.app, draft)
    if not found["valid"]:
        return {name: found[name] for name in ("valid", "errors", "warnings")}
    try:
        live = recipes.validate_schema(context.app, draft)
    except KallaError as error:
        return {"valid": False, "errors": [f"{error.message} {error.hint}".strip()], "warnings": found["warnings"]}
    errors = [f"{error['field']}: {error['message']}" for error in live["errors"]]
    return {"valid": not errors, "errors": errors, "warnings": live["warnings"]}


def _draft(session: Session) -> dict[str, Any]:
    if session.recipe_draft is None:
        raise ToolError("There is no draft yet. Build the recipe first.")
    return session.recipe_draft
