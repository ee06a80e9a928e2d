"""Each tool: what it gives, what it does to the session, and each of its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.webapp.agent.talking import (
    BANK,
    LEDGER,
    SQL,
    Talk,
    build,
    call,
    calls,
    card,
    propose,
    same_reference,
    texts,
    with_draft,
    with_files,
    with_pairs,
)
from webapp.agent.driver import Step
from webapp.errors import ServiceError


def error(talk: Talk, tool: str, **given: Any) -> str:
    """The sentence that the driver gets for a call."""
    talk.say("go on", calls(call(tool, **given)), Step("I see."))
    found = talk.results[-1].error
    assert found is not None, talk.results[-1]
    return found


def output(talk: Talk, tool: str, **given: Any) -> Any:
    talk.say("go on", calls(call(tool, **given)), Step("I see."))
    assert talk.results[-1].error is None, talk.results[-1].error
    return talk.results[-1].output


@pytest.fixture
def books(talk: Talk, data: Path) -> Talk:
    """With a registered source ``books``."""
    (data / "ledger.csv").write_text(LEDGER, encoding="utf-8")
    talk.app.sources.put("books", str(data / "ledger.csv"), "csv")
    return talk


# --- sources -------------------------------------------------------------------------------------------


def test_list_sources_masks_addresses(talk: Talk):
    talk.app.sources.put("erp", "postgres://kalla:hunter22@erp/books?table=fin.ledger", "postgres")
    found = output(talk, "list_sources")
    assert found == [
        {
            "alias": "erp",
            "source_type": "postgres",
            "status": "connected",
            "uri": "postgres://kalla:***@erp/books?table=fin.ledger",
        }
    ]
    assert talk.session.sources_list == found


def test_list_sources_says_that_the_database_is_away(talk: Talk, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object, **__: object) -> None:
        raise ServiceError("The app database does not answer.", code="database.unavailable")

    monkeypatch.setattr(talk.app.sources, "list", away)
    assert "does not answer" in error(talk, "list_sources")


def test_preview_needs_a_name(talk: Talk):
    assert "alias" in error(talk, "get_source_preview")


def test_preview_of_an_unknown_source(talk: Talk):
    assert "'nothing' was not found" in error(talk, "get_source_preview", alias="nothing")


def test_preview_of_a_source_out_of_reach(talk: Talk):
    talk.app.sources.put("erp", "postgres://kalla:hunter22@127.0.0.1:1/books?table=ledger", "postgres")
    found = error(talk, "get_source_preview", alias="erp")
    assert "hunter22" not in found and talk.session.left_source_alias is None


def test_preview_of_an_address_that_is_no_upload(talk: Talk):
    assert "not the address of an upload" in error(talk, "get_source_preview", s3_uri="s3://elsewhere/a/b.csv")


def test_preview_of_a_registered_source_makes_it_a_side(books: Talk):
    found = output(books, "get_source_preview", alias="books", limit=2)
    assert found["side"] == "left" and found["total_rows"] == 12 and len(found["rows"]) == 2
    session = books.session
    assert session.left_source_alias == "books" and session.sample_left is None
    assert [c["name"] for c in session.schema_left or []][:2] == ["entry", "reference"]
    assert books.shown["sides"]["left"]["personal"] == ["customer"]


def test_preview_of_an_upload_by_its_address_brings_its_sample(talk: Talk):
    file = talk.upload("Bank März (1).csv", BANK)
    found = output(talk, "get_source_preview", s3_uri=file["s3_uri"], side="right")
    assert found["alias"] == "Bank_März_1"
    session = talk.session
    assert session.right_source_alias == "Bank_März_1" and len(session.sample_right or []) == 10
    assert session.sources_list == [
        {"alias": "Bank_März_1", "source_type": "csv_upload", "status": "ok", "uri": file["s3_uri"]}
    ]


def test_preview_where_both_sides_are_taken(talk: Talk, data: Path):
    with_files(talk)
    (data / "x.csv").write_text(LEDGER, encoding="utf-8")
    talk.app.sources.put("third", str(data / "x.csv"), "csv")
    assert "Both sides have a source" in error(talk, "get_source_preview", alias="third")
    assert (talk.session.left_source_alias, talk.session.right_source_alias) == ("ledger", "bank")


def test_preview_again_of_a_side_changes_nothing(talk: Talk):
    with_pairs(talk, 1)
    assert output(talk, "get_source_preview", alias="ledger")["side"] == "left"
    assert len(talk.session.confirmed_pairs) == 1


@pytest.mark.parametrize("limit", [0, -1, "many", 1.5])
def test_preview_with_a_limit_that_is_none(talk: Talk, limit: object):
    assert "limit" in error(talk, "get_source_preview", alias="x", limit=limit)


def test_request_file_upload(talk: Talk):
    found = output(talk, "request_file_upload", message="Please")
    assert (found["card_type"], found["message"]) == ("upload_request", "Please")


# --- samples -------------------------------------------------------------------------------------------


def scoped(talk: Talk) -> Talk:
    """Two registered sources, known and not loaded."""
    looks = calls(call("get_source_preview", alias="books"), call("get_source_preview", alias="bank"))
    assert talk.say("these", looks, Step("Which rows?"))["phase"] == "scoping"
    return talk


@pytest.fixture
def both(books: Talk, data: Path) -> Talk:
    (data / "bank.csv").write_text(BANK, encoding="utf-8")
    books.app.sources.put("bank", str(data / "bank.csv"), "csv")
    return scoped(books)


def test_load_scoped_takes_samples_that_can_be_compared(both: Talk):
    condition = {"column": "amount", "op": "gt", "value": 105}
    loads = calls(
        call("load_scoped", alias="books", conditions=[condition], limit=5),
        call("load_scoped", alias="bank", conditions=[], limit=5),
    )
    answer = both.say("above 105", loads, Step("Loaded."))
    session = both.session
    assert answer["phase"] == "demonstration"
    assert session.scope_left == [condition] and session.scope_right == []
    assert 0 < len(session.sample_left or []) <= 5 and 0 < len(session.sample_right or []) <= 5
    left = {row["reference"] for row in session.sample_left or []}
    assert left & {row["text"] for row in session.sample_right or []}
    shown = card(answer, "sample_table")["data"]
    assert shown["side"] == "right" and shown["total"] == 10


def test_load_scoped_of_no_side(both: Talk):
    assert "source of no side" in error(both, "load_scoped", alias="ghost", conditions=[])


@pytest.mark.parametrize(
    ("condition", "word"),
    [
        ({"column": "ghost", "op": "eq", "value": "1"}, "ghost"),
        ({"column": "amount", "op": "near", "value": "1"}, "op"),
        ({"column": "amount", "op": "between", "value": ["1"]}, "two"),
    ],
)
def test_load_scoped_with_a_wrong_filter(both: Talk, condition: dict[str, Any], word: str):
    assert word in error(both, "load_scoped", alias="books", conditions=[condition])
    assert both.session.sample_left is None


def test_load_scoped_that_finds_nothing_is_said(both: Talk):
    condition = {"column": "amount", "op": "gt", "value": 99999}
    assert "No row" in error(both, "load_scoped", alias="books", conditions=[condition])
    assert both.session.phase == "scoping"


def test_load_scoped_while_the_runner_is_away(both: Talk, dispatcher):
    dispatcher.error = ServiceError("The runner cannot be reached.", code="runner.unreachable")
    condition = {"column": "amount", "op": "gt", "value": 105}
    assert "runner" in error(both, "load_scoped", alias="books", conditions=[condition])


def test_load_scoped_of_all_rows_needs_no_runner(both: Talk, dispatcher):
    dispatcher.error = ServiceError("The runner cannot be reached.", code="runner.unreachable")
    loads = calls(call("load_scoped", alias="books", conditions=[]), call("load_scoped", alias="bank", conditions=[]))
    assert both.say("all of them", loads, Step("Loaded."))["phase"] == "demonstration"
    assert len(both.session.sample_left or []) == 12 and len(both.session.sample_right or []) == 10


# --- pairs ---------------------------------------------------------------------------------------------


def test_propose_match_by_rows_and_by_numbers(talk: Talk):
    with_files(talk)
    rows = {"left_row": {"reference": "INV-1003"}, "right_row": {"text": "INV-1003", "paid": "103.50"}}
    found = output(talk, "propose_match", reasoning="same", **rows)
    assert (found["left"]["entry"], found["right"]["txn"]) == ("E3", "T3") and found["card_id"].startswith("match-")


@pytest.mark.parametrize(
    ("left", "word"),
    [
        (99, "rows 0 to"),
        (-1, "rows 0 to"),
        ({"entry": "INVENTED"}, "not in the sample"),
        ({"ghost": "E1"}, "not in the sample"),
        ({}, "Say which"),
    ],
)
def test_a_row_that_is_not_in_the_sample(talk: Talk, left: object, word: str):
    with_files(talk)
    assert word in error(talk, "propose_match", left_row=left, right_row=0, reasoning="?")


def test_a_row_that_is_not_told_apart(talk: Talk):
    twice = LEDGER + "E13,INV-1001,1.00,2026-01-01,Ada Lovelace 1\n"
    with_files(talk, twice)
    found = error(talk, "propose_match", left_row={"reference": "INV-1001"}, right_row=0, reasoning="?")
    assert "2 rows" in found


def test_a_pair_is_proposed_once(talk: Talk):
    with_files(talk)
    left, right = same_reference(talk.session, 1)
    asked = card(propose(talk, left, right), "match_proposal")
    assert "waits for an answer" in error(talk, "propose_match", left_row=left, right_row=right, reasoning="?")
    talk.reply(asked, "reject", Step("I see."))
    assert "already judged" in error(talk, "propose_match", left_row=left, right_row=right, reasoning="?")


def test_infer_rules(talk: Talk):
    with_pairs(talk)
    found = output(talk, "infer_rules", left_columns=["reference", "amount"], right_columns=["text", "paid"])
    names = {"left_col", "right_col", "op", "threshold", "confidence", "support", "discriminating", "reasoning"}
    assert names <= set(found[0])
    assert {(r["left_col"], r["right_col"]) for r in found} >= {("reference", "text"), ("amount", "paid")}


def test_infer_rules_of_unknown_columns(talk: Talk):
    with_pairs(talk)
    assert "no column 'ghost'" in error(talk, "infer_rules", left_columns=["ghost"], right_columns=["paid"])


# --- the recipe ----------------------------------------------------------------------------------------


def test_build_recipe_takes_the_sources_from_the_session(talk: Talk):
    answer = with_draft(talk)
    draft = answer["recipe_draft"]
    left = draft["sources"]["left"]
    assert left["alias"] == "ledger" and left["type"] == "csv_upload" and left["primary_key"] == ["entry"]
    assert left["uri"].startswith("s3://kalla-uploads/test/") and "customer" in left["schema"]
    assert "filters" not in left and left["format"]["decimal"] == "."
    assert draft["recipe_id"].startswith("ledger-against-bank-")
    assert talk.app.recipes.get(draft["recipe_id"]) is None


def test_build_recipe_for_a_file_that_comes_with_every_run(talk: Talk):
    with_pairs(talk)
    draft = talk.say("go on", build(right_upload_each_run=True), Step(""))["recipe_draft"]
    assert draft["sources"]["right"]["type"] == "file" and "uri" not in draft["sources"]["right"]


def test_build_recipe_of_registered_sources_copies_no_address(both: Talk):
    loads = calls(call("load_scoped", alias="books", conditions=[]), call("load_scoped", alias="bank", conditions=[]))
    both.say("all", loads, Step("Loaded."))
    asked = card(propose(both, *same_reference(both.session, 1)), "match_proposal")
    answer = both.reply(asked, "confirm", Step("Good."))
    both.reply(card(answer, "confirm"), "confirm", Step("Then the rule."))
    draft = both.say("go on", build(), Step(""))["recipe_draft"]
    assert draft["sources"]["left"]["type"] == "csv" and "uri" not in draft["sources"]["left"]


def test_keep_filters_only_on_wish(talk: Talk):
    with_files(talk)
    condition = {"column": "entry", "op": "neq", "value": "E12"}
    back = calls(call("go_back", phase="scoping", reason="filter"))
    loads = calls(
        call("load_scoped", alias="ledger", conditions=[condition]), call("load_scoped", alias="bank", conditions=[])
    )
    talk.say("not E12", back, loads, Step(""))
    asked = card(propose(talk, *same_reference(talk.session, 1)), "match_proposal")
    talk.reply(card(talk.reply(asked, "confirm", Step("Good.")), "confirm"), "confirm", Step("Rule."))
    assert "filters" not in talk.say("go on", build(), Step(""))["recipe_draft"]["sources"]["left"]
    kept = talk.say("keep them", build(keep_filters=True), Step(""))["recipe_draft"]
    assert kept["sources"]["left"]["filters"] == [condition]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"match_sql": "DROP TABLE left_src"}, ["SELECT"]),
        ({"match_sql": "SELECT * FROM left_src l JOIN runs r ON l.entry = r.id"}, ["left_src"]),
        ({"match_sql": "SELECT * FROM read_csv('/etc/passwd')"}, ["match_sql"]),
        ({"match_sql": SQL.format("0.05").replace("l.amount", "l.ghost")}, ["ghost"]),
        ({"left_pk": ["ghost"], "right_pk": ["spook"]}, ["ghost", "spook"]),
    ],
)
def test_build_recipe_refuses_all_at_once_and_keeps_no_draft(talk: Talk, change: dict[str, Any], words: list[str]):
    with_pairs(talk)
    talk.say("go on", build(**change), Step("I see."))
    found = talk.results[-1].error
    assert found is not None and all(word in found for word in words), found
    assert talk.session.recipe_draft is None


def test_save_recipe_stores_it(talk: Talk):
    draft = with_draft(talk)["recipe_draft"]
    answer = talk.say("save", calls(call("save_recipe")), Step("Saved."))
    assert (answer["status"], answer["phase"]) == ("recipe_ready", "validation")
    stored = talk.app.recipes.get(draft["recipe_id"])
    assert stored is not None and stored.document["match_sql"] == draft["match_sql"]


def test_save_recipe_replaces_nobody_elses(talk: Talk):
    document = with_draft(talk)["recipe_draft"]
    talk.app.recipes.put({**document, "recipe_id": "theirs", "name": "Theirs"})
    assert "another recipe" in error(talk, "save_recipe", recipe_id="theirs")
    stored = talk.app.recipes.get("theirs")
    assert stored is not None and stored.document["name"] == "Theirs"


def test_save_recipe_without_a_draft(talk: Talk):
    with_pairs(talk)
    assert "no draft" in error(talk, "save_recipe")


def test_validate_recipe_finds_what_has_changed_in_the_source(talk: Talk):
    with_draft(talk)
    talk.say("save", calls(call("save_recipe")), Step("Saved."))
    assert output(talk, "validate_recipe") == {
        "valid": True,
        "errors": [],
        "warnings": output(talk, "validate_recipe")["warnings"],
    }
    place = talk.session.place("left")
    assert place is not None and place.uri is not None
    from webapp.objects import parse_upload, upload_path

    Path(upload_path(talk.app.settings, parse_upload(talk.app.settings, place.uri))).unlink()
    found = output(talk, "validate_recipe")
    assert found["valid"] is False and found["errors"]


# --- runs ----------------------------------------------------------------------------------------------


def test_run_sample_says_what_the_engine_says(talk: Talk, monkeypatch: pytest.MonkeyPatch):
    from webapp.agent import sample_run

    with_draft(talk)
    talk.say("save", calls(call("save_recipe")), Step("Saved."))
    monkeypatch.setattr(sample_run, "MOST_SECONDS", 0.3)
    assert "took longer than" in error(talk, "run_sample")
    assert not talk.session.validation_approved
    assert list((talk.app.settings.staging_path / "samples").iterdir()) == []


def test_run_full_needs_the_approval(talk: Talk):
    with_draft(talk)
    talk.say("save", calls(call("save_recipe")), Step("Saved."))
    assert "not available in the phase validation" in error(talk, "run_full")


def approve(talk: Talk) -> None:
    """As if the sample's result had been approved."""
    talk.say("save", calls(call("save_recipe")), Step("Saved."))
    row = talk.app.chats.take(str(talk.session_id), "test", 60)
    assert row is not None
    values = {
        n: v
        for n, v in row.values.items()
        if n not in ("id", "version", "created_at", "updated_at", "message_count", "lease_holder", "lease_until")
    }
    assert talk.app.chats.save(
        str(talk.session_id), "test", row.values["version"], {**values, "validation_approved": True}
    )
    talk.app.chats.release(str(talk.session_id), "test")


def test_run_full_hands_over_the_file_of_this_conversation(talk: Talk, dispatcher):
    with_pairs(talk)
    talk.say("go on", build(right_upload_each_run=True), Step(""))
    approve(talk)
    answer = talk.say("run", calls(call("run_full")), Step("It runs."))
    assert answer["status"] == "running"
    job = dispatcher.jobs[0]
    assert job["sources"][1]["uri"] == talk.session.place("right").uri
    assert "under way" in error(talk, "run_full")


def test_run_full_says_that_the_runner_is_away(talk: Talk, dispatcher):
    with_draft(talk)
    approve(talk)
    dispatcher.error = ServiceError("The runner cannot be reached.", code="runner.unreachable")
    answer = talk.say("run", calls(call("run_full")), Step("I see."))
    assert "cannot be reached" in str(talk.results[-1].error)
    assert answer["status"] == "recipe_ready" and talk.session.run_id is None


def test_a_tool_that_there_is_none_of(talk: Talk):
    assert "not available" in error(talk, "format_disk")
    assert texts(talk.say("hello", Step("Hello."))) == "Hello."
