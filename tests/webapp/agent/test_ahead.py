"""What a conversation begins to read while the person still thinks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.webapp.agent.talking import BANK, LEDGER, Talk, call, calls
from webapp.agent import tools_sources
from webapp.agent.driver import Step


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The aliases that were begun with, look by look."""
    found: list[list[str]] = []
    monkeypatch.setattr(
        tools_sources, "look_ahead", lambda app, *refs: found.append([ref.alias for ref in refs if ref is not None])
    )
    return found


def register(talk: Talk, data: Path, *aliases: str) -> None:
    for alias in aliases:
        (data / f"{alias}.csv").write_text(BANK if alias == "bank" else LEDGER, encoding="utf-8")
        talk.app.sources.put(alias, str(data / f"{alias}.csv"), "csv")


def use(talk: Talk, tool: str, **given: Any) -> None:
    talk.say("go on", calls(call(tool, **given)), Step("I see."))
    assert talk.results[-1].error is None, talk.results[-1].error


def test_files_to_choose_among_are_read_before_one_is_chosen(talk: Talk, data: Path, begun: list[list[str]]):
    register(talk, data, "bank", "books")
    use(talk, "list_sources")
    assert begun == [["books"], ["bank"]]


def test_the_likely_other_one_is_compared_before_it_is_chosen(talk: Talk, data: Path, begun: list[list[str]]):
    register(talk, data, "bank", "books")
    use(talk, "list_sources")
    use(talk, "get_source_preview", alias="books", side="right")
    assert begun[2:] == [["books"], ["bank", "books"]]
    use(talk, "get_source_preview", alias="bank", side="left")
    assert begun[4:] == [["bank", "books"]]


def test_of_some_files_two_are_read_and_of_many_none(talk: Talk, data: Path, begun: list[list[str]]):
    names = [f"till_{number}" for number in range(9)]
    register(talk, data, *names[:8])
    use(talk, "list_sources")
    assert len(begun) == 2
    register(talk, data, names[8])
    use(talk, "list_sources")
    use(talk, "get_source_preview", alias="till_0", side="left")
    assert begun[2:] == [["till_0"]]


def test_servers_are_left_alone_until_one_is_chosen(talk: Talk, data: Path, begun: list[list[str]]):
    talk.app.sources.put("erp", "postgres://kalla:hunter22@erp/books?table=fin.ledger", "postgres")
    talk.app.sources.put("shop", "s3://shop/orders.csv", "s3")
    register(talk, data, "books")
    use(talk, "list_sources")
    assert begun == [["books"]]


def test_a_file_that_is_gone_is_said_when_it_is_chosen(talk: Talk, data: Path):
    register(talk, data, "books")
    (data / "books.csv").unlink()
    use(talk, "list_sources")
    talk.say("go on", calls(call("get_source_preview", alias="books")), Step("I see."))
    assert "There is no file" in (talk.results[-1].error or "")
