"""Runs over a real OpenSearch node: one point in time whatever others write, with evidence that verifies."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from connectors import Snapshot, Split
from connectors.elasticsearch.reader import ElasticsearchConnector
from pipelines.evidence import verify
from tests.helpers import beam, document, drive, manifest, read_set, source
from tests.search_servers import Front, SearchNode

pytest_plugins = ("tests.search_fixtures",)

SQL = (
    "SELECT l.ref, r.id FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.amount, 0.01)"
)


def test_an_index_against_a_csv(node: SearchNode, search: Front, tmp_path: Path) -> None:
    mapped = {"ref": {"type": "keyword"}, "amount": {"type": "scaled_float", "scaling_factor": 100}}
    invoices = [f'{{"ref": "R{i}", "amount": {i}.10}}' for i in range(300)]
    name = node.index(mapped, invoices, shards=2)
    lines = [f"{i},R{i},{i}.{'10' if i % 4 else '15'}" for i in range(100, 350)]
    (tmp_path / "bank.csv").write_text("id,ref,amount\n" + "\n".join(lines) + "\n")
    asked = document(SQL, source(search.uri(name), ["ref"], "elasticsearch"), source(tmp_path / "bank.csv", ["id"]))
    counts = beam(asked, tmp_path / "out", partitions=3)
    assert (counts["matched_count"], counts["unmatched_left_count"], counts["unmatched_right_count"]) == (150, 150, 100)
    assert counts["control_totals"]["left"]["amount"]["source"]["sum"] == str(
        sum(Decimal(i) + Decimal("0.10") for i in range(300))
    )
    assert {row["ref"] for row in read_set(tmp_path / "out", "unmatched_left")} >= {"R0", "R100"}
    assert manifest(tmp_path / "out")["sources"]["left"]["snapshot"]["documents"] == 300
    assert verify(tmp_path / "out").ok


def test_what_is_written_meanwhile_is_not_seen(
    node: SearchNode, search: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped = {"ref": {"type": "keyword"}, "amount": {"type": "long"}}
    name = node.index(mapped, [{"ref": f"R{i}", "amount": i} for i in range(50)])
    (tmp_path / "bank.csv").write_text("id,ref,amount\n" + "".join(f"{i},R{i},{i}\n" for i in range(50)))
    plan = ElasticsearchConnector.plan_splits

    def write_first(self: ElasticsearchConnector, snapshot: Snapshot, desired: int) -> list[Split]:
        node.put(name, [{"ref": f"R{i}", "amount": -1} for i in range(80)])
        return plan(self, snapshot, desired)

    monkeypatch.setattr(ElasticsearchConnector, "plan_splits", write_first)
    asked = document(SQL, source(search.uri(name), ["ref"], "elasticsearch"), source(tmp_path / "bank.csv", ["id"]))
    counts = drive(asked, tmp_path / "out", strategy="shuffle")
    assert (counts["matched_count"], counts["unmatched_left_count"], counts["unmatched_right_count"]) == (50, 0, 0)
    assert node.call("GET", f"/{name}/_count")["count"] == 80
