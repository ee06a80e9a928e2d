"""The work folder: private, locked, gone afterwards; commit in one step."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from pathlib import Path

import pytest

from pipelines import locks, workdir
from pipelines.errors import OutputRefused
from pipelines.workdir import MANIFEST, SETS, WorkDir, check_output, remove_abandoned, remove_abandoned_scratch
from tests.helpers import background


def finish(work: WorkDir, text: str) -> None:
    (work.evidence / MANIFEST).write_text(text)
    (work.evidence / "matched" / "part-00000.parquet").write_text(text)


def hidden(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.name.startswith(".")]


def test_commit_makes_everything_visible_at_once(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with WorkDir(output, "one") as work:
        finish(work, "1")
        assert not output.exists()
        work.commit(overwrite=False)
    assert {entry.name for entry in output.iterdir()} == {MANIFEST, *SETS}
    assert hidden(tmp_path) == []


def test_an_empty_folder_may_be_the_output(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    with WorkDir(output, "one") as work:
        finish(work, "1")
        work.commit(overwrite=False)
    assert (output / MANIFEST).read_text() == "1"


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), WorkDir(tmp_path / "out", "one") as work:
        finish(work, "1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "overwrite", "code"),
    [
        ([MANIFEST, *SETS], False, "run.output_exists"),
        (["notes.txt"], True, "run.output_not_empty"),
        ([MANIFEST, "notes.txt"], True, "run.output_not_empty"),
    ],
)
def test_folders_that_are_refused(tmp_path: Path, files: list[str], overwrite: bool, code: str) -> None:
    output = tmp_path / "out"
    output.mkdir()
    for name in files:
        (output / name).write_text("x")
    with pytest.raises(OutputRefused) as caught:
        check_output(output, overwrite)
    assert caught.value.code == code


def test_a_file_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputRefused) as caught:
        check_output(tmp_path / "out", True)
    assert caught.value.code == "run.output_not_folder"


def test_overwrite_never_shows_a_gap_or_a_mixture(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with WorkDir(output, "first") as work:
        finish(work, "0")
        work.commit(False)
    seen: set[str] = set()
    missing: list[OSError] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                seen.add((output / MANIFEST).read_text())
            except OSError as error:
                missing.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 30):
        with WorkDir(output, f"run-{number}") as work:
            finish(work, str(number))
            work.commit(overwrite=True)
    stop.set()
    reader.join()
    assert missing == []
    assert seen <= {str(number) for number in range(30)}
    assert (output / "matched" / "part-00000.parquet").read_text() == "29"


def test_two_runs_for_one_output_commit_once(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with WorkDir(output, "a") as first, WorkDir(output, "b") as second:
        finish(first, "a")
        finish(second, "b")
        first.commit(False)
        with pytest.raises(OutputRefused):
            second.commit(False)
    assert (output / MANIFEST).read_text() == "a"


def test_what_a_crash_left_is_removed_and_what_lives_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out[1]"
    crashed = tmp_path / ".out[1].kalla-dead"
    (crashed / "scratch").mkdir(parents=True)
    (crashed / "lock").touch()
    unlocked = tmp_path / ".out[1].kalla-early"
    unlocked.mkdir()
    with WorkDir(output, "alive") as work:
        remove_abandoned(output)
        assert work.path.exists()
        assert not crashed.exists()
        assert unlocked.exists()  # it may be between mkdir and its lock
        monkeypatch.setattr(locks.time, "time", lambda: os.stat(unlocked).st_mtime + 61)
        remove_abandoned(output)
        assert not unlocked.exists()


def test_a_run_that_is_known_to_be_over_waits_for_no_lock(tmp_path: Path) -> None:
    folders = [tmp_path / f".out.kalla-{name}" for name in ("a*.1", "a*.2", "ab.1", "b.1")]
    for folder in folders:
        folder.mkdir()
    held = locks.lock(folders[1])
    remove_abandoned(tmp_path / "out", gone="a*")
    assert [folder.exists() for folder in folders] == [False, True, True, True]
    os.close(held)
    remove_abandoned(tmp_path / "out", gone="a*")
    assert not folders[1].exists()


def test_scratch_data_may_lie_elsewhere_and_the_commit_is_still_one_rename(tmp_path: Path) -> None:
    output, staging = tmp_path / "here" / "out", tmp_path / "there" / "fast"
    with WorkDir(output, "one", staging) as work:
        assert work.scratch.is_relative_to(staging)
        assert work.evidence.parent.parent == output.parent
        (work.scratch / "staged").write_text("rows")
        finish(work, "1")
        work.commit(overwrite=False)
    assert (output / MANIFEST).read_text() == "1"
    assert list(staging.iterdir()) == hidden(output.parent) == []


def test_a_folder_that_cannot_be_filled_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(workdir, "lock", full)
    with pytest.raises(OSError, match="No space"), WorkDir(tmp_path / "out", "one"):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_nothing_in_the_staging_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), WorkDir(tmp_path / "out", "one", tmp_path / "staging"):
        raise RuntimeError
    assert [entry.name for entry in tmp_path.iterdir()] == ["staging"]
    assert list((tmp_path / "staging").iterdir()) == []


def test_scratch_data_of_crashed_runs_goes_and_that_of_living_ones_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = tmp_path / "staging"
    crashed, unlocked, other = (staging / f"kalla-scratch-{name}" for name in ("crashed", "unlocked", "link"))
    for folder in (crashed, unlocked):
        folder.mkdir(parents=True)
    (crashed / "lock").touch()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "lock").touch()
    other.symlink_to(mine)
    (staging / "notes.txt").touch()
    with WorkDir(tmp_path / "a", "alive", staging) as work, WorkDir(tmp_path / "b", "second", staging):
        assert not crashed.exists()
        assert work.scratch.exists()
        assert unlocked.exists()  # just made: its run may be about to lock it
        monkeypatch.setattr(locks.time, "time", lambda: os.stat(unlocked).st_mtime + 61)
        remove_abandoned_scratch(staging)
        assert not unlocked.exists()
        assert work.scratch.exists()
    assert (mine / "lock").exists()
    assert (staging / "notes.txt").exists()


def test_a_staging_folder_that_cannot_be_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for staging in (tmp_path / "file", tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(OutputRefused) as caught, WorkDir(tmp_path / "out", "one", staging):
            pass
        assert caught.value.code == "run.staging_denied"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("aside", [False, True])
def test_a_worker_that_is_still_at_work_keeps_nothing_from_being_removed(aside: bool, tmp_path: Path) -> None:
    """As after a job server was lost: its workers do not know yet that the run is over."""

    def work(stop: threading.Event, folders: list[Path]) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            for folder in folders:
                with contextlib.suppress(FileNotFoundError):
                    (folder / f"part-{number}").touch()

    staging = tmp_path / "staging" if aside else None
    for _ in range(20):
        with contextlib.ExitStack() as stack:
            with WorkDir(tmp_path / "out", "one", staging) as found:
                stack.enter_context(background(work, [found.scratch, found.evidence / "matched"]))
                for number in range(100):
                    (found.scratch / f"staged-{number}").touch()
            assert [path for path in tmp_path.rglob("*") if path != staging] == []
