"""The shape of a manifest, checked before anything in it is believed: evidence may come from anywhere."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import EvidenceError
from pipelines.manifest import FORMAT

_T = TypeVar("_T")
_Count = Annotated[int, Field(ge=0)]
_PART_PATH = r"^(matched|unmatched_left|unmatched_right)/part-[0-9]{5,9}\.parquet$"


def _is_exact(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("must be a number written as text") from None
    if not number.is_finite():
        raise ValueError("must be a finite number")
    return text


class _Member(BaseModel):
    # Members that a later version adds are no reason to refuse.
    model_config = ConfigDict(strict=True, extra="allow")


class PartEntry(_Member):
    """One file of a set."""

    path: str = Field(pattern=_PART_PATH)
    rows: _Count
    bytes: _Count
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Counts(_Member):
    """The figures of the result."""

    left_record_count: _Count
    right_record_count: _Count
    matched_count: _Count
    matched_left_count: _Count
    matched_right_count: _Count
    unmatched_left_count: _Count
    unmatched_right_count: _Count
    match_rate: float | int | None


class Total(_Member):
    """Sum, rows and rows without a number."""

    sum: Annotated[str, AfterValidator(_is_exact)]
    rows: _Count
    empty: _Count


class ControlTotal(_Member):
    """One numeric column: everything read, and what became of it."""

    source: Total
    matched: Total
    unmatched: Total


class ColumnEntry(_Member):
    """One column of a source."""

    name: str
    type: str


class SourceEntry(_Member):
    """One side's source as it was read."""

    alias: str
    type: str
    uri: str
    primary_key: list[str]
    snapshot: dict[str, Any]
    columns: list[ColumnEntry]


class Plan(_Member):
    """How the run was executed."""

    plan_class: str = Field(alias="class")
    strategy: str
    engine: str
    runner: str
    partitions: int
    reasons: list[str]
    keys: list[str]
    conditions: list[str]


class OutputEntry(_Member):
    """One column of the matched set behind the fixed ones; ``side`` and ``column`` where it holds a source's."""

    name: str
    side: Literal["left", "right"] | None
    column: str | None


class Warned(_Member):
    """A warning of the run."""

    path: str
    message: str
    code: str


class Times(_Member):
    """When the run took place."""

    started_at: str
    completed_at: str
    seconds: float | int


class _Sides(_Member, Generic[_T]):
    left: _T
    right: _T


class RecipeEntry(_Member):
    """The embedded recipe; what checks and pages take from it without looking is its sources."""

    sources: _Sides[dict[str, Any]]


class Manifest(_Member):
    """The whole document. Only its shape is checked here; whether it is true is ``verify``'s question."""

    format: Literal["kalla-evidence/1"]
    run_id: str
    recipe_id: str
    recipe_hash: str
    recipe: RecipeEntry
    match_sql: str
    sources: _Sides[SourceEntry]
    plan: Plan
    outputs: list[OutputEntry]
    counts: Counts
    reasons: _Sides[dict[str, _Count]]
    control_totals: _Sides[dict[str, ControlTotal]]
    warnings: list[Warned]
    times: Times
    versions: dict[str, str]
    parts: list[PartEntry]


def check_manifest(document: object) -> dict[str, Any]:
    """The document, once its shape is known to be right.

    Raises EvidenceError ``evidence.unsupported_format``, ``evidence.unreadable``.
    """
    found = document.get("format") if isinstance(document, dict) else None
    if isinstance(found, str) and found != FORMAT:
        raise EvidenceError(
            f"The evidence is written as {found[:80]!r}; this version reads {FORMAT}.",
            code="evidence.unsupported_format",
            hint="Use the version of Kalla that wrote it, or a newer one.",
        )
    try:
        Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise EvidenceError(
            f"The manifest is damaged: {place}: {first['msg']}.",
            hint="Take the folder from a backup, or run the recipe again.",
        ) from None
    assert isinstance(document, dict)
    return document
