"""Single steps of recipe building by the model: /api/ai (contract 2.7)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from webapp.context import kalla
from webapp.web import schemas
from webapp.web.chat_limit import check_rate
from webapp.web.described import describe
from webapp.web.requests import json_body

blueprint = Blueprint("ai", __name__)

TOOLS = (*("detect_field_mappings", "parse_nl_filter", "infer_rules", "build_recipe", "nl_to_sql", "preview_match"),)


@blueprint.post("/api/ai")
@describe(
    "One step of recipe building by the model",
    tag="AI",
    description=(
        f"tool is one of {', '.join(TOOLS)}. What the model answers is checked before it is returned, and asked for "
        "again once; preview_match is computed by the engine. Needs ANTHROPIC_API_KEY."
    ),
    request=schemas.record({"tool": schemas.TEXT, "input": schemas.ANY}),
    response=schemas.record({"result": schemas.OBJECT}),
    errors=(
        "request.malformed_json",
        "request.invalid_body",
        "ai.unknown_tool",
        "ai.not_configured",
        "ai.model_failed",
        "chat.too_many_messages",
    ),
)
def answer() -> dict[str, Any]:
    """The result of the tool."""
    from webapp.services import ai  # brings the engine, which the first page should not wait for

    check_rate()
    return ai.answer(kalla(), json_body())
