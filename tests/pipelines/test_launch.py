"""A run's own process: events, limits, and one outcome whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pipelines import progress
from pipelines.launch import EVIDENCE_THERE, NOTHING_COMMITTED, anonymous_memory, launch
from pipelines.options import RunRequest

SAMPLE = Path(__file__).parent.parent.parent / "docs" / "sample" / "invoice-payment-match.json"


def request(tmp_path: Path, **options: Any) -> RunRequest:
    return RunRequest(str(SAMPLE), str(tmp_path / "out"), "00000000-0000-4000-8000-000000000000", **options)


def test_a_completed_run_tells_its_stages_and_figures(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    outcome = launch(request(tmp_path), events.append)
    assert outcome["status"] == "completed"
    assert [outcome[f"{name}_count"] for name in ("matched", "unmatched_left", "unmatched_right")] == [7, 8, 8]
    assert outcome["match_rate"] == pytest.approx(7 / 15)
    assert outcome["peak_memory"] > 0
    kinds = [event["event"] for event in events]
    assert kinds[0] == "planned"
    assert {"staged", "side", "pairs", "chunk"} <= set(kinds)
    assert (tmp_path / "out" / "manifest.json").exists()


def test_a_failure_is_an_outcome_with_its_code(tmp_path: Path) -> None:
    outcome = launch(request(tmp_path, sources={"left": str(tmp_path / "none.csv")}))
    assert outcome["status"] == "failed"
    assert outcome["error"]["code"] == "source.not_found"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "timeout", "code"), [({"memory_limit": 1 << 20}, None, "run.memory_exceeded"), ({}, 0.2, "run.timeout")]
)
def test_a_run_beyond_its_limits_is_ended(
    tmp_path: Path, options: dict[str, Any], timeout: float | None, code: str
) -> None:
    outcome = launch(request(tmp_path, **options), timeout=timeout)
    assert outcome["error"]["code"] == code
    assert not (tmp_path / "out").exists()


def test_a_killed_run_says_so(tmp_path: Path) -> None:
    outcome = launch(request(tmp_path), on_start=lambda pid: os.kill(pid, signal.SIGKILL))
    assert outcome["error"]["code"] == "run.killed"
    assert "SIGKILL" in outcome["error"]["message"]


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _interrupt(pid: int) -> NoReturn:
    raise KeyboardInterrupt


def test_a_run_that_was_killed_leaves_no_folder_not_even_one_it_had_not_come_to_lock(tmp_path: Path) -> None:
    given = request(tmp_path, staging=str(tmp_path / "staging"))
    for folder in (f".out.kalla-{given.run_id}.0badcafe", f"staging/kalla-scratch-{given.run_id}.0badcafe"):
        (tmp_path / folder).mkdir(parents=True)
    assert launch(given, on_start=_kill)["error"]["code"] == "run.killed"
    assert [path.name for path in tmp_path.rglob("*")] == ["staging"]


def test_an_interrupted_run_leaves_nothing_and_the_interrupt_is_passed_on(tmp_path: Path) -> None:
    given = request(tmp_path)
    (tmp_path / f".out.kalla-{given.run_id}.0badcafe").mkdir()
    with pytest.raises(KeyboardInterrupt) as caught:
        launch(given, on_start=_interrupt)
    assert caught.value.__notes__ == [NOTHING_COMMITTED]
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_had_committed_when_its_process_was_ended_is_completed(tmp_path: Path) -> None:
    first = launch(request(tmp_path))
    found = launch(request(tmp_path, overwrite=True), on_start=_kill)  # its evidence is there, its outcome is not
    apart = ("seconds", "peak_memory")
    assert {k: v for k, v in found.items() if k not in apart} == {k: v for k, v in first.items() if k not in apart}
    assert 0 < found["seconds"] <= first["seconds"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupt_after_the_commit_tells_of_the_evidence(tmp_path: Path) -> None:
    assert launch(request(tmp_path))["status"] == "completed"
    with pytest.raises(KeyboardInterrupt) as caught:
        launch(request(tmp_path, overwrite=True), on_start=_interrupt)
    assert caught.value.__notes__ == [EVIDENCE_THERE]


@pytest.mark.parametrize("text", ['{"manifest_version": 3}', '{"run_id": "0000', "[]", "\xff"])
def test_another_program_s_manifest_hides_no_ending(tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text(text, encoding="latin-1")
    assert launch(request(tmp_path), on_start=_kill)["error"]["code"] == "run.killed"
    with pytest.raises(KeyboardInterrupt) as caught:
        launch(request(tmp_path), on_start=_interrupt)
    assert caught.value.__notes__ == [NOTHING_COMMITTED]


def test_evidence_of_another_run_makes_no_run_completed(tmp_path: Path) -> None:
    assert launch(request(tmp_path))["status"] == "completed"
    other = replace(request(tmp_path, overwrite=True), run_id="00000000-0000-4000-8000-000000000001")
    assert launch(other, on_start=_kill)["error"]["code"] == "run.killed"


def test_an_error_of_the_launcher_is_passed_on_and_ends_the_run(tmp_path: Path) -> None:
    started: list[int] = []

    def fail(pid: int) -> None:
        started.append(pid)
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        launch(request(tmp_path), on_start=fail)
    assert _state(started[0]) == "Z"


def test_a_run_dies_with_its_launcher(tmp_path: Path) -> None:
    code = (
        "import sys; from pipelines.launch import launch; from pipelines.options import RunRequest\n"
        f"launch(RunRequest({str(SAMPLE)!r}, {str(tmp_path / 'out')!r}, 'x'), on_start=lambda pid: print(pid, flush=True))"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    child = int(launcher.stdout.readline())
    time.sleep(0.4)  # the child has asked the kernel by then
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and _state(child) != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists() or _state(child) == "Z"
    assert not (tmp_path / "out").exists()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "Z"


def _environment(pid: int) -> bytes:
    """What the process was started with: Linux shows nothing of it until the new program is in place."""
    deadline = time.monotonic() + 30
    while not (found := Path(f"/proc/{pid}/environ").read_bytes()):
        assert time.monotonic() < deadline, f"process {pid} shows no environment"
        time.sleep(0.01)
    return found


def test_a_run_is_not_told_the_secrets_of_app_and_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "not-for-a-run-4711"
    for name in (
        "ANTHROPIC_API_KEY",
        "DATABASE_URL",
        "KALLA_ACCESS_TOKEN",
        "KALLA_CALLBACK_SECRET",
        "KALLA_SECRET_KEY",
    ):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("PGPASSFILE", "kept")
    seen: list[bytes] = []
    outcome = launch(request(tmp_path), on_start=lambda pid: seen.append(_environment(pid)))
    assert outcome["status"] == "completed"
    assert b"PGPASSFILE=kept" in seen[0]
    assert secret.encode() not in seen[0]


def test_a_folder_called_recipe_where_the_person_stands_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    assert launch(request(tmp_path))["status"] == "completed"


def test_a_store_is_no_folder_for_scratch_data(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exchange"):
        request(tmp_path, staging="s3://bucket/folder")


def test_memory_of_a_process_that_is_gone_is_zero() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert anonymous_memory(process.pid) == 0
    assert anonymous_memory(os.getpid()) > 1 << 20


def test_events_without_a_listener_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    monkeypatch.setenv(progress.FD_VARIABLE, str(write_end))
    progress.emit("x")
    assert progress.FD_VARIABLE not in os.environ
    progress.emit("x")
    os.close(write_end)
