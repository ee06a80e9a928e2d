"""How failures of steps reach the driver: through files of the run's folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pipelines.errors import PipelineError, known_failure, recorded, recorded_failure


def fail(folder: Path, error: Exception) -> None:
    with contextlib.suppress(type(error)), recorded(str(folder)):
        raise error


FULL = PipelineError("The disk is full.", code="run.disk_full", hint="Free space.", details=[{"left": 0}])
SEEN = RuntimeError("what Beam told")


def test_a_failure_crosses_whole(tmp_path: Path) -> None:
    fail(tmp_path, FULL)
    found = recorded_failure(str(tmp_path), SEEN)
    assert (found.message, found.code, found.hint, found.details) == (FULL.message, FULL.code, FULL.hint, FULL.details)
    assert known_failure(str(tmp_path)) is not None
    assert len(list(tmp_path.iterdir())) == 1


def test_the_first_of_a_kind_stays(tmp_path: Path) -> None:
    fail(tmp_path, FULL)
    fail(tmp_path, PipelineError("Later.", code="run.later"))
    assert recorded_failure(str(tmp_path), SEEN).code == "run.disk_full"


def test_one_without_a_code_hides_none_that_has_one(tmp_path: Path) -> None:
    fail(tmp_path, KeyError("a"))
    assert known_failure(str(tmp_path)) is None
    found = recorded_failure(str(tmp_path), SEEN)
    assert (found.code, found.message) == ("internal.error", "KeyError: 'a'")
    fail(tmp_path, FULL)
    fail(tmp_path, ValueError("b"))
    assert recorded_failure(str(tmp_path), SEEN).code == "run.disk_full"


def test_what_is_half_written_is_not_read(tmp_path: Path) -> None:
    """A worker that dies at it leaves a file of another name."""
    (tmp_path / ".failure.json.1-2-3").write_text('{"message": "The d', encoding="utf-8")
    assert known_failure(str(tmp_path)) is None
    assert recorded_failure(str(tmp_path), SEEN).message == "RuntimeError: what Beam told"


def test_a_folder_that_takes_no_file_keeps_the_failure(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    try:
        with recorded(str(gone)):
            raise OSError(28, os.strerror(28))
    except OSError as error:
        assert error.errno == 28
    assert recorded_failure(str(gone), OSError(28, "full")).code == "run.disk_full"
