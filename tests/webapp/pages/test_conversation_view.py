"""A session document as its page's values: steps, what waits for an answer, what is said aloud."""

from __future__ import annotations

from typing import Any

import pytest

from tests.webapp.pages import conversations as made
from webapp.pages import card, reconcile_cards
from webapp.pages.reconcile_view import CardPart, Conversation, conversation, list_words, sent, steps

ANSWERED = ("confirm", "Yes, these belong together")


def cards_of(view: Conversation) -> dict[str, CardPart]:
    return {part.id: part for message in view.messages for part in message.parts if isinstance(part, CardPart)}


def waiting(*messages: dict[str, Any], **changes: Any) -> list[str]:
    found = cards_of(conversation(made.document(*messages, **changes)))
    return [name for name, part in found.items() if part.is_open]


def test_steps_before_the_current_one_are_done() -> None:
    states = [step.state for step in steps("demonstration")]
    assert states == ["done"] * 3 + ["current"] + ["later"] * 3
    assert steps("greeting")[0].words == "Bring the records"


def test_a_card_waits_until_it_is_answered() -> None:
    assert waiting(made.agent(made.match(1, ANSWERED)), made.agent(made.match(2))) == ["match-2"]


def test_nothing_waits_while_a_turn_is_in_progress() -> None:
    assert waiting(made.agent(made.match(1)), turn="working") == []


def test_only_the_newest_rule_waits() -> None:
    first, second = made.rule(), made.rule() | {"card_id": "rules-2"}
    assert waiting(made.agent(first), made.agent(second)) == ["rules-2"]


def test_a_request_for_a_file_is_over_once_files_came() -> None:
    assert waiting(made.agent(made.upload())) == ["upload-1"]
    assert waiting(made.agent(made.upload()), made.user("", "ledger.csv")) == []


def test_tables_and_progress_never_wait() -> None:
    progress = made.card("progress", {"run_id": "x", "status": "submitted"})
    assert waiting(made.agent(made.sample()), made.agent(progress)) == []


def test_a_final_result_is_only_shown() -> None:
    final = made.result(sample=False) | {"card_id": "result-1"}
    view = conversation(made.document(made.agent(final), status="completed", phase="execution"))
    part = cards_of(view)["result-1"]
    assert part.is_final and not part.is_open
    assert view.status == "Completed"
    assert {step.state for step in view.steps} == {"done"} and view.step.name == "Result"


def test_what_is_said_aloud() -> None:
    view = conversation(made.document(made.agent(made.text("I read **both**."), made.match(2), made.sample())))
    assert view.messages[0].say == (
        "I read both. Pair 2: do these two records belong together? Table: bank.csv, 12 of 1,240 shown."
    )


def test_a_bubble_that_only_answers_a_card_is_a_reply() -> None:
    found = conversation(made.document(made.agent(made.match(1, ANSWERED)), made.user(ANSWERED[1]), made.user("more")))
    assert [message.is_reply for message in found.messages] == [False, True, False]


def test_words_about_tables_stand_above_them() -> None:
    left, right, said, pair = made.sample("left"), made.sample("right"), made.text("Both are here."), made.match(1)
    (message,) = conversation(made.document(made.agent(left, right, said, pair))).messages
    kinds = [part.type if isinstance(part, CardPart) else "text" for part in message.parts]
    assert kinds == ["text", "sample_table", "sample_table", "match_proposal"]
    assert message.say.startswith("Both are here. Table:")
    (message,) = conversation(made.document(made.agent(made.match(1), said))).messages
    assert [isinstance(part, CardPart) for part in message.parts] == [True, False]


def test_names_of_files_are_shown_once() -> None:
    (message,) = conversation(made.document(made.user("Sent bank.csv, ledger.csv", "bank.csv", "ledger.csv"))).messages
    assert message.parts == [] and message.files == ["bank.csv", "ledger.csv"]


def test_sides_and_pairs() -> None:
    pair = {"left": made.LEFT, "right": made.RIGHT}
    view = conversation(made.document(confirmed_pairs=[pair, pair], unsure_pairs=[pair]))
    assert view.pairs == "2 confirmed, 1 not sure"
    left = view.sides["left"]
    assert left is not None
    assert (left.name, left.records, left.personal) == ("bank.csv", "1,240 records", [("customer", True)])
    assert view.names == {"left": "bank.csv", "right": "ledger.csv"}
    shown = conversation(made.document(sides={"left": made.side("bank", 1, masked=[]), "right": None}))
    assert shown.sides["left"] is not None and shown.sides["left"].personal == [("customer", False)]
    assert shown.names["right"] == "right"


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"phase": "demonstration", "status": "active"}, "Step 4 of 7: Pairs"),
        ({"phase": "execution", "status": "completed"}, "Completed"),
        ({"phase": "execution", "status": "running"}, "Running"),
    ],
)
def test_where_a_conversation_stands(item: dict[str, Any], words: str) -> None:
    assert list_words(item) == words


