"""A run leaves whole evidence or none: killed, run twice at once, or with the output folder in its way."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.evidence import verify
from pipelines.launch import launch
from recipe import KallaError
from tests.conftest import REQUIRE_ALL
from tests.helpers import (
    background,
    beam,
    changed,
    document,
    drive,
    listing,
    manifest,
    parts,
    request,
    source,
    write_parquet,
)

ROWS = 200_000
SQL = "SELECT l.*, r.paid FROM left_src l JOIN right_src r ON l.id = r.ref AND tolerance_match(l.amount, r.paid, 0.02)"
MOMENTS = 10 if REQUIRE_ALL else 3


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A recipe over two files that keep a run busy for a few seconds."""
    folder = tmp_path_factory.mktemp("large")
    ids = np.arange(ROWS)
    texts = pa.array([f"customer {i % 977} of some length" for i in range(ROWS)])
    amounts = pa.array(ids % 9973).cast(pa.decimal128(21, 2))
    pq.write_table(pa.table({"id": ids, "amount": amounts, "name": texts}), folder / "l.parquet", row_group_size=50_000)
    pq.write_table(
        pa.table({"no": ids, "ref": ids * 3 // 2, "paid": amounts}), folder / "r.parquet", row_group_size=50_000
    )
    return document(SQL, source(folder / "l.parquet", ["id"]), source(folder / "r.parquet", ["no"]))


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Any]:
    """A recipe over three rows a side."""
    left = write_parquet(tmp_path / "l.parquet", {"id": [1, 2, 3]}, {"id": pa.int64()})
    right = write_parquet(tmp_path / "r.parquet", {"id": [2, 3, 4]}, {"id": pa.int64()})
    return document(
        "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id", source(left, ["id"]), source(right, ["id"])
    )


def hidden(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


def whole(folder: Path) -> bool:
    """Whether the folder holds committed evidence that verifies."""
    found = verify(folder)
    assert found.ok, found
    return True


@pytest.mark.timeout(250)
def test_killed_at_random_moments(large: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    started = time.monotonic()
    assert launch(request(large, out))["status"] == "completed"
    lasted = time.monotonic() - started
    expected = parts(out)
    chance, committed = random.Random(20_240_229), 0
    for moment in range(MOMENTS):
        target = tmp_path / f"killed-{moment}"
        delay = chance.uniform(0.02, lasted)
        timers: list[threading.Timer] = []

        def kill_later(pid: int, delay: float = delay, timers: list[threading.Timer] = timers) -> None:
            timers.append(threading.Timer(delay, _kill, [pid]))
            timers[0].start()

        outcome = launch(request(large, target, strategy="shuffle" if moment % 2 else "local"), on_start=kill_later)
        timers[0].cancel()
        if outcome["status"] == "completed":
            committed += 1
            assert whole(target)
            continue
        assert outcome["error"]["code"] == "run.killed"
        assert "SIGKILL" in outcome["error"]["message"]
        assert not target.exists()  # killed after its commit it would have completed
        assert hidden(tmp_path) == []
        again = launch(request(large, target, overwrite=True))
        assert again["status"] == "completed", again
        assert parts(target) == expected
    assert committed < MOMENTS
    assert hidden(tmp_path) == []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


_LAUNCHER = """
import pickle, sys
from pathlib import Path
from pipelines.launch import launch
launch(pickle.loads(Path(sys.argv[1]).read_bytes()), on_start=lambda pid: print(pid, flush=True))
"""


@pytest.mark.parametrize("delay", [0.05, 1.0])
def test_the_run_dies_with_its_launcher(delay: float, large: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = tmp_path / "request.pickle"
    asked.write_bytes(pickle.dumps(request(large, out)))
    launcher = subprocess.Popen([sys.executable, "-c", _LAUNCHER, str(asked)], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    child = int(launcher.stdout.readline())
    time.sleep(delay)
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    deadline = time.monotonic() + 20
    while _alive(child):
        assert time.monotonic() < deadline, "the run outlived its launcher"
        time.sleep(0.05)
    assert not out.exists() or whole(out)
    assert launch(request(large, out, overwrite=True))["status"] == "completed"
    assert hidden(tmp_path) == []


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def test_evidence_is_replaced_only_when_asked(small: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = drive(small, out)
    before = listing(out)
    with pytest.raises(KallaError) as refused:
        drive(small, out)
    assert refused.value.code == "run.output_exists"
    assert "--overwrite" in refused.value.hint
    assert listing(out) == before
    second = drive(small, out, overwrite=True)
    assert manifest(out)["run_id"] == second["run_id"] != first["run_id"]
    assert hidden(tmp_path) == []


def test_a_failed_run_leaves_the_old_evidence(small: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    drive(small, out)
    before = listing(out)
    broken = json.loads(json.dumps(small))
    broken["sources"]["right"]["uri"] = str(tmp_path / "none.parquet")
    with pytest.raises(KallaError):
        drive(broken, out, overwrite=True)
    assert listing(out) == before
    assert hidden(tmp_path) == []


def test_readers_see_the_old_or_the_new_evidence(small: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    drive(small, out)
    seen: set[str] = set()

    def read(stop: threading.Event) -> None:
        while not stop.is_set():
            folder = os.open(out, os.O_RDONLY)  # one folder for manifest and parts, as a reader that holds it open
            try:
                with open(
                    "manifest.json", encoding="utf-8", opener=lambda p, f, at=folder: os.open(p, f, dir_fd=at)
                ) as file:
                    found = json.load(file)
                names = {part["path"] for part in found["parts"]}
            except FileNotFoundError:
                # The folder opened was replaced and has been removed since; the name must lead to the new one.
                assert (out / "manifest.json").exists()
                continue
            finally:
                os.close(folder)
            assert {name.partition("/")[0] for name in names} == {"matched", "unmatched_left", "unmatched_right"}
            seen.add(found["run_id"])
            assert (out / "manifest.json").exists()

    with background(read):
        runs = [drive(small, out, overwrite=True)["run_id"] for _ in range(6)]
        time.sleep(0.1)
    assert seen >= set(runs[-1:])
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_files_is_never_touched(overwrite: bool, small: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(KallaError) as refused:
        drive(small, out, overwrite=overwrite)
    assert refused.value.code == "run.output_not_empty"
    drive(small, tmp_path / "evidence")
    (tmp_path / "evidence" / "notes.txt").write_text("mine")
    with pytest.raises(KallaError) as refused:
        drive(small, tmp_path / "evidence", overwrite=True)
    assert refused.value.code == "run.output_not_empty"
    assert (out / "holiday.jpg").read_bytes() == b"precious"
    assert (tmp_path / "evidence" / "notes.txt").read_text() == "mine"


def test_an_empty_folder_and_missing_parents_will_do(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "a" / "b" / "c", tmp_path / "odd [name] * ünï %41"):
        assert drive(small, out)["status"] == "completed"
        assert whole(out)


def test_the_output_is_a_file(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("text")
    with pytest.raises(KallaError) as refused:
        drive(small, tmp_path / "out")
    assert refused.value.code == "run.output_not_folder"


@pytest.mark.parametrize("below", ["out", "deep/er/out"])
def test_the_output_lies_where_no_folder_can_be(below: str, small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    outcome = launch(request(small, tmp_path / "file" / below))
    assert outcome["status"] == "failed"
    assert outcome["error"]["code"] in ("run.output_denied", "run.output_not_folder")


def test_the_output_may_not_be_written(small: dict[str, Any]) -> None:
    outcome = launch(request(small, Path("/proc/kalla-evidence")))  # root may write anywhere but there
    assert outcome["error"]["code"] == "run.output_denied"


def test_two_runs_at_once_to_one_output(large: dict[str, Any], tmp_path: Path) -> None:
    outcomes: list[dict[str, Any]] = []
    asked = request(large, tmp_path / "out")
    threads = [
        threading.Thread(target=lambda one: outcomes.append(launch(one)), args=[changed(asked, overwrite=False)])
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(o["status"] for o in outcomes) == ["completed", "failed"]
    lost = next(o for o in outcomes if o["status"] == "failed")
    assert lost["error"]["code"] == "run.output_exists"
    kept = next(o for o in outcomes if o["status"] == "completed")
    assert manifest(tmp_path / "out")["run_id"] == kept["run_id"]
    assert whole(tmp_path / "out")
    assert hidden(tmp_path) == []


def test_what_a_crash_left_is_removed_and_a_living_run_is_not(small: dict[str, Any], tmp_path: Path) -> None:
    from pipelines.workdir import WorkDir

    left = tmp_path / ".out.kalla-dead"
    (left / "scratch").mkdir(parents=True)
    (left / "lock").touch()
    other = tmp_path / ".other.kalla-dead"
    other.mkdir()
    (other / "lock").touch()
    with WorkDir(tmp_path / "out", "alive") as living:
        beam(small, tmp_path / "out")
        assert living.path.exists()
    assert not left.exists()
    assert other.exists()


def test_equal_input_gives_equal_bytes(large: dict[str, Any], tmp_path: Path) -> None:
    made = []
    for number, options in enumerate([{}, {}, {"partitions": 1}, {"partitions": 5}]):
        beam(large, tmp_path / str(number), strategy="local", **options)
        made.append(parts(tmp_path / str(number)))
    assert made[0] == made[1] == made[2] == made[3]
    assert {name.partition("/")[0] for name in made[0]} == {"matched", "unmatched_left", "unmatched_right"}


def test_every_strategy_gives_the_same_rows(large: dict[str, Any], tmp_path: Path) -> None:
    tables = []
    for strategy in ("local", "broadcast", "shuffle"):
        beam(large, tmp_path / strategy, strategy=strategy, partitions=3)
        tables.append(
            [pq.read_table(tmp_path / strategy / name) for name in ("matched", "unmatched_left", "unmatched_right")]
        )
    assert tables[0] == tables[1] == tables[2]
