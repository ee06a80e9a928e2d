"""What a tool is to a driver: a name, what it does, and the form of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict


class ToolInput(BaseModel):
    """The input of a tool. Unknown members are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", strict=False, arbitrary_types_allowed=True)


@dataclass(frozen=True)
class ToolSpec:
    """A tool as drivers see it."""

    name: str
    description: str
    model: type[ToolInput]
    words: str  # for people while it works: "Reading the source"

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its input."""
        found = self.model.model_json_schema()
        return {name: value for name, value in found.items() if name != "title"}
