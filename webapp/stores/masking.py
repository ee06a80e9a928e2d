"""Masking of whole JSON values before they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe import mask_text, mask_uri


def mask_all(value: Any) -> Any:
    """``value`` with every address in its texts masked; other values stay as they are."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {key: mask_all(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [mask_all(item) for item in value]
    return value


def mask_recipe(document: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe document with the addresses of its sources masked; masking twice changes nothing."""
    sources = document.get("sources")
    if not isinstance(sources, Mapping):
        return dict(document)
    return {**document, "sources": {side: _mask_source(source) for side, source in sources.items()}}


def _mask_source(source: Any) -> Any:
    if isinstance(source, Mapping) and isinstance(source.get("uri"), str):
        return {**source, "uri": mask_uri(source["uri"])}
    return source
