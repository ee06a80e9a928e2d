"""Recipe documents as they come out of the database."""

from __future__ import annotations

from collections.abc import Mapping
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
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: (_PLACES.get(name, len(_PLACES)), name))
        return {name: in_order(value[name]) for name in names}
    if isinstance(value, list | tuple):
        return [in_order(item) for item in value]
    return value
