"""What one process has found out serves the others, and is found out again where it cannot."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from webapp.services.findings import SECONDS, Findings, expire
from webapp.settings import Settings


class Find:
    """Counts how often it was asked."""

    def __init__(self, value: object = "found", seconds: float = 0.0) -> None:
        self.value, self.seconds, self.asked = value, seconds, 0

    def __call__(self) -> object:
        self.asked += 1
        time.sleep(self.seconds)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment({"STAGING_PATH": str(tmp_path / "staging")})


@pytest.fixture
def process() -> Callable[[], Findings]:
    """What a process of the app has: memory of its own, the same files."""
    return lambda: Findings("rows", 3)


def files(settings: Settings) -> list[Path]:
    return sorted((settings.staging_path / "findings").glob("rows-*"))


def test_what_one_has_found_another_knows(settings: Settings, process: Callable[[], Findings]):
    find, one, other = Find([["1", None]]), process(), process()
    assert one.once(settings, ("a", "b"), find) == other.once(settings, ("a", "b"), find) == [["1", None]]
    assert one.once(settings, ("a", "b"), find) is one.once(settings, ("a", "b"), find)
    assert find.asked == 1
    assert other.once(settings, ("a b",), Find("else")) == "else"
    assert files(settings)[0].stat().st_mode & 0o777 == 0o600
    assert (settings.staging_path / "findings").stat().st_mode & 0o777 == 0o700


def test_whoever_asks_meanwhile_waits(settings: Settings, process: Callable[[], Findings]):
    find, all_of_them = Find(seconds=0.5), [process() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda known: known.once(settings, ("a",), find), [*all_of_them, *all_of_them]))
    assert found == ["found"] * 8 and find.asked == 1


def test_errors_are_not_kept(settings: Settings, process: Callable[[], Findings]):
    known = process()
    for _ in range(2):
        with pytest.raises(ValueError, match="away"):
            known.once(settings, ("a",), Find(ValueError("away")))
    assert known.once(settings, ("a",), Find()) == "found"


def test_its_time_is_over_some_day(settings: Settings, process: Callable[[], Findings]):
    find = Find()
    process().once(settings, ("a",), find)
    long_ago = time.time() - SECONDS - 1
    os.utime(files(settings)[0], (long_ago, long_ago))
    process().once(settings, ("a",), find)
    assert find.asked == 2
    expire(settings)
    assert len(files(settings)) == 1
    os.utime(files(settings)[0], (long_ago, long_ago))
    expire(settings)
    assert files(settings) == []


class Harmful:
    """A pickle that does something to whoever reads it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_a_file_that_is_not_of_our_own_is_never_read(
    settings: Settings, process: Callable[[], Findings], tmp_path: Path
):
    process().once(settings, ("a",), Find())
    own = files(settings)[0].read_bytes()
    harmful = pickle.dumps(Harmful(tmp_path / "touched"))
    for spoilt in (b"", own[:20], own[:-1], own[1:], harmful, own[:32] + harmful, bytes(32) + harmful):
        files(settings)[0].write_bytes(spoilt)
        assert process().once(settings, ("a",), Find("anew")) == "anew"
        assert process().once(settings, ("a",), Find("not asked")) == "anew"
    assert not (tmp_path / "touched").exists()


def test_what_is_not_worth_it_is_not_kept(settings: Settings, process: Callable[[], Findings]):
    find, known = Find(), process()
    for _ in range(2):
        known.once(settings, ("a",), find, lambda value: False)
    assert find.asked == 2 and files(settings) == []


def test_only_so_many_are_kept(settings: Settings, process: Callable[[], Findings]):
    known, find = process(), Find()
    for number in range(5):
        known.once(settings, (str(number),), find)
        time.sleep(0.02)  # their times of change tell the older ones
    assert len(files(settings)) == 3
    process().once(settings, ("4",), find)
    assert find.asked == 5


def test_without_a_place_for_files_it_works_all_the_same(settings: Settings, process: Callable[[], Findings]):
    settings.staging_path.write_text("in the way")
    find, known = Find(), process()
    assert known.once(settings, ("a",), find) == known.once(settings, ("a",), find) == "found"
    assert find.asked == 1


def test_a_thread_that_waits_gets_the_error_of_the_one_it_waits_for(
    settings: Settings, process: Callable[[], Findings]
):
    known, begun = process(), threading.Event()

    def fails() -> object:
        begun.set()
        time.sleep(0.3)
        raise ValueError("away")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(known.once, settings, ("a",), fails)
        assert begun.wait(10)
        second = pool.submit(known.once, settings, ("a",), Find())
        assert isinstance(first.exception(), ValueError) and isinstance(second.exception(), ValueError)


def test_a_note_is_changed_by_one_at_a_time(settings: Settings, process: Callable[[], Findings]):
    def one_more(before: int | None) -> int:
        time.sleep(0.01)
        return (before or 0) + 1

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: process().change(settings, ("a",), one_more), range(12)))
    assert sorted(counts) == list(range(1, 13))
    assert process().change(settings, ("b",), one_more) == 1


def test_the_key_is_made_before_the_processes_are_forked():
    """They come from one that has imported the app; each would have a key of its own otherwise."""
    command = "import sys, webapp.app; sys.exit('webapp.services.findings' not in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], timeout=120, check=False).returncode == 0
