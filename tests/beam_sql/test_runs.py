"""Runs of engine beam-sql with real Java: what the other engine and the oracle say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.launch import launch
from pipelines.options import ClusterOptions
from tests.beam_sql.rules import every_condition, hard_cases
from tests.beam_sql.scenarios import pairs_by_condition
from tests.beam_sql.services import shared_service
from tests.cluster.data import ledger_and_bank
from tests.cluster.scenarios import same_evidence, sample
from tests.clusters import needs_java
from tests.end_to_end.test_differential import check, recipe
from tests.helpers import beam, document, drive, manifest, read_set, request, source, write_csv
from tests.oracle import Rule, reconcile

pytestmark = [needs_java("functions"), pytest.mark.timeout(900)]


def test_a_run_starts_and_ends_its_own_service(tmp_path: Path) -> None:
    seen: set[psutil.Process] = set()
    run: list[psutil.Process] = []
    outcome = launch(
        request(sample(), tmp_path / "sql", engine="beam-sql"),
        lambda event: seen.update(run[0].children(recursive=True)),
        timeout=600,
        on_start=lambda pid: run.append(psutil.Process(pid)),
    )
    assert outcome["status"] == "completed", outcome
    assert (outcome["engine"], outcome["strategy"], outcome["runner"]) == ("beam-sql", "shuffle", "direct")
    drive(sample(), tmp_path / "vectorized")
    same_evidence(tmp_path / "sql", tmp_path / "vectorized")
    plan = manifest(tmp_path / "sql")["plan"]
    assert plan["engine"] == "beam-sql" and len(plan["sql"]) == 2
    assert any("beam-sql" in reason for reason in plan["reasons"])
    assert seen and not psutil.wait_procs(seen, 10)[1]


def test_a_killed_run_takes_its_service_with_it(tmp_path: Path) -> None:
    run: list[psutil.Process] = []
    seen: set[psutil.Process] = set()

    def kill(event: dict[str, Any]) -> None:
        """As soon as the service is there."""
        seen.update(run[0].children(recursive=True))
        if seen:
            run[0].kill()

    outcome = launch(
        request(sample(), tmp_path / "sql", engine="beam-sql"), kill, timeout=600,
        on_start=lambda pid: run.append(psutil.Process(pid)),
    )  # fmt: skip
    assert outcome["error"]["code"] == "run.killed", outcome
    assert seen and not psutil.wait_procs(seen, 10)[1]


def test_the_same_rows_as_the_oracle_and_the_other_engine(tmp_path: Path) -> None:
    with shared_service(tmp_path) as shared:
        every_condition_finds_its_pairs(tmp_path / "conditions", shared)
        whole_evidence_of_hard_rows(tmp_path / "rows", shared)
        texts_of_two_files(tmp_path / "texts", shared)
        sides_without_rows(tmp_path / "empty", shared)
        passes_put_together(tmp_path / "passes", shared)
        many_rows(tmp_path / "many", shared)


def every_condition_finds_its_pairs(folder: Path, shared: ClusterOptions) -> None:
    folder.mkdir()
    case = every_condition()
    found = pairs_by_condition(case, folder, shared)
    expected = [
        set(reconcile(Rule(case.rule.keys, [check], case.rule.primary_key), case.left.rows, case.right.rows).pairs)
        for check in case.rule.checks
    ]
    wrong = {
        check.sql: (sorted(pairs - truth)[:3], sorted(truth - pairs)[:3])
        for check, pairs, truth in zip(case.rule.checks, found, expected, strict=True)
        if pairs != truth
    }
    assert not wrong
    assert len(set(map(len, expected))) > 10 and all(expected)


def whole_evidence_of_hard_rows(folder: Path, shared: ClusterOptions) -> None:
    """Duplicates, NULL keys, decimals on the boundary: cell by cell as the oracle says, and as the other engine."""
    for number, case in enumerate(hard_cases()):
        place = folder / str(number)
        place.mkdir(parents=True)
        beam(recipe(case, place, 7), place / "out", engine="beam-sql", cluster=shared, partitions=3)
        check(case, place / "out")
        drive(recipe(case, place, 7), place / "vectorized", strategy="shuffle", partitions=3)
        same_evidence(place / "out", place / "vectorized")


def same_by_both(
    folder: Path, sql: str, left: dict[str, Any], right: dict[str, Any], shared: ClusterOptions
) -> dict[str, Any]:
    """Two CSVs by both engines, beam-sql's evidence in ``out``; the same evidence. The other engine's outcome."""
    sides = [source(write_csv(folder / f"{n}.csv", t), ["id"]) for n, t in (("left", left), ("right", right))]
    beam(document(sql, *sides), folder / "out", engine="beam-sql", cluster=shared)
    outcome = drive(document(sql, *sides), folder / "vectorized")
    same_evidence(folder / "out", folder / "vectorized")
    return outcome


def texts_of_two_files(folder: Path, shared: ClusterOptions) -> None:
    """CSVs whose texts are read as numbers and dates, with expressions for keys and one text that is no number."""
    folder.mkdir()
    left = {"id": "1234567", "ref": ["inv-007", "INV 8", None, "x9", "x9", "z", "z"], "amount": ["100.00", "5", "1", "0.10", "n/a", "7", "7.00"], "on": ["2024-02-28"] * 7}  # fmt: skip
    right = {"id": "123456", "ref": ["INV007", "inv.8", "X-9", "Z", "z", ""], "amount": ["99.99", "5.011", "0.11", "7.01", "7.02", "1"], "on": ["2024-03-01", "2024-02-27", "2024-02-28", "2024-03-02", "never", "2024-02-28"]}  # fmt: skip
    sql = (
        "SELECT l.id, r.id, l.amount - r.amount AS apart FROM left_src l JOIN right_src r"
        " ON normalize_ref(l.ref) = normalize_ref(r.ref) AND tolerance_match(l.amount, r.amount, 0.01)"
        " AND date_within(l.on, r.on, 2) AND l.amount > 0"
    )
    outcome = same_by_both(folder, sql, left, right, shared)
    assert outcome["matched_count"] == 2 and outcome["reasons"]["left"]["unparseable"] == 1


def sides_without_rows(folder: Path, shared: ClusterOptions) -> None:
    folder.mkdir()
    columns: dict[str, Any] = {"id": [], "amount": []}
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND l.amount <> r.amount"
    same_by_both(folder, sql, columns, columns, shared)


def passes_put_together(folder: Path, shared: ClusterOptions) -> None:
    """UNION ALL of three passes over texts; two find the same pair, one alone has a filter."""
    folder.mkdir()
    left = {"id": "12345", "ref": ["a", "b", None, "c", "c"], "amount": ["1.00", "2", "3", "4", "n/a"], "iban": [*"xxyyz"]}  # fmt: skip
    right = {"id": "1234", "ref": ["a", "B", None, "c"], "amount": ["1.01", "2.00", "3.000", "4"], "iban": [*"xxyy"]}
    sql = (
        "SELECT l.id AS one, r.id AS other FROM left_src l JOIN right_src r ON l.ref = r.ref"
        " AND tolerance_match(l.amount, r.amount, 0.01)"
        " UNION ALL SELECT l.id, r.id FROM left_src l, right_src r WHERE l.iban = r.iban AND l.amount = r.amount"
        " UNION ALL SELECT l.id, r.id FROM left_src l JOIN right_src r ON upper(l.ref) = r.ref"
    )
    outcome = same_by_both(folder, sql, left, right, shared)
    found = [(row["_left_row"], row["_right_row"]) for row in read_set(folder / "out", "matched")]
    assert sorted(found) == [([1], [1]), ([2], [2]), ([4], [4]), ([4], [4])]  # texts that differ are not equal
    assert len(manifest(folder / "out")["plan"]["sql"]) == outcome["matched_count"] == 4


def many_rows(folder: Path, shared: ClusterOptions) -> None:
    """Several batches and files a side, and keys that repeat."""
    folder.mkdir()
    made = ledger_and_bank(folder, 8_000)
    outcome = beam(made, folder / "out", engine="beam-sql", cluster=shared)
    assert outcome["matched_count"] > 2_000
    drive(made, folder / "vectorized", strategy="shuffle")
    same_evidence(folder / "out", folder / "vectorized")
