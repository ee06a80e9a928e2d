"""Where each tool is done. ``execute`` checks the input, calls it, and turns what people can mend into a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from recipe import KallaError, mask_text
from webapp.agent.context import ToolContext, ToolError
from webapp.agent.tools import SPECS
from webapp.stores.masking import mask_all

_MOST_PROBLEMS = 8
# name -> module; the function has the tool's name. Loaded on use: together they bring the whole engine.
_TABLE: Mapping[str, str] = {
    "list_sources": "sources",
    "get_source_preview": "sources",
    "request_file_upload": "sources",
    "load_scoped": "sources",
    "propose_match": "pairs",
    "infer_rules": "pairs",
    "build_recipe": "recipe",
    "save_recipe": "recipe",
    "validate_recipe": "recipe",
    "run_sample": "runs",
    "run_full": "runs",
}


def _function(name: str) -> Callable[[ToolContext, Any], Any]:
    found: Callable[[ToolContext, Any], Any] = getattr(import_module(f"webapp.agent.tools_{_TABLE[name]}"), name)
    return found


def execute(context: ToolContext, name: str, given: Mapping[str, Any]) -> Any:
    """The tool's output, masked. Raises ToolError with a sentence for the driver."""
    try:
        checked = SPECS[name].model.model_validate(given)
    except ValidationError as error:
        raise ToolError(_wrong_input(error)) from None
    try:
        return mask_all(_function(name)(context, checked))
    except ToolError as error:
        raise ToolError(mask_text(error.sentence)) from None
    except KallaError as error:
        raise ToolError(mask_text(f"{error.message} {error.hint}".strip())) from None


def _wrong_input(error: ValidationError) -> str:
    problems = [f"{'.'.join(map(str, e['loc'])) or 'input'}: {e['msg']}" for e in error.errors(include_url=False)]
    return "The input does not have the form that the tool takes: " + "; ".join(problems[:_MOST_PROBLEMS]) + "."
