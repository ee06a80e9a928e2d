"""Does evidence hold what its manifest says? Everything is computed again from the files alone."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines import engine
from pipelines.errors import EvidenceError
from pipelines.evidence.columns import SIDES
from pipelines.evidence.files import Check, check_bytes, check_files, check_rows, result
from pipelines.evidence.reader import Evidence
from pipelines.evidence.records import Records, guarded, not_checked
from pipelines.workdir import SETS
from recipe import write_json

CHECKS = {
    "recipe": "the recipe is the one whose hash the manifest gives",
    "files": "all parts are there and nothing else",
    "sha256": "sizes and SHA-256",
    "part_rows": "rows and columns of each part",
    "left_records": "every left record is there once",
    "right_records": "every right record is there once",
    "counts": "counts",
    "match_rate": "match rate",
    "pairs": "pairs",
    "partners": "partners of each matched row",
    "reasons": "reasons",
    "control_totals": "control totals",
}
"""Names of all checks, in the order in which they are made, and what each is about."""

_MEMORY = 1 << 30


@dataclass(frozen=True)
class Verification:
    """What was checked and found."""

    evidence: str
    run_id: str
    manifest_sha256: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def verify(
    folder: str | Path, on_check: Callable[[Check], None] = lambda check: None, memory: int = _MEMORY
) -> Verification:
    """Check the evidence in ``folder``, of which no cache is believed; ``on_check`` gets each result as it is known.

    ``memory`` bounds what the engine holds before it spills to the temporary folder. A failed check is a result; only a
    missing or malformed manifest raises EvidenceError.
    """
    evidence = Evidence(folder)
    checks = []
    for check in _checks(evidence, memory):
        on_check(check)
        checks.append(check)
    return Verification(evidence.shown, evidence.manifest["run_id"], evidence.manifest_sha256, tuple(checks))


def _checks(evidence: Evidence, memory: int) -> Iterator[Check]:
    yield check_recipe(evidence)
    yield check_files(evidence)
    yield check_bytes(evidence)
    rows, readable = check_rows(evidence)
    yield rows
    names = list(CHECKS)[4:]
    if not readable:
        yield from not_checked(names)
        return
    with tempfile.TemporaryDirectory(prefix="kalla-verify-") as scratch:
        links = _links(evidence, Path(scratch))
        with engine.connect(Path(scratch), memory, map(str, links.values())) as connection:
            try:
                records = Records(connection, evidence, links)
            except (duckdb.Error, EvidenceError):
                yield from not_checked(names)
                return
            yield from _record_checks(records)


def _links(evidence: Evidence, folder: Path) -> dict[str, Path]:
    """A link to each part under a plain name: the engine would take [ or * in a folder's name for a pattern."""
    links = {}
    for number, part in enumerate(p for name in SETS for p in evidence.parts(name)):
        links[part.name] = folder / f"{number}.parquet"
        links[part.name].symlink_to(part.path)
    return links


def _record_checks(records: Records) -> Iterator[Check]:
    for side in SIDES:
        yield guarded(f"{side}_records", records.check_records, side)
    yield guarded("counts", records.check_counts)
    yield guarded("match_rate", records.check_rate)
    yield guarded("pairs", records.check_pairs)
    yield guarded("partners", records.check_partners)
    yield guarded("reasons", records.check_reasons)
    yield guarded("control_totals", records.check_totals)


def check_recipe(evidence: Evidence) -> Check:
    """The embedded recipe's hash, and that what the manifest repeats of it is the same."""
    recipe, stated = evidence.recipe, evidence.manifest
    digest = hashlib.sha256(write_json(recipe, sort_keys=True).encode()).hexdigest()
    problems = []
    if digest != stated["recipe_hash"]:
        problems.append(f"the recipe's SHA-256 is {digest}, the manifest says {stated['recipe_hash']}")
    problems += [f"{n} differs from the recipe's" for n in ("recipe_id", "match_sql") if stated[n] != recipe.get(n)]
    for side in SIDES:
        source = recipe.get("sources", {}).get(side, {})
        names = ("alias", "type", "primary_key")
        problems += [
            f"{n} of {side} differs from the recipe's" for n in names if stated["sources"][side][n] != source.get(n)
        ]
    return result("recipe", problems, f"{stated['recipe_id']}, SHA-256 {digest}")
