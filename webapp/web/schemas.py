"""JSON Schemas that descriptions of endpoints share (``webapp.web.described``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

ANY: Schema = {}
TEXT: Schema = {"type": "string"}
FILLED: Schema = {"type": "string", "minLength": 1}
WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
UUID: Schema = {"type": "string", "format": "uuid"}
OBJECT: Schema = {"type": "object"}

# Components of the document, for what many endpoints speak of.
ERROR: Schema = {"$ref": "#/components/schemas/Error"}
RECIPE: Schema = {"$ref": "#/components/schemas/Recipe"}
CONDITION: Schema = {"$ref": "#/components/schemas/FilterCondition"}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return schema | {"type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def listed(items: Schema, *, least: int | None = None, most: int | None = None) -> Schema:
    """A list of such items."""
    limits = {"minItems": least, "maxItems": most}
    return {"type": "array", "items": items} | {name: limit for name, limit in limits.items() if limit is not None}


def one_of(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these members; further ones are allowed, as contract 2.1 says of responses."""
    return {"type": "object", "properties": dict(required) | dict(optional or {}), "required": list(required)}


SUCCESS: Schema = record({"success": FLAG, "message": TEXT})
COLUMN: Schema = record({"name": TEXT, "data_type": TEXT, "nullable": FLAG})
ROWS: Schema = record(
    {
        "alias": TEXT,
        "columns": listed(COLUMN),
        "rows": listed(listed(nullable(TEXT))),
        "total_rows": COUNT,
        "preview_rows": COUNT,
    }
)
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": 1000}
OFFSET: Schema = {"type": "integer", "minimum": 0}
