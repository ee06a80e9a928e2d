"""What the single steps of /api/ai take, and the forms that the model fills in for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST_ROWS = 1000
Filled = Annotated[str, Field(min_length=1, max_length=255)]
Sentence = Annotated[str, Field(min_length=1, max_length=4000)]
Share = Annotated[float, Field(ge=0, le=1)]
Sample = Annotated[list[dict[str, Any]], Field(max_length=MOST_ROWS)]
SourceName = Literal["a", "b"]


class _Given(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Schema(_Given):
    """A source: its alias and columns, given as names or as ``{name, data_type}``."""

    alias: Filled
    columns: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=2000)]

    @field_validator("columns", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if not isinstance(value, list):
            return value
        named = [{"name": column} if isinstance(column, str) else column for column in value]
        if not all(isinstance(c, Mapping) and isinstance(c.get("name"), str) and c["name"] for c in named):
            raise ValueError("each must be a name or an object with a name")
        if len({c["name"] for c in named}) != len(named):
            raise ValueError("names must differ")
        return named

    @property
    def names(self) -> list[str]:
        return [str(column["name"]) for column in self.columns]


class Mapped(_Given):
    """A column of a that corresponds to one of b."""

    field_a: Filled
    field_b: Filled


class _BothSchemas(_Given):
    schema_a: Schema
    schema_b: Schema


class DetectFieldMappings(_BothSchemas):
    sample_a: Sample | None = None
    sample_b: Sample | None = None


class ParseNlFilter(_BothSchemas):
    text: Sentence
    current_mappings: list[Mapped] = []


class InferRules(_BothSchemas):
    sample_a: Sample
    sample_b: Sample
    mappings: list[Mapped]


class Aliases(_Given):
    alias_a: Filled
    alias_b: Filled


class Keys(_Given):
    source_a: Annotated[list[Filled], Field(min_length=1, max_length=16)]
    source_b: Annotated[list[Filled], Field(min_length=1, max_length=16)]


class BuildRecipe(_Given):
    rules: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=100)]
    sources: Aliases
    primary_keys: Keys
    pattern_type: Filled


class NlToSql(_BothSchemas):
    text: Sentence
    mappings: list[Mapped] = []


class PreviewMatch(_BothSchemas):
    match_sql: Annotated[str, Field(min_length=1, max_length=65_536)]
    sample_a: Sample
    sample_b: Sample
    primary_keys: Keys
    rules: list[dict[str, Any]] | None = None


INPUTS: Mapping[str, type[BaseModel]] = {
    "detect_field_mappings": DetectFieldMappings,
    "parse_nl_filter": ParseNlFilter,
    "infer_rules": InferRules,
    "build_recipe": BuildRecipe,
    "nl_to_sql": NlToSql,
    "preview_match": PreviewMatch,
}


# --- forms ---------------------------------------------------------------------------------------------


class FoundMapping(_Given):
    field_a: Filled
    field_b: Filled
    confidence: Share
    reason: Sentence


class SuggestedFilter(_Given):
    type: Filled
    field_a: Filled
    field_b: Filled


class Mappings(_Given):
    mappings: list[FoundMapping]
    suggested_filters: list[SuggestedFilter] = []


class FoundFilter(_Given):
    source: SourceName
    column: Filled
    op: Filled
    value: Any


class Filters(_Given):
    filters: list[FoundFilter]
    explanation: Sentence


class Pattern(_Given):
    type: Literal["1:1", "1:n", "n:1", "n:m"]
    description: Sentence
    confidence: Share


class FoundRule(_Given):
    name: Filled
    sql: Sentence
    description: Sentence
    confidence: Share
    evidence: Any = ""


class Rules(_Given):
    pattern: Pattern
    primary_keys: Keys
    rules: Annotated[list[FoundRule], Field(min_length=1)]


class RecipeSql(_Given):
    match_sql: Annotated[str, Field(min_length=1, max_length=65_536)]
    explanation: Sentence


class Expression(_Given):
    name: Filled
    sql: Sentence
    description: Sentence
    confidence: Share


@dataclass(frozen=True)
class Form:
    """What the model is asked, and what it fills in."""

    question: str
    model: type[BaseModel]


FORMS: Mapping[str, Form] = {
    "detect_field_mappings": Form(
        "Say which column of a corresponds to which column of b, each at most once, and which pairs of date or status "
        "columns are worth filtering by.",
        Mappings,
    ),
    "parse_nl_filter": Form(
        "Turn the text into filters {source, column, op, value}. op is eq, neq, gt, gte, lt, lte, between (two "
        "values), in (a list) or like (% and _). Dates in ISO form.",
        Filters,
    ),
    "infer_rules": Form(
        "Say how rows of a and b belong together: the pattern, columns that tell the rows of each source apart, and "
        "rules, each an SQL condition over l. and r.",
        Rules,
    ),
    "build_recipe": Form("Write the match_sql that joins left_src l and right_src r by these rules.", RecipeSql),
    "nl_to_sql": Form("Turn the text into one SQL condition over columns of l and r.", Expression),
}
