"""Run the recipe of some evidence again on the recorded sources, and compare what comes out."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors import Connector
from pipelines.errors import EvidenceError, PipelineError
from pipelines.evidence.columns import SIDES
from pipelines.evidence.files import Check, result
from pipelines.evidence.reader import Evidence
from pipelines.launch import Event, launch
from pipelines.options import RunRequest
from pipelines.outputs import output_of
from pipelines.prepare import SIDES as SIDE_NAMES
from pipelines.prepare import prepare
from pipelines.workdir import SETS
from recipe import mask_uri, write_json

MASK = "***"
# What in a snapshot tells one state of a source from another and can be asked again. The rest (a server's version, the
# moment of a database transaction) is never the same twice.
_STATE = ("size", "mtime_ns", "sha256", "etag", "version_id", "generation", "listing_sha256")


@dataclass(frozen=True)
class Comparison:
    """How a second run of the same recipe compares. ``versions`` names what differs between the two programs."""

    run_id: str
    replay_run_id: str
    checks: tuple[Check, ...]
    versions: dict[str, tuple[str, str]]
    output: str | None

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def replay(
    folder: str | Path,
    output: str | Path | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    sources: Mapping[str, str] | None = None,
    allow_changed: bool = False,
    memory_limit: int | None = None,
) -> Comparison:
    """Run again and compare counts, reasons, control totals and the bytes of every part.

    Times and run ids differ, of course. ``sources`` gives addresses anew, ``{"left": uri}``: needed where the manifest
    holds a masked one. The new evidence goes to ``output``, or is thrown away.

    Raises EvidenceError ``evidence.masked_source``, ``evidence.source_changed`` (unless ``allow_changed``), and
    whatever makes a run fail.
    """
    evidence = Evidence(folder)
    kept = None if output is None else output_of(str(output)).shown
    with tempfile.TemporaryDirectory(prefix="kalla-replay-") as scratch:
        target = str(Path(scratch) / "evidence") if kept is None else kept
        request = _request(evidence, Path(scratch), target, dict(sources or {}), memory_limit)
        state = check_sources(evidence, request)
        if not state.ok and not allow_changed:
            raise EvidenceError(
                f"A source is not what the run had read: {state.detail}.",
                code="evidence.source_changed",
                hint="Restore it, or compare anyway with --allow-changed.",
            )
        outcome = launch(request, on_event)
        if outcome["status"] != "completed":
            error = outcome["error"]
            raise PipelineError(error["message"], code=error["code"], details=error["details"])
        again = Evidence(target)
        checks = (state, *compare(evidence, again))
        versions = _other_versions(evidence, again)
    return Comparison(evidence.manifest["run_id"], request.run_id, checks, versions, kept)


def _request(
    evidence: Evidence, scratch: Path, output: str, sources: dict[str, str], memory_limit: int | None
) -> RunRequest:
    """The run as it was: the same strategy and partitions, so that the same parts come out."""
    for side in SIDES:
        uri = evidence.recipe["sources"][side].get("uri")
        if side not in sources and (uri is None or (MASK in uri and mask_uri(uri) == uri)):
            what = "is not kept in evidence" if uri is None else f"is masked: {uri}"
            raise EvidenceError(
                f"The address of the {side} source {what}.",
                code="evidence.masked_source",
                hint=f"Give it with --set {side}=URI.",
            )
    plan = evidence.manifest["plan"]
    # A file keeps the numbers of filters digit for digit.
    recipe = scratch / "recipe.json"
    recipe.write_text(write_json(evidence.recipe), encoding="utf-8")
    return RunRequest(
        recipe=str(recipe),
        output=output,
        run_id=str(uuid.uuid4()),
        strategy=plan["strategy"],
        engine=plan["engine"],
        runner=plan["runner"],
        partitions=plan["partitions"],
        memory_limit=memory_limit,
        sources=sources,
    )


def check_sources(evidence: Evidence, request: RunRequest) -> Check:
    """Are the sources still in the state that the run had read? What cannot be asked again is said."""
    prepared = prepare(request)
    problems, silent = [], []
    for key, side in SIDE_NAMES.items():
        recorded = evidence.manifest["sources"][side]["snapshot"]
        now = _state(prepared.connectors[key], recorded)
        names = [name for name in _STATE if name in recorded and name in now]
        if not names:
            silent.append(side)
        problems += [f"{side} {n} was {recorded[n]}, is {now[n]}" for n in names if recorded[n] != now[n]]
    good = "the same files"
    if silent:
        good = f"the state of a database cannot be asked for again ({', '.join(silent)}); the results tell"
    return result("sources", problems, good)


def _state(connector: Connector, recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    """What tells the source's state now. Of a file whose content was recorded that is the content, or a size that alone
    says it is another: when it was written does not matter, as of one that came back from a backup."""
    with connector.open_snapshot() as snapshot:
        now = snapshot.identity
        if "sha256" not in recorded or "size" not in now:
            return now
        if recorded.get("size") != now["size"]:
            return {"size": now["size"]}
        digest = connector.content_hash()
        return now if digest is None else {"sha256": digest}


def compare(first: Evidence, second: Evidence) -> Iterator[Check]:
    """Counts, reasons, control totals, then every part of two pieces of evidence."""
    for name in ("counts", "reasons", "control_totals"):
        was, now = first.manifest[name], second.manifest[name]
        yield result(name, _differences(was, now, ""), "the same")
    for set_name in SETS:
        was = {p.name: p for p in first.parts(set_name)}
        now = {p.name: p for p in second.parts(set_name)}
        problems = [f"{name} is only in one of the two" for name in sorted(was.keys() ^ now.keys())]
        problems += [
            f"{name} has other bytes ({was[name].rows:,} and {now[name].rows:,} rows)"
            for name in sorted(was.keys() & now.keys())
            if was[name].sha256 != now[name].sha256
        ]
        yield result(set_name, problems, f"{len(was)} part{'' if len(was) == 1 else 's'}, byte for byte the same")


def _differences(was: Any, now: Any, place: str) -> Iterator[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        for name in sorted({*was, *now}):
            yield from _differences(was.get(name), now.get(name), f"{place}.{name}" if place else name)
    elif was != now:
        yield f"{place or 'it'} was {was}, is {now}"


def _other_versions(first: Evidence, second: Evidence) -> dict[str, tuple[str, str]]:
    was, now = first.manifest["versions"], second.manifest["versions"]
    names = sorted({*was, *now})
    return {n: (was.get(n, "none"), now.get(n, "none")) for n in names if was.get(n) != now.get(n)}
