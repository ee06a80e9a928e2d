"""The agent's words as blocks: what is known, and that everything else stays text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.pages.prose import blocks, pieces, plain


def shape(text: str) -> list[tuple[str, list[str]]]:
    return [(block.kind, ["".join(word for word, _ in line) for line in block.lines]) for block in blocks(text)]


def test_paragraphs_lists_and_headings() -> None:
    text = "# Both files\nI read **both**:\n\n- bank\n- ledger\n\n1. first\n2) second\n\nDone.\nReally."
    assert shape(text) == [
        ("heading", ["Both files"]),
        ("paragraph", ["I read both:"]),
        ("list", ["bank", "ledger"]),
        ("numbers", ["first", "second"]),
        ("paragraph", ["Done.", "Really."]),
    ]


def test_a_list_goes_on_over_a_blank_line() -> None:
    assert shape("- one\n\n- two\n\nthen\n\n- three") == [
        ("list", ["one", "two"]),
        ("paragraph", ["then"]),
        ("list", ["three"]),
    ]


@pytest.mark.parametrize("text", ["-5.00 is negative", "1.250,00 EUR", "a * b * c", "**", "`", "<b>bold</b>"])
def test_what_only_looks_like_a_mark_stays(text: str) -> None:
    assert shape(text) == [("paragraph", [text])]


def test_marked_words() -> None:
    assert pieces("the **left** is `bank.csv`") == [
        ("the ", ""),
        ("left", "strong"),
        (" is ", ""),
        ("bank.csv", "code"),
    ]


def test_links_lead_to_pages_of_the_app_alone() -> None:
    assert pieces("see [the run](/runs/4a-1).") == [("see ", ""), ("the run", "/runs/4a-1"), (".", "")]
    for text in (
        "[x](https://evil.example)",
        "[x](//evil.example)",
        "[x](/runs/../api/sources)",
        "[x](javascript:alert(1))",
        "[x](/runs/a?done=run-cancelled)",
        "[x](/assets/main.js)",
    ):
        assert pieces(text) == [(text, "")]


@given(st.text(alphabet=st.characters(blacklist_characters="*`#-•.)[\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_nothing_is_lost_of_a_text_without_marks(text: str) -> None:
    assert plain(text).split() == text.split()
