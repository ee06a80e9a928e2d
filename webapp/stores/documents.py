"""Recipe documents as they come out of the database."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

# Members of a recipe document in the order of the contract. A name means the same wherever it stands.
_MEMBERS = (
    *("recipe_id", "name", "description", "match_sql", "match_description", "sources", "left", "right"),
    *("alias", "type", "uri", "primary_key", "schema", "format", "filters"),
    *("delimiter", "encoding", "decimal", "thousands", "date_order", "ragged"),
    *("column", "op", "value"),
)
_PLACES = {name: place for place, name in enumerate(_MEMBERS)}


def in_order(value: Any) -> Any:
    """``value``, a recipe document or a part of one, with its members in the contract's order: jsonb keeps none."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in _ordered(tuple(value))}
    if isinstance(value, list | tuple):
        return [in_order(item) for item in value]
    return value


@lru_cache(256)  # documents have the same members over and over
def _ordered(names: tuple[str, ...]) -> list[str]:
    return sorted(names, key=lambda name: (_PLACES.get(name, len(_PLACES)), name))
