"""What must hold on every kind of cluster, as functions over a running one: starting one for each would take minutes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.cluster.local import LocalCluster
from pipelines.evidence import verify
from pipelines.launch import Event, launch
from tests.cluster.data import ledger_and_bank
from tests.clusters import on, options
from tests.helpers import drive, manifest, parts, read_set, request, source
from tests.servers import postgres_server

SAMPLE = Path(__file__).parents[2] / "docs" / "sample"
SETS = ("matched", "unmatched_left", "unmatched_right")


def sample() -> dict[str, Any]:
    recipe = json.loads((SAMPLE / "invoice-payment-match.json").read_text(encoding="utf-8"))
    for side in recipe["sources"].values():
        side["uri"] = str(SAMPLE / side["uri"])
    found: dict[str, Any] = recipe
    return found


def same_evidence(folder: Path, other: Path) -> None:
    """Byte for byte, set by set, and all that the manifest counts."""
    assert parts(folder) == parts(other)
    for name in ("counts", "reasons", "control_totals"):
        assert manifest(folder)[name] == manifest(other)[name]
    assert verify(folder).ok


def sample_is_true(found: LocalCluster, folder: Path) -> None:
    """The bundled sample: the documented counts, the rows of one machine, and events of every stage."""
    outcome = on(found, sample(), folder / "sample")
    assert outcome["status"] == "completed", outcome
    counts = [outcome[n] for n in ("matched_count", "unmatched_left_count", "unmatched_right_count")]
    assert (counts, outcome["runner"]) == ([7, 8, 8], found.kind)
    drive(sample(), folder / "sample-direct", strategy=outcome["strategy"])
    same_evidence(folder / "sample", folder / "sample-direct")
    assert len(read_set(folder / "sample", "matched")) == 7


def large_rows_agree(found: LocalCluster, folder: Path, strategies: Sequence[str]) -> None:
    """200,000 rows with duplicates and NULLs: every strategy leaves what one machine leaves."""
    recipe = ledger_and_bank(folder)
    direct = drive(recipe, folder / "direct", strategy="local")
    assert 50_000 < direct["matched_count"] and set(direct["reasons"]["left"]) == {"no_key", "null_key", "predicate"}
    for strategy in strategies:
        outcome = on(found, recipe, folder / strategy, strategy=strategy)
        assert outcome["status"] == "completed", outcome
        assert outcome["strategy"] == strategy
        same_evidence(folder / strategy, folder / "direct")


def two_runs_at_once(found: LocalCluster, folder: Path) -> None:
    """Two runs at the same time do not disturb each other; where a job server takes one, the other waits."""
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda n: on(found, sample(), folder / f"at-once-{n}"), range(2)))
    for n, outcome in enumerate(outcomes):
        assert outcome["status"] == "completed", outcome
        same_evidence(folder / f"at-once-{n}", folder / "sample-direct")


def postgres_is_read_at_one_moment(found: LocalCluster, folder: Path) -> None:
    """Both tables under the snapshot that the driver holds: rows that come while the workers read are not in it."""
    with postgres_server() as server:
        name = server.create_database()
        server.execute(name, (SAMPLE / "seed.sql").read_text(encoding="utf-8"))
        recipe = sample()
        for side, table, key in (("left", "invoices", "invoice_id"), ("right", "payments", "payment_id")):
            recipe["sources"][side] = source(server.uri(name, table), [key], "postgres")
        asked = request(recipe, folder / "postgres", runner=found.kind, cluster=options(found))
        emptied: list[bool] = []

        def after_planning(event: Event) -> None:
            if event["event"] == "staged" and not emptied:
                server.execute(name, "DELETE FROM payments")
                emptied.append(True)

        outcome = launch(asked, after_planning, timeout=600)
    assert outcome["status"] == "completed", outcome
    assert emptied and (outcome["matched_count"], outcome["right_record_count"]) == (7, 15)
