"""The seven phases: the table is the contract's, and one conversation walks all of it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.webapp.agent.talking import (
    LEDGER,
    ReadingDispatcher,
    Talk,
    build,
    call,
    calls,
    card,
    kinds,
    propose,
    same_reference,
    texts,
    with_draft,
    with_files,
    with_pairs,
)
from webapp.agent.driver import Step
from webapp.agent.entries import Moved
from webapp.agent.phases import NAMES, PHASES
from webapp.services import runs

CONTRACT = {
    "greeting": {"list_sources", "get_source_preview", "request_file_upload"},
    "intent": {"list_sources", "get_source_preview", "request_file_upload"},
    "scoping": {"load_scoped", "get_source_preview", "request_file_upload", "list_sources"},
    "demonstration": {"propose_match", "get_source_preview"},
    "inference": {"infer_rules", "build_recipe", "save_recipe", "propose_match"},
    "validation": {"validate_recipe", "run_sample", "save_recipe", "get_source_preview"},
    "execution": {"run_full", "validate_recipe"},
}


def test_the_table_is_the_contracts():
    assert {phase.name: set(phase.tools) for phase in PHASES} == CONTRACT
    assert NAMES == tuple(CONTRACT)
    assert [phase.context for phase in PHASES] == [
        (),
        ("sources",),
        ("schemas", "samples"),
        ("schemas", "samples", "pairs"),
        ("schemas", "pairs"),
        ("draft", "schemas"),
        ("draft",),
    ]


def test_a_conversation_walks_all_seven_phases_to_a_completed_run(talk: Talk, dispatcher: ReadingDispatcher):
    assert talk.say("Hello", calls(call("list_sources")), Step("What shall we compare?"))["phase"] == "intent"
    assert with_files(talk)["phase"] == "demonstration"
    answer: dict[str, Any] = {}
    for number in (1, 2, 4):
        answer = propose(talk, *same_reference(talk.session, number))
        asked = card(answer, "match_proposal")
        assert asked["data"]["number"] == {1: 1, 2: 2, 4: 3}[number]
        answer = talk.reply(asked, "confirm", Step("Good."))
    assert answer["phase"] == "inference"
    infer = call("infer_rules", left_columns=["reference", "amount"], right_columns=["text", "paid"])
    answer = talk.say("go on", calls(infer), build(), Step(""))
    rule = card(answer, "rule_summary")
    assert rule["data"]["figures"]["matched_left"] == 10
    assert [r["sentence"] for r in rule["data"]["rules"]]
    assert rule["data"]["curve"]["threshold"] == "0.05"
    saved = calls(call("save_recipe")), calls(call("validate_recipe"), call("run_sample")), Step("")
    answer = talk.reply(rule, "approve", *saved)
    assert (answer["phase"], answer["status"]) == ("validation", "recipe_ready")
    result = card(answer, "result_summary")
    assert result["card_id"].startswith("validation-")
    figures = result["data"]
    assert (figures["matched_count"], figures["unmatched_left_count"], figures["unmatched_right_count"]) == (10, 2, 0)
    assert figures["match_rate"] == pytest.approx(10 / 12)
    assert figures["sample"] is True and figures["rows"]["matched"]["preview_rows"] == 5
    assert figures["reasons"]["left"] == {"no_key": 2}
    answer = talk.reply(result, "approve", calls(call("run_full")), Step("It runs."))
    assert (answer["phase"], answer["status"]) == ("execution", "running")
    run_id = card(answer, "progress")["data"]["run_id"]
    assert dispatcher.jobs[0]["run_id"] == run_id
    assert runs.get_run(talk.app, run_id)["status"] == "submitted"
    assert talk.session.run_id == run_id
    moves = [(e.phase_from, e.phase_to) for e in talk.session.working.entries if isinstance(e, Moved)]
    assert moves == list(itertools.pairwise(NAMES))


def test_a_greeting_advances_by_an_empty_list_of_sources(talk: Talk):
    assert talk.say("Hello", calls(call("list_sources")), Step("Hello."))["phase"] == "intent"
    assert talk.session.sources_list == []


def test_a_phase_advances_within_a_turn_and_brings_its_tools(talk: Talk):
    with_files(talk)
    names = [{spec.name for spec in view.tools} for view in talk.driver.views]
    assert names == [CONTRACT["greeting"], CONTRACT["demonstration"] | {"go_back"}]


def test_files_need_no_scoping_but_can_be_filtered(talk: Talk, dispatcher: ReadingDispatcher):
    with_files(talk)
    back = calls(call("go_back", phase="scoping", reason="only a few"))
    condition = {"column": "entry", "op": "in", "value": ["E1", "E2"]}
    load = calls(
        call("load_scoped", alias="ledger", conditions=[condition]), call("load_scoped", alias="bank", conditions=[])
    )
    answer = talk.say("only E1 and E2", back, load, Step(""))
    assert answer["phase"] == "demonstration"
    assert [row["entry"] for row in talk.session.sample_left or []] == ["E1", "E2"]
    assert talk.session.scope_left == [condition]
    assert dispatcher.loads[0][1]["conditions"] == [condition]
    assert card(answer, "sample_table")["data"]["shown"] >= 1


def test_one_pair_is_enough_when_the_person_says_so(talk: Talk):
    answer = with_pairs(talk, 1)
    asked = card(answer, "confirm")
    assert asked["data"]["purpose"] == "enough_pairs"
    assert talk.session.phase == "demonstration"
    assert talk.reply(asked, "confirm", Step("Then the rule."))["phase"] == "inference"


def test_one_pair_is_not_enough_when_the_person_says_no(talk: Talk):
    asked = card(with_pairs(talk, 1), "confirm")
    assert talk.reply(asked, "cancel", Step("Another one then."))["phase"] == "demonstration"


def test_another_source_returns_to_intent_and_says_what_is_gone(talk: Talk):
    with_draft(talk)
    other = talk.upload("other.csv", LEDGER.replace("E1,", "F1,"))
    look = calls(call("get_source_preview", alias="other", side="left"))
    answer = talk.say("use another file", look, Step("Now with this one."), files=[other])
    session = talk.session
    assert session.left_source_alias == "other" and session.right_source_alias == "bank"
    assert session.confirmed_pairs == [] and session.recipe_draft is None
    assert answer["phase"] == "demonstration"
    assert "in place of ledger" in texts(answer) and "gone" in texts(answer)
    moves = [e.phase_to for e in session.working.entries if isinstance(e, Moved)]
    assert "intent" in moves


def test_a_file_that_nobody_looks_at_leaves_the_conversation_where_it_was(talk: Talk):
    with_draft(talk)
    answer = talk.say("keep this", Step("Fine."), files=[talk.upload("other.csv", LEDGER)])
    assert answer["phase"] == "inference"
    assert talk.session.recipe_draft is not None


def test_the_sides_can_be_told_the_other_way_round(talk: Talk):
    with_files(talk)
    turn = calls(
        call("get_source_preview", alias="bank", side="left"), call("get_source_preview", alias="ledger", side="right")
    )
    talk.say("left is the other one", turn, Step("Done."))
    session = talk.session
    assert (session.left_source_alias, session.right_source_alias) == ("bank", "ledger")
    assert session.phase == "demonstration"
    assert "txn" in (session.sample_left or [{}])[0] and "entry" in (session.sample_right or [{}])[0]


def test_adjusting_the_result_returns_to_the_rule_and_withdraws_the_approval(talk: Talk, approved: dict[str, Any]):
    answer = talk.reply(approved, "adjust", build("0.01"), Step(""), value="one cent at most")
    assert (answer["phase"], answer["status"]) == ("inference", "active")
    assert not talk.session.validation_approved
    assert "0.01" in answer["recipe_draft"]["match_sql"]


@pytest.fixture
def approved(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The card of a sample's result."""
    rule = card(with_draft(talk), "rule_summary")
    answer = talk.reply(rule, "approve", calls(call("save_recipe")), calls(call("run_sample")), Step(""))
    return card(answer, "result_summary")


def test_history_keeps_calls_and_results(talk: Talk):
    with_files(talk)
    found = kinds(talk.session.working.entries)
    assert found[:2] == ["Attached", "UserText"]
    assert found.count("Called") == found.count("Result") == 2
