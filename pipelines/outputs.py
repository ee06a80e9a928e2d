"""Where evidence goes: a folder of this machine, or one of an object store.

A store has no rename, so its commit is the manifest, written last and only where there is none: without it there is no
result. Until then the run's whole work lies on this machine, so that nothing is sent before everything was checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from connectors import ConnectorError, ObjectFolder, is_object_address
from pipelines.at_once import each
from pipelines.errors import OutputRefused, PipelineError
from pipelines.workdir import MANIFEST, SETS, WorkDir, check_output

_CLAIM = "writing.json"  # says which run is sending parts
_CLAIM_SECONDS = 24 * 3600
_PART = re.compile(rf"({'|'.join(SETS)})/part-[0-9]{{5,9}}\.parquet")


class LocalOutput:
    """A folder of this machine."""

    def __init__(self, path: Path, staging: Path | None) -> None:
        self._path, self._staging = path, staging
        self.shown = str(path)

    def check(self, overwrite: bool) -> None:
        """Refuse a place that cannot become this run's evidence, before any work is done."""
        check_output(self._path, overwrite)

    def work(self, run_id: str) -> WorkDir:
        """The run's private folder."""
        return WorkDir(self._path, run_id, self._staging)


class StoredOutput:
    """A folder of an object store; ``place`` is what would be the output folder on this machine."""

    def __init__(self, folder: ObjectFolder, place: Path) -> None:
        self._folder, self._place = folder, place
        self.shown = folder.shown

    def check(self, overwrite: bool) -> None:
        """As ``LocalOutput.check``. Parts without a manifest were left by a run that broke off, and count for
        nothing."""
        check_stored(self._folder, overwrite)

    def work(self, run_id: str) -> WorkDir:
        """The run's private folder on this machine; its commit sends the evidence."""
        return _StoredWorkDir(self._folder, self._place, run_id)


def output_of(output: str, staging: str | None = None) -> LocalOutput | StoredOutput:
    """The output that a request names; ``staging`` is its folder for scratch data. Raises ConnectorError
    ``storage.invalid_address``."""
    if is_object_address(output):
        return StoredOutput(ObjectFolder.at(output), local_place(output, staging))
    return LocalOutput(Path(output).absolute(), None if staging is None else Path(staging).absolute())


def local_place(output: str, staging: str | None = None) -> Path:
    """The folder of this machine beside which a run for ``output`` works, the same for every run to that place."""
    if not is_object_address(output):
        return Path(output).absolute()
    base = Path(tempfile.gettempdir()) / f"kalla-{os.getuid()}" if staging is None else Path(staging)
    return base.absolute() / hashlib.sha256(output.rstrip("/").encode()).hexdigest()[:16]


def check_stored(folder: ObjectFolder, overwrite: bool) -> None:
    """Raise OutputRefused where a folder of a store holds evidence, unless ``overwrite``, or anything else."""
    names = folder.names()
    if any(_PART.fullmatch(name) is None for name in names if name not in (MANIFEST, _CLAIM)):
        raise OutputRefused(
            f"{folder.shown} holds other objects.",
            code="run.output_not_empty",
            hint="Name a new folder: evidence never shares one.",
        )
    if MANIFEST in names and not overwrite:
        raise OutputRefused(
            f"{folder.shown} already holds evidence.", hint="Choose another folder, or replace it with --overwrite."
        )


class _StoredWorkDir(WorkDir):
    def __init__(self, folder: ObjectFolder, place: Path, run_id: str) -> None:
        super().__init__(place, run_id)
        self._folder, self._run_id = folder, run_id

    def commit(self, overwrite: bool) -> None:
        """Send parts, then the manifest. What is replaced loses its manifest first: none ever stands beside parts that
        are not its own."""
        folder = self._folder
        claim(folder, self._run_id)
        try:
            check_stored(folder, overwrite)
            parts = {f"{name}/{path.name}": path for name in SETS for path in sorted((self.evidence / name).iterdir())}
            folder.delete(MANIFEST)
            each(folder.delete, [(name,) for name in folder.names() if name not in parts and name != _CLAIM])
            each(folder.upload, parts.items())
            _check_sizes(folder, parts)
            folder.put(MANIFEST, (self.evidence / MANIFEST).read_bytes(), absent=True)
        finally:
            with suppress(ConnectorError):  # a claim that stays is taken over a day later
                folder.delete(_CLAIM)


def claim(folder: ObjectFolder, run_id: str) -> None:
    """Keep other runs from sending their parts to the same place. Raises OutputRefused."""
    text = _claim_of(run_id)
    try:
        folder.put(_CLAIM, text, absent=True)
        return
    except ConnectorError as error:
        if error.code != "storage.exists":
            raise
    since = folder.modified(_CLAIM)
    is_living = since is not None and time.time() - since.timestamp() < _CLAIM_SECONDS
    if is_living and folder.read(_CLAIM, 1 << 10) != text:
        raise OutputRefused(
            f"Another run is writing to {folder.shown}.",
            hint=f"Choose another folder; or delete {_CLAIM} there if that run is gone.",
        )
    folder.put(_CLAIM, text)


def release(folder: ObjectFolder, run_id: str) -> None:
    """Take back the claim of a run that is gone, so that the next need not wait for it. Raises ConnectorError."""
    if _CLAIM in folder.names() and folder.read(_CLAIM, 1 << 10) == _claim_of(run_id):
        folder.delete(_CLAIM)


def _claim_of(run_id: str) -> bytes:
    return json.dumps({"run_id": run_id}).encode()


def _check_sizes(folder: ObjectFolder, parts: dict[str, Path]) -> None:
    found = {name: size for name, size in folder.names().items() if name != _CLAIM}
    if found != {name: path.stat().st_size for name, path in parts.items()}:
        raise PipelineError(
            f"What lies in {folder.shown} is not what was sent there.",
            code="run.commit_failed",
            hint="Nothing was committed. See that nobody else writes there, and run again.",
        )
