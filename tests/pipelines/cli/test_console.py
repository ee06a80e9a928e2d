"""Texts for people: numbers, bars, progress, and nothing that a terminal would obey."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress, TextColumn

from pipelines.cli.console import amount, percent, plural, print_rows, printable
from pipelines.cli.progress import StageBars
from pipelines.cli.report import bar


@given(st.text())
def test_printable_texts_hold_no_control_character(text: str):
    shown = printable(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("rate", "text"),
    [(None, "–"), (0, "0.0 %"), (1, "100.0 %"), (0.4666, "46.7 %"), (0.99999, "99.999 %"), (0.00001, "0.001 %")],
)
def test_percent_never_rounds_to_all_or_nothing(rate: float | None, text: str):
    assert percent(rate) == text


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [("8607.0000000000", "8,607.00"), ("-0.0150", "−0.015"), ("12", "12"), ("1234567.5", "1,234,567.5")],
)
def test_amounts(given_text: str, shown: str):
    assert amount(given_text) == shown


def test_plural():
    assert (plural(1, "record"), plural(1000, "record")) == ("1 record", "1,000 records")


def test_bars_grow_and_never_vanish():
    assert bar(0, 10) == "" and bar(10, 10) == "█" * 24
    assert bar(1, 1_000_000) != ""
    assert len(bar(5, 10)) == 12


def test_events_become_stages():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Progress(TextColumn("{task.description} {task.fields[told]}"), console=console) as progress:
        bars = StageBars(progress)
        bars.show({"event": "planned"})
        bars.show({"event": "waiting"})
        assert progress.tasks[0].fields["told"] == "waiting for room on the cluster"
        bars.show({"event": "progress", "stage": "staging", "source": "a", "progress": 0.0})
        assert progress.tasks[0].fields["told"] == ""
        bars.show({"event": "staged", "source": "a\x1b", "rows": 5})
        bars.show({"event": "staged", "source": "a\x1b", "rows": 6})
        assert progress.tasks[0].fields["told"] == "11 a\\x1b"
        bars.show({"event": "side", "source": "a", "side": "l", "rows": 11})
        bars.show({"event": "side", "source": "a", "side": "r", "rows": 3})
        assert progress.tasks[0].fields["told"] == "11 a, 3 a"
        bars.show({"event": "progress", "stage": "matching", "source": None, "progress": 0.5})
        bars.show({"event": "pairs", "matched_count": 7, "chunks": 2})
        bars.show({"event": "chunk", "rows": 3})
        bars.show({"event": "something new"})
        assert [task.description for task in progress.tasks] == ["Reading sources", "Matching", "Writing evidence"]
        assert (progress.tasks[2].completed, progress.tasks[2].total) == (1, 2)
        assert progress.tasks[0].finished and progress.tasks[1].finished


def test_a_table_wider_than_the_terminal_is_stacked():
    file = io.StringIO()
    print_rows(Console(file=file, width=32), ["first", "second", "third"], [["x" * 20, None, "z"]] * 2, [])
    lines = file.getvalue().splitlines()
    assert lines[0] == "--- 1 ---" and lines[1].split() == ["first", "x" * 20]
    assert lines[2].split() == ["second", "·"] and lines[4] == "--- 2 ---"
    file = io.StringIO()
    print_rows(Console(file=file, width=30), ["a"], [["x"]], [])
    assert file.getvalue().split() == ["a", "x"]
