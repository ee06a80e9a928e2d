"""The tools of contract 4.2 as a driver sees them, and where each is done."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from webapp.agent.specs import ToolInput, ToolSpec

Side = Literal["left", "right"]
Filled = Annotated[str, Field(min_length=1, max_length=255)]
Sentence = Annotated[str, Field(min_length=1, max_length=4000)]
Names = Annotated[list[Filled], Field(min_length=1, max_length=64)]
# Which row of a sample: its number there, or the row itself (as many of its fields as tell it apart).
RowRef = int | dict[str, str | int | Decimal | None]


class ListSources(ToolInput):
    """No input."""


class GetSourcePreview(ToolInput):
    """Which source to look at."""

    alias: Filled | None = Field(None, description="a registered source or an attached file")
    s3_uri: Filled | None = Field(None, description="an attached file by its address, in place of alias")
    limit: Annotated[int, Field(ge=1, description="rows, cut to 100")] = 10
    side: Side | None = Field(None, description="the side that it is to be; without it the first free one")


class RequestFileUpload(ToolInput):
    """What to ask for."""

    message: Sentence
    side: Side | None = None


class LoadScoped(ToolInput):
    """Which rows the sample is taken from."""

    alias: Filled
    conditions: list[dict[str, Any]] = Field(
        description="filters {column, op, value}, joined with AND; op is eq, neq, gt, gte, lt, lte, between, in or "
        "like; [] for all rows"
    )
    limit: Annotated[int, Field(ge=1, description="rows of the sample, cut to 1000")] = 200


class ProposeMatch(ToolInput):
    """The pair to ask about."""

    left_row: RowRef = Field(description="number of the row in the left sample, or the row with its fields")
    right_row: RowRef = Field(description="number of the row in the right sample, or the row with its fields")
    reasoning: Sentence = Field(description="why they may belong together, for the person, in one sentence")


class InferRules(ToolInput):
    """Columns to compare."""

    left_columns: Names
    right_columns: Names


class BuildRecipe(ToolInput):
    """What the recipe does. Sources and their addresses come from the conversation."""

    name: Filled
    match_sql: Annotated[str, Field(min_length=1, max_length=65_536)]
    match_description: Sentence = Field(description="the rule in plain words, for an accountant")
    left_pk: Names
    right_pk: Names
    description: Annotated[str, Field(max_length=4000)] = ""
    left_upload_each_run: bool = Field(False, description="a new left file comes with every run")
    right_upload_each_run: bool = Field(False, description="a new right file comes with every run")
    keep_filters: bool = Field(False, description="only when the person wants the filters in every run")


class SaveRecipe(ToolInput):
    """Under which id; by default the draft's."""

    recipe_id: Filled | None = None


class ValidateRecipe(ToolInput):
    """No input."""


class RunSample(ToolInput):
    """No input."""


class RunFull(ToolInput):
    """No input."""


class GoBack(ToolInput):
    """Where to."""

    phase: Literal["intent", "scoping", "demonstration", "inference"]
    reason: Sentence = Field(description="what the person wants to change")


_SPECS = (
    ToolSpec("list_sources", "List the registered sources.", ListSources, "Looking for sources"),
    ToolSpec(
        "get_source_preview",
        "Columns and first rows of a registered source or an attached file. It becomes the left or right source.",
        GetSourcePreview,
        "Reading {alias}",
    ),
    ToolSpec(
        "request_file_upload",
        "Show the person a field for a file. Then wait for it.",
        RequestFileUpload,
        "Asking for a file",
    ),
    ToolSpec(
        "load_scoped",
        "Take the sample of a source from the rows that meet conditions. Both samples are chosen so that their rows "
        "can be compared.",
        LoadScoped,
        "Loading rows of {alias}",
    ),
    ToolSpec(
        "propose_match",
        "Ask the person, with a card, whether a left and a right row of the samples belong together. Then wait.",
        ProposeMatch,
        "Looking for a pair to ask about",
    ),
    ToolSpec(
        "infer_rules",
        "Rank comparisons of these columns by the confirmed and rejected pairs, with the threshold that fits.",
        InferRules,
        "Working out the rule",
    ),
    ToolSpec(
        "build_recipe",
        "Check match_sql and make the draft of the recipe; the person gets a card with the rule. match_sql is one "
        "SELECT over left_src l and right_src r.",
        BuildRecipe,
        "Writing the recipe",
    ),
    ToolSpec("save_recipe", "Store the draft as a recipe.", SaveRecipe, "Saving the recipe"),
    ToolSpec("validate_recipe", "Check the draft against its live sources.", ValidateRecipe, "Checking the recipe"),
    ToolSpec(
        "run_sample",
        "Run the draft on both samples, truly, and show the result. Then wait for the person's approval.",
        RunSample,
        "Running on the sample",
    ),
    ToolSpec("run_full", "Run the recipe on everything. Then wait for its end.", RunFull, "Starting the run"),
)
GO_BACK = ToolSpec(
    "go_back",
    "Return to an earlier phase because the person wants to change something: intent for another source, scoping for "
    "other rows, demonstration for other pairs, inference for another rule. What was found after it is dropped.",
    GoBack,
    "Going back",
)
SPECS: Mapping[str, ToolSpec] = {spec.name: spec for spec in (*_SPECS, GO_BACK)}
