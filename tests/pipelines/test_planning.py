"""Options, sizes and the choice of a strategy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.options import RunRequest, default_memory, parse_size
from pipelines.planner import choose
from pipelines.prepare import prepare
from recipe import KallaError, MatchPlan, PlanClass, RecipeError

SAMPLE = Path(__file__).parent.parent.parent / "docs" / "sample" / "invoice-payment-match.json"


def plan(kind: PlanClass) -> MatchPlan:
    return MatchPlan(kind=kind, sql="", outputs=())


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GiB", 1 << 30), ("2 g", 2 << 30), ("600M", 600 << 20), ("1.5GB", 3 << 29), ("600000000", 600_000_000)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "1XB", "10M", "0"])
def test_sizes_that_are_refused(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_size(text)
    assert caught.value.code == "run.invalid_option"


def test_the_default_is_half_of_the_machine() -> None:
    assert RunRequest("r", "o", "i").memory == default_memory() > 0


@pytest.mark.parametrize(
    ("kind", "asked", "runner", "sizes", "expected"),
    [
        (PlanClass.EQUI, "auto", "direct", (1, 1), "local"),
        (PlanClass.EQUI, "shuffle", "direct", (1, 1), "shuffle"),
        (PlanClass.INEQUALITY, "broadcast", "direct", (1, 1), "broadcast"),
        (PlanClass.GENERAL, "auto", "flink", (1, 1), "local"),
        (PlanClass.EQUI, "auto", "flink", (1 << 20, 1 << 40), "broadcast"),
        (PlanClass.EQUI, "auto", "flink", (1 << 40, 1 << 40), "shuffle"),
        (PlanClass.EQUI, "auto", "flink", (None, None), "shuffle"),
        (PlanClass.INEQUALITY, "auto", "flink", (1 << 40, 1 << 40), "broadcast"),
    ],
)
def test_strategies(
    kind: PlanClass, asked: str, runner: str, sizes: tuple[int | None, int | None], expected: str
) -> None:
    chosen = choose(plan(kind), asked, "auto", runner, 4, *sizes)
    assert chosen.strategy == expected
    assert any(reason.startswith(f"Strategy {expected}") for reason in chosen.reasons)
    assert chosen.as_dict()["reasons"] == list(chosen.reasons)


@pytest.mark.parametrize(("kind", "asked"), [(PlanClass.INEQUALITY, "shuffle"), (PlanClass.GENERAL, "broadcast")])
def test_strategies_that_the_statement_does_not_allow(kind: PlanClass, asked: str) -> None:
    with pytest.raises(RecipeError) as caught:
        choose(plan(kind), asked, "auto", "direct", 4, 1, 1)
    assert caught.value.code == "run.strategy_impossible"


def sample(**changes: Any) -> dict[str, Any]:
    document = json.loads(SAMPLE.read_text(encoding="utf-8"))
    for side in document["sources"].values():
        side["uri"] = str(SAMPLE.parent / side["uri"])
    return {**document, **changes}


@pytest.mark.parametrize(
    ("change", "options", "code"),
    [
        ({}, {"strategy": "fast"}, "run.invalid_option"),
        ({}, {"engine": "beam"}, "run.invalid_option"),
        ({}, {"runner": "mars"}, "run.invalid_option"),
        ({}, {"partitions": 0}, "run.invalid_option"),
        ({}, {"sources": {"middle": "a.csv"}}, "run.unknown_alias"),
        ({"match_sql": "SELECT 1"}, {}, "recipe.invalid"),
        (
            {"match_sql": "SELECT l.* FROM left_src l JOIN right_src r ON l.invoice_id = r.reference_number AND tolerance_match(l.amount, r.paid_amount, -1)"},
            {},
            "udf.invalid_argument",
        ),
    ],
)  # fmt: skip
def test_requests_that_are_refused_before_anything_is_read(
    tmp_path: Path, change: dict[str, Any], options: dict[str, Any], code: str
) -> None:
    with pytest.raises(KallaError) as caught:
        prepare(RunRequest(sample(**change), str(tmp_path / "out"), "id", **options))
    assert caught.value.code == code


def test_missing_columns_are_all_named_with_the_nearest_name(tmp_path: Path) -> None:
    document = sample()
    document["sources"]["left"]["primary_key"] = ["invoice_idd"]
    document["sources"]["right"]["primary_key"] = ["payment"]
    with pytest.raises(RecipeError) as caught:
        prepare(RunRequest(document, str(tmp_path / "out"), "id"))
    messages = {d["path"]: d["message"] for d in caught.value.details}
    assert "did you mean 'invoice_id'" in messages["sources.left.primary_key"]
    assert "sources.right.primary_key" in messages


def test_a_disposable_file_has_to_be_given(tmp_path: Path) -> None:
    document = sample()
    document["sources"]["right"] = {
        "alias": "bank", "type": "file", "schema": ["payment_id", "reference_number", "paid_amount"], "primary_key": ["payment_id"],
    }  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        prepare(RunRequest(document, str(tmp_path / "out"), "id"))
    assert caught.value.code == "run.file_required"
    given = {"right": str(SAMPLE.parent / "payments.csv")}
    assert prepare(RunRequest(document, str(tmp_path / "out"), "id", sources=given)).run_plan.strategy == "local"
