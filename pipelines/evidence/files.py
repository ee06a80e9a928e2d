"""Verification, first half: are the files the ones the manifest lists, byte for byte, and are they readable?"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from pipelines.errors import EvidenceError
from pipelines.evidence.reader import Evidence, PartFile, open_part
from pipelines.layout import REASON_FIELDS, ROW_FIELDS
from pipelines.parts import sha256_file
from pipelines.workdir import MANIFEST, SETS

MOST_NAMED = 5


@dataclass(frozen=True)
class Check:
    """One question about the evidence. ``detail`` says what was found, or which file or figure differs."""

    name: str
    ok: bool
    detail: str

    def as_dict(self) -> dict[str, str | bool]:
        return {"name": self.name, "ok": self.ok, "detail": self.detail}


def result(name: str, problems: Iterable[str], good: str) -> Check:
    """A check that fails with ``problems``, the first few of them named."""
    found = list(problems)
    if not found:
        return Check(name, True, good)
    more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return Check(name, False, "; ".join(found[:MOST_NAMED]) + more)


def check_files(evidence: Evidence) -> Check:
    """Every listed file is there once, and nothing else is."""
    problems = []
    listed = [part.name for name in SETS for part in evidence.parts(name)]
    problems += [f"{name} is listed twice" for name in sorted(set(listed)) if listed.count(name) > 1]
    problems += [f"no part of {name} is listed" for name in SETS if not evidence.parts(name)]
    found = evidence.place.names()
    problems += [f"{name} is missing" for name in sorted(set(listed)) if name not in found]
    problems += [f"{name} is not in the manifest" for name in sorted(found) if name not in {*listed, MANIFEST}]
    problems += [f"{name} is a link" for name, is_link in sorted(found.items()) if is_link]
    return result("files", problems, f"{len(listed)} parts and the manifest, nothing else")


def check_bytes(evidence: Evidence) -> Check:
    """Size and SHA-256 of every part that is there."""
    there = evidence.place.names()
    parts = [part for name in SETS for part in evidence.parts(name) if part.name in there]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing lets go of the interpreter
        problems = [problem for problem in pool.map(_byte_problem, parts) if problem]
    size = sum(part.bytes for part in parts)
    return result("sha256", problems, f"{len(parts)} parts, {size:,} bytes")


def _byte_problem(part: PartFile) -> str:
    try:
        size = part.path.stat().st_size
        if size != part.bytes:
            return f"{part.name} has {size:,} bytes, the manifest says {part.bytes:,}"
        digest = sha256_file(part.path)
    except OSError as error:
        return f"{part.name} cannot be read: {error.strerror}"
    except EvidenceError as error:
        return error.message
    if digest != part.sha256:
        return f"{part.name} has SHA-256 {digest}, the manifest says {part.sha256}"
    return ""


def check_rows(evidence: Evidence) -> tuple[Check, bool]:
    """The number of rows in each part, and the same columns in all parts of a set.

    Second: whether all parts can be read as a whole; a wrong number of rows does not hinder that.
    """
    problems, unreadable = [], []
    rows = 0
    for name in SETS:
        first: pa.Schema | None = None
        for part in evidence.parts(name):
            try:
                with open_part(part) as file:
                    found, schema = file.metadata.num_rows, file.schema_arrow
            except EvidenceError as error:
                unreadable.append(error.message.rstrip("."))
                continue
            rows += found
            if found != part.rows:
                problems.append(f"{part.name} has {found:,} rows, the manifest says {part.rows:,}")
            if first is None:
                first = schema
                unreadable += [f"{part.name}: {text}" for text in _column_problems(name, schema)]
            elif not schema.equals(first):
                unreadable.append(f"{part.name} has other columns than the first part")
        if not evidence.parts(name):
            unreadable.append(f"{name} has no part")
    good = f"{rows:,} rows in {len(SETS)} sets"
    return result("part_rows", [*unreadable, *problems], good), not unreadable


def _column_problems(set_name: str, schema: pa.Schema) -> list[str]:
    """The fixed columns that are missing, in the wrong place or of another type."""
    expected = ROW_FIELDS if set_name == "matched" else REASON_FIELDS
    problems = []
    for place, field in enumerate(expected):
        kinds = {field.type}
        if field.name in ("_left_row", "_right_row"):
            kinds.add(pa.list_(pa.int64()))
        found = schema.field(place) if place < len(schema) else None
        kind = found.type if found is not None else None
        if kind is not None and pa.types.is_list(kind):
            kind = pa.list_(kind.value_type)  # the name of the inner field means nothing
        if found is None or found.name != field.name or kind not in kinds:
            problems.append(f"column {place + 1} must be {field.name} ({field.type})")
    return problems
