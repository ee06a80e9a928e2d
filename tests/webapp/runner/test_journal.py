"""The journal: what it remembers, what it forgets, and who may read it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from webapp.errors import ServiceError, SettingsError
from webapp.runner import journal as module
from webapp.runner.journal import Journal, first_free

BODY = {"run_id": "r"}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "runner")


def add(journal: Journal, run_id: str, digest: str = "d", most: int = 10, streamed: bool = False) -> bool:
    return journal.add(run_id, digest, json.dumps({"uri": "postgres://u:tops3cret@h/d"}), "http://h/x", most, streamed)


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


def test_a_password_is_gone_once_its_job_is_final(journal: Journal, tmp_path: Path):
    for name in ("done", "cancelled", "open"):
        add(journal, name)
    assert b"tops3cret" in on_disk(tmp_path / "runner")
    journal.start_next()
    journal.finish("done", "completed", "complete", BODY)
    journal.cancel("cancelled")
    journal.cancel("open")
    assert b"tops3cret" not in on_disk(tmp_path / "runner")
    assert journal.knows("done", "d")


def test_one_final_callback(journal: Journal):
    add(journal, "a")
    started = journal.start_next()
    assert started is not None and (started.status, started.starts) == ("running", 1)
    assert journal.finish("a", "failed", "error", {"run_id": "a", "error": "x"})
    assert not journal.finish("a", "completed", "complete", BODY)
    (final,) = journal.due(time.time(), 10)
    assert (final.run_id, final.kind, final.body, final.url) == (
        "a",
        "error",
        {"run_id": "a", "error": "x"},
        "http://h/x",
    )
    journal.postpone(final, 1.0, time.time() + 60)
    assert journal.due(time.time(), 10) == [] and (journal.next_due() or 0) > time.time()
    journal.retry_now()
    assert journal.due(time.time(), 10)[0].attempts == 1
    journal.end_delivery("a", "delivered")
    assert journal.next_due() is None


def test_a_cancelled_job_has_no_callback(journal: Journal):
    add(journal, "a")
    journal.start_next()
    journal.cancel("a")
    assert not journal.finish("a", "completed", "complete", BODY)
    assert journal.due(time.time(), 10) == []


def test_it_survives_being_opened_again(tmp_path: Path):
    first = Journal(tmp_path)
    add(first, "a")
    add(first, "b")
    first.start_next()
    first.set_stage("a", "matching")
    first.close()
    second = Journal(tmp_path)
    assert [(e.run_id, e.status, e.stage, e.starts) for e in second.open_jobs()] == [
        ("a", "running", "matching", 1), ("b", "queued", None, 0),
    ]  # fmt: skip
    second.requeue("a")
    again = second.start_next()
    assert again is not None and (again.run_id, again.starts, again.stage) == ("a", 2, None)


def test_conflict_and_queue(journal: Journal):
    assert add(journal, "a") and not add(journal, "a")
    with pytest.raises(ServiceError) as conflict:
        add(journal, "a", digest="other")
    assert conflict.value.code == "job.conflict"
    with pytest.raises(ServiceError) as full:
        add(journal, "b", most=1)
    assert full.value.code == "runner.queue_full" and journal.queued() == 1


def test_old_jobs_are_forgotten(journal: Journal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "KEPT_JOBS", 3)
    for number in range(10):
        name = f"j{number}"
        add(journal, name, most=99)
        if number != 1:  # still at work: never forgotten
            journal.finish(name, "completed", "complete", BODY)
            if number != 2:  # owed: never forgotten
                journal.end_delivery(name, "delivered")
    kept = [n for n in range(10) if journal.get(f"j{n}") is not None]
    assert kept == [1, 2, 7, 8, 9]
    monkeypatch.setattr(module, "KEPT_SECONDS", -1)
    journal.end_delivery("j9", "delivered")
    assert [n for n in range(10) if journal.get(f"j{n}") is not None] == [1, 2]


def test_one_runner_a_journal(tmp_path: Path):
    first = Journal(tmp_path)
    with pytest.raises(SettingsError) as used:
        Journal(tmp_path, wait_seconds=0.1)
    assert used.value.code == "runner.journal_in_use"
    first.close()
    Journal(tmp_path, wait_seconds=0).close()


def test_runners_that_share_a_folder(tmp_path: Path):
    first, second = first_free(tmp_path), first_free(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"]
    first.close()
    third = first_free(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"]
    second.close()
    third.close()


def test_no_place_for_a_journal(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as found:
        Journal(tmp_path / "file" / "runner")
    assert found.value.code == "runner.journal_unusable"


def test_jobs_of_the_stream_are_dropped_only_while_open(journal: Journal):
    add(journal, "a", streamed=True)
    add(journal, "b", streamed=True)
    journal.finish("b", "completed", "complete", BODY)
    journal.forget("a")
    journal.forget("b")
    assert journal.get("a") is None and journal.get("b") is not None
