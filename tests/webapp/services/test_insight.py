"""What is known of sources: read once by whoever asks first, ahead of the asker, anew when a file has changed."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recipe import KallaError
from webapp.context import Kalla
from webapp.services import insight
from webapp.services.insight import SourceRef, for_sources, look_ahead

ROWS = "id,amount\n" + "".join(f"A-{n},{n}.50\n" for n in range(100, 150))


@pytest.fixture
def written(data: Path) -> SourceRef:
    return _written(data / "ledger.csv", ROWS)


def _written(path: Path, text: str) -> SourceRef:
    path.write_text(text, encoding="utf-8")
    return SourceRef(path.stem, "csv", str(path))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The aliases of what has been read, in order."""
    read: Callable[..., Any] = insight._read
    found: list[str] = []

    def noted(app: Kalla, ref: SourceRef) -> Any:
        found.append(ref.alias)
        return read(app, ref)

    monkeypatch.setattr(insight, "_read", noted)
    return found


def test_a_source_is_read_once_until_it_changes(parts: Kalla, written: SourceRef, data: Path, reads: list[str]) -> None:
    first = for_sources(parts, written, None).left
    assert for_sources(parts, written, None).left is first
    assert (first.total_rows, first.is_whole, first.rows[0]) == (50, True, ["A-100", "100.50"])
    _written(data / "ledger.csv", ROWS + "A-150,\n")
    again = for_sources(parts, written, None).left
    assert (again.total_rows, again.rows[-1]) == (51, ["A-150", None])
    assert reads == ["ledger", "ledger"]


def test_a_commit_into_the_log_of_a_database_is_seen(parts: Kalla, data: Path) -> None:
    with closing(sqlite3.connect(data / "books.db")) as owner:
        owner.execute("PRAGMA journal_mode = wal")
        owner.execute("CREATE TABLE t (id integer)")
        owner.execute("INSERT INTO t VALUES (1)")
        owner.commit()
        books = SourceRef("books", "sqlite", f"sqlite://{data}/books.db?table=t")
        assert for_sources(parts, books, None).left.rows == [["1"]]
        owner.execute("INSERT INTO t VALUES (2)")
        owner.commit()
        assert for_sources(parts, books, None).left.rows == [["1"], ["2"]]


def test_both_sides_are_analysed_once(parts: Kalla, written: SourceRef, data: Path) -> None:
    other = _written(data / "bank.csv", ROWS.replace("id,", "reference,"))
    found = for_sources(parts, written, other)
    assert for_sources(parts, written, other) is found
    assert found.analysis is not None and found.analysis.keys[0][0].right_col == "reference"


def test_who_asks_for_what_is_looked_at_ahead_waits_for_it(
    parts: Kalla, written: SourceRef, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Callable[..., Any] = insight._read
    began, may_end = threading.Event(), threading.Event()

    def slow(app: Kalla, ref: SourceRef) -> Any:
        began.set()
        assert may_end.wait(30)
        return read(app, ref)

    monkeypatch.setattr(insight, "_read", slow)
    look_ahead(parts, written)
    assert began.wait(30)
    found: list[Any] = []
    asker = threading.Thread(target=lambda: found.append(for_sources(parts, written, None).left))
    asker.start()
    may_end.set()
    asker.join(30)
    assert len(found[0].rows) == 50 and reads == ["ledger"]


def test_an_error_ahead_is_met_by_who_asks(parts: Kalla, data: Path, reads: list[str]) -> None:
    ref = _written(data / "broken.csv", "a,b\n1,2,3\n")
    look_ahead(parts, ref)
    for _ in range(600):
        if insight._AHEAD._value == 2:
            break
        time.sleep(0.05)
    with pytest.raises(KallaError, match="broken"):
        for_sources(parts, ref, None)
    assert reads == ["broken", "broken"]
    _written(data / "broken.csv", "a,b\n1,2\n")
    assert for_sources(parts, ref, None).left.rows == [["1", "2"]]
