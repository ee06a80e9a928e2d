"""The manifest: everything an auditor needs to know of a run, and the hash of every part. Written last."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors import Snapshot
from pipelines.errors import PipelineError
from pipelines.parts import Part, write_part
from pipelines.planner import RunPlan
from pipelines.run_state import SideSummary, Summary
from pipelines.totals import Total
from pipelines.workdir import MANIFEST, SETS
from recipe import LEFT, RIGHT, SOURCE_CLASSES, MatchPlan, Problem, Recipe, dump_recipe, recipe_hash, write_json

FORMAT = "kalla-evidence/1"
_PACKAGES = ("apache-beam", "duckdb", "pyarrow", "sqlglot", "numpy")


@dataclass(frozen=True)
class SourceFacts:
    """What the manifest tells of one side's source."""

    alias: str
    type: str
    uri: str
    primary_key: tuple[str, ...]
    snapshot: Snapshot
    columns: tuple[dict[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "alias": self.alias,
            "type": self.type,
            "uri": self.uri,
            "primary_key": list(self.primary_key),
            "snapshot": self.snapshot.identity,
            "columns": list(self.columns),
        }


def outputs(plan: MatchPlan) -> list[dict[str, str | None]]:
    """The columns of the matched set behind the fixed ones: which source column each holds unchanged, if any."""
    sides = {LEFT: "left", RIGHT: "right", None: None}
    return [{"name": o.name, "side": sides[o.side], "column": o.column} for o in plan.outputs]


def counts(summary: Summary) -> dict[str, int | float | None]:
    """The figures of the result, each from the rows themselves.

    ``match_rate`` is the matched share of left records, None without any.
    """
    left, right = summary.left, summary.right
    matched_left = left.rows - left.unmatched
    return {
        "left_record_count": left.rows,
        "right_record_count": right.rows,
        "matched_count": summary.pairs,
        "matched_left_count": matched_left,
        "matched_right_count": right.rows - right.unmatched,
        "unmatched_left_count": left.unmatched,
        "unmatched_right_count": right.unmatched,
        "match_rate": matched_left / left.rows if left.rows else None,
    }


def control_totals(side: SideSummary) -> dict[str, dict[str, dict[str, str | int]]]:
    """For each numeric column used: the source's total, and what was written as matched and as unmatched.

    Raises PipelineError ``run.totals_differ`` when they do not add up: such evidence is never committed.
    """
    found = {}
    for name, source in side.source.columns.items():
        matched = side.matched_totals.columns.get(name, Total())
        unmatched = side.unmatched_totals.columns.get(name, Total())
        both = Total(matched.sum, matched.rows, matched.empty)
        both.add(unmatched)
        if (both.sum, both.rows, both.empty) != (source.sum, source.rows, source.empty):
            raise PipelineError(
                f"The control total of {name!r} does not hold: {source.sum} was read, {both.sum} was written.",
                code="run.totals_differ",
                hint="Nothing was committed. Please report this with the recipe.",
            )
        found[name] = {"source": source.as_dict(), "matched": matched.as_dict(), "unmatched": unmatched.as_dict()}
    return found


def run_warnings(sources: Mapping[str, SourceFacts], summary: Summary) -> list[Problem]:
    """What the rows themselves make worth saying, per side."""
    found = []
    for name, facts, side in (("left", sources[LEFT], summary.left), ("right", sources[RIGHT], summary.right)):
        key, alias = ", ".join(facts.primary_key), repr(facts.alias)
        path = f"sources.{name}"
        if number := side.keys.repeated:
            text = (
                f"{number:,} records of {alias} share their primary key ({key}) with another; each was judged by itself"
            )
            found.append(Problem(f"{path}.primary_key", text, "run.repeated_keys"))
        if number := side.keys.empty:
            lacking = "1 record lacks" if number == 1 else f"{number:,} records lack"
            text = f"{alias}: {lacking} a part of the primary key ({key}); the row number alone tells which"
            found.append(Problem(f"{path}.primary_key", text, "run.empty_keys"))
        if number := side.ragged:
            having = "1 record has" if number == 1 else f"{number:,} records have"
            text = f"{alias}: {having} too few or too many cells and can match nothing; surplus cells were dropped"
            found.append(Problem(path, text, "run.ragged_rows"))
        for column, number in side.unparsed.items():
            values = "1 value" if number == 1 else f"{number:,} values"
            text = f"{values} of {column!r} in {alias} cannot be read as the number or date that match_sql needs"
            found.append(Problem(path, text + _how_written(facts.type), "run.unparseable_values"))
    if sources[RIGHT].snapshot.identity.get("beside"):
        both = " and ".join(repr(sources[side].alias) for side in (LEFT, RIGHT))
        text = f"{both} lie on one server and were read at two moments: what was posted between may be on one side"
        found.append(Problem("sources", text, "run.two_moments"))
    return found


def _how_written(kind: str) -> str:
    """What to do where a source of this type can say how its texts are written."""
    can_say = "format" in SOURCE_CLASSES[kind].model_fields
    return "; format says how they are written: decimal, thousands, date_order" if can_say else ""


def check_counts(summary: Summary) -> None:
    """Every record once: written rows equal the records read. Raises PipelineError ``run.counts_differ``."""
    written = {name: sum(p.rows for p in summary.parts if p.path.startswith(f"{name}/")) for name in SETS}
    expected = {
        "matched": summary.pairs,
        "unmatched_left": summary.left.unmatched,
        "unmatched_right": summary.right.unmatched,
    }
    read = {
        "left": (summary.layout.left.rows, summary.left.rows),
        "right": (summary.layout.right.rows, summary.right.rows),
    }
    if written != expected or any(a != b for a, b in read.values()):
        raise PipelineError(
            f"The counts do not hold: expected {expected}, wrote {written}, rows {read}.",
            code="run.counts_differ",
            hint="Nothing was committed. Please report this with the recipe.",
        )


def empty_parts(evidence: Path, summary: Summary) -> list[Part]:
    """One part without rows for each set that has none, so that every set has a readable schema."""
    layout = summary.layout
    schemas = {
        "matched": layout.matched_schema,
        "unmatched_left": layout.left_schema,
        "unmatched_right": layout.right_schema,
    }
    present = {part.path.partition("/")[0] for part in summary.parts}
    return [
        write_part(evidence, name, 0, [schema.empty_table()], schema)
        for name, schema in schemas.items()
        if name not in present
    ]


def manifest(
    run_id: str, recipe: Recipe, sources: Mapping[str, SourceFacts], plan: MatchPlan, run_plan: RunPlan,
    summary: Summary, parts: Iterable[Part], warnings: Iterable[Problem], times: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The document; it holds no secret."""
    return {
        "format": FORMAT,
        "run_id": run_id,
        "recipe_id": recipe.recipe_id,
        "recipe_hash": recipe_hash(recipe),
        "recipe": dump_recipe(recipe, mask=True),
        "match_sql": recipe.match_sql,
        "sources": {"left": sources[LEFT].as_dict(), "right": sources[RIGHT].as_dict()},
        "plan": run_plan.as_dict()
        | {
            "keys": [k.sql for k in plan.keys],
            "conditions": [c.sql for c in (*plan.conditions, *plan.left_only, *plan.right_only)],
        },
        "outputs": outputs(plan),
        "counts": counts(summary),
        "reasons": {"left": _sorted(summary.left.reasons), "right": _sorted(summary.right.reasons)},
        "control_totals": {"left": control_totals(summary.left), "right": control_totals(summary.right)},
        "warnings": [w.as_dict() for w in warnings],
        "times": dict(times),
        "versions": versions(),
        "parts": [part.as_dict() for part in parts],
    }


def write_manifest(evidence: Path, document: Mapping[str, Any]) -> None:
    """Write the manifest durably under its final name."""
    partial = evidence / f".{MANIFEST}"
    with partial.open("w", encoding="utf-8") as file:
        file.write(write_json(document, indent=1))
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, evidence / MANIFEST)


def describe_columns(schema: pa.Schema) -> tuple[dict[str, str], ...]:
    return tuple({"name": f.name, "type": str(f.type)} for f in schema)


def versions() -> dict[str, str]:
    """Versions of everything whose change could change a result."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"kalla": importlib.metadata.version("kalla"), "python": platform.python_version(), **found}


def _sorted(counts_by_reason: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts_by_reason.items(), key=lambda item: (-item[1], item[0])))
