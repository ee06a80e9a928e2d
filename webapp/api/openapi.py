"""The API's own description: an OpenAPI 3.1 document made from the descriptions of all endpoints, and a page of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from flask import Blueprint, current_app, render_template
from werkzeug.routing import Rule

from recipe import recipe_json_schema
from webapp.errors import status_of
from webapp.web import schemas
from webapp.web.described import Described, describe, description_of

blueprint = Blueprint("openapi", __name__, template_folder="templates")

_METHODS = ("GET", "POST", "PUT", "DELETE")
_PART = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
# What any endpoint may answer besides its own errors.
_ALWAYS = ("database.unavailable", "storage.full", "internal.error")
_GUARDED = ("auth.required", "auth.host_refused", "auth.too_many_attempts")
_CHANGING = ("auth.origin_refused", "request.too_large")
_TAGS = ("Health", "Sources", "Recipes", "Runs", "Evidence", "Uploads", "Chat", "AI", "Runner", "API")


@blueprint.get("/api/openapi.json")
@describe("This document", tag="API", response=schemas.OBJECT)
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, described in endpoints():
        paths.setdefault(_PART.sub(r"{\1}", rule.rule), {})[method.lower()] = _operation(rule, method, described)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kalla", "version": version("kalla"), "description": "Reconciliation of two sources."},
        "tags": [{"name": name} for name in _TAGS],
        "security": [{"bearer": []}, {"session": []}, {}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _components(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "kalla_session"},
            },
        },
    }


@blueprint.get("/api/docs")
@describe("The API, readable", tag="API", media=("text/html",))
def page() -> str:
    """Every endpoint with what it takes and gives."""
    groups: dict[str, list[tuple[str, str, Described, dict[int, list[str]]]]] = {name: [] for name in _TAGS}
    for rule, method, described in endpoints():
        entry = (method, _PART.sub(r"{\1}", rule.rule), described, _errors(method, described))
        groups.setdefault(described.tag, []).append(entry)
    return render_template("api_docs.html", groups={name: found for name, found in groups.items() if found})


def endpoints() -> Iterator[tuple[Rule, str, Described]]:
    """Every described endpoint of the running app, by path."""
    for rule in sorted(current_app.url_map.iter_rules(), key=lambda rule: rule.rule):
        described = description_of(current_app.view_functions[rule.endpoint])
        if described is not None:
            for method in _METHODS:
                if method in (rule.methods or ()):
                    yield rule, method, described


def _operation(rule: Rule, method: str, described: Described) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": rule.endpoint.replace(".", "_"),
        "summary": described.summary,
        "tags": [described.tag],
        "responses": _responses(method, described),
    }
    if described.description:
        found["description"] = described.description
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": described.path.get(name, schemas.FILLED)}
        for name in _PART.findall(rule.rule)
    ]
    parameters += [
        {"name": q.name, "in": "query", "required": q.required, "description": q.description, "schema": q.schema}
        for q in described.query
    ]
    if parameters:
        found["parameters"] = parameters
    if described.request is not None:
        content = {described.request_media: {"schema": described.request}}
        found["requestBody"] = {"required": bool(described.request.get("required")), "content": content}
    if described.is_open:
        found["security"] = []
    return found


def _responses(method: str, described: Described) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(described.status).phrase}
    if described.status not in (204, 303):
        is_json = described.media == ("application/json",)
        schema = described.response if is_json else schemas.TEXT
        good["content"] = {media: {"schema": schema or {}} for media in described.media}
    responses = {str(described.status): good}
    for status, codes in sorted(_errors(method, described).items()):
        error = {"description": ", ".join(codes), "content": {"application/json": {"schema": schemas.ERROR}}}
        responses.setdefault(str(status), error)
    other = {"description": "any other error", "content": {"application/json": {"schema": schemas.ERROR}}}
    return responses | {"default": other}


def _errors(method: str, described: Described) -> dict[int, list[str]]:
    """Error codes by HTTP status: the endpoint's own, then those that any may have."""
    codes = [*described.errors, *_ALWAYS]
    if not described.is_open:
        codes += _GUARDED
    if method != "GET":
        codes += _CHANGING
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(_status(code), []).append(code)
    return by_status


def _status(code: str) -> int:
    return {"upload.link_used": 409, "upload.link_expired": 403, "upload.link_invalid": 403}.get(code) or status_of(
        code
    )


@lru_cache(maxsize=1)
def _components() -> dict[str, Any]:
    whole = _moved(recipe_json_schema())
    parts = whole.pop("$defs")
    problem = schemas.record({"path": schemas.TEXT, "message": schemas.TEXT}, {"code": schemas.TEXT})
    error = schemas.record(
        {"error": schemas.TEXT | {"description": "one sentence for people"}, "code": schemas.TEXT},
        {"details": schemas.listed(problem | {"required": []})},
    )
    return {"Error": error, "Recipe": whole, **parts}


def _moved(value: Any) -> Any:
    """A JSON Schema whose references point into the document's components."""
    if isinstance(value, dict):
        moved = {name: _moved(member) for name, member in value.items()}
        if isinstance(moved.get("$ref"), str):
            moved["$ref"] = moved["$ref"].replace("#/$defs/", "#/components/schemas/")
        mapping = moved.get("mapping")
        if isinstance(mapping, dict):
            moved["mapping"] = {n: str(t).replace("#/$defs/", "#/components/schemas/") for n, t in mapping.items()}
        return moved
    return [_moved(item) for item in value] if isinstance(value, list) else value