def test_a_pair_stands_field_against_field() -> None:
    pair = card.pair(made.match()["data"])
    rows = [(f.left.column, f.right.column, f.equal, f.difference) for f in pair.facing]
    assert rows == [
        ("Verwendungszweck", "reference", True, "found inside"),
        ("Betrag", "amount", False, "0.01"),
        ("Buchungstag", "date", False, "2 days"),
    ]
    assert pair.title == "Rechnung RE-1001 Müller GmbH and RE-1001"
    assert [f.column for f in pair.single["left"]] == ["Note"]
    assert [(f.column, f.pieces) for f in pair.single["right"]][1] == ("memo", [])


@pytest.mark.parametrize(
    ("kind", "left", "right", "equal", "marked"),
    [
        ("text", "RE-1001", "RE-1007", False, ["1"]),
        ("amount", "1250.00", "1250.01", False, ["0"]),
        ("amount", "1.250,00", "1250.01", False, []),
        ("form", "1.250,00", "1250.00", True, []),
    ],
)
def test_what_differs_is_marked(kind: str, left: str, right: str, equal: bool, marked: list[str]) -> None:
    item = {"left": "a", "right": "b", "kind": kind, "gap": None}
    (facing,) = card.pair({"left": {"a": left}, "right": {"b": right}, "differences": [item]}).facing
    assert facing.equal is equal
    assert [piece for piece, mark in facing.left.pieces if mark] == marked


def test_a_difference_of_columns_that_are_not_there_is_left_out() -> None:
    item = {"left": "gone", "right": "b", "kind": "text", "gap": None}
    pair = card.pair({"left": {"a": "1"}, "right": {"b": "2"}, "differences": [item]})
    assert pair.facing == [] and pair.title == "1 and 2"


def test_a_rule_in_sentences_and_figures() -> None:
    rule = reconcile_cards.rule(made.rule()["data"])
    assert [(line.figures, line.doubts) for line in rule.lines] == [
        ("finds a partner for 1,190, leaves 50", ""),
        ("finds a partner for 1,180, leaves 60", "1 pair that you judged says otherwise"),
    ]
    assert rule.coverage == [("left", "1,180", "1,240", "95.2 %"), ("right", "1,180", "1,198", "98.5 %")]
    assert rule.curve is not None and rule.curve.points[rule.curve.chosen].value == "0.02"


def test_a_grid_takes_rows_as_lists_and_as_objects() -> None:
    lists = reconcile_cards.grid([{"name": "a"}, {"name": "_reason"}], [["1.50", "no_key"], [None, None]])
    objects = reconcile_cards.grid(["a", "_reason"], [{"a": "1.50", "_reason": "no_key"}, {}])
    assert lists == objects
    assert lists.heads == [("a", True), ("Reason", False)]
    assert lists.rows == [["1.50", "no such key"], [None, None]]


@pytest.mark.parametrize(
    ("cells", "is_amount"),
    [
        (["1.250,00", "-3,50", None], True),
        (["1,250.00 EUR", "17.5"], True),
        (["03.01.2026"], False),
        (["1001", "1002"], False),
        (["12.50", "twelve"], False),
        ([None], False),
    ],
)
def test_amounts_stand_at_the_right(cells: list[str | None], is_amount: bool) -> None:
    assert reconcile_cards.grid(["a"], [[cell] for cell in cells]).heads == [("a", is_amount)]


def test_what_was_sent_is_flat_text() -> None:
    content = [
        {"type": "text", "text": "Look."},
        {"type": "tool_use", "name": "list_sources", "input": {}},
        {"type": "tool_result", "content": [{"type": "text", "text": "[]"}]},
    ]
    (found,) = sent([{"at": made.AT, "model": "m", "system": [{"type": "text", "text": "Be exact."}],
                      "messages": [{"role": "user", "content": content}], "tools": [{"name": "list_sources"}]}])  # fmt: skip
    assert found.system == "Be exact."
    assert found.messages == [("user", "Look.\n\ncalls list_sources: {}\n\nresult: []")]
    assert found.tools == "list_sources"
