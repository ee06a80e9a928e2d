"""The private folder of one run, beside its output, and the one rename that commits.

Everything a run writes lies in ``.<name>.kalla-<run id>.<attempt>`` next to the output folder, so that on one file
system the commit is a rename. The folder is locked while its run lives; a folder whose lock is free was left by a crash
and is removed by the next run for the same output.

Scratch data may lie elsewhere, in a folder ``kalla-scratch-<run id>.<attempt>`` of a staging folder that runs share:
what is committed never leaves the output's file system. Such a folder has a lock of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.errors import FULL, OutputRefused, PipelineError
from pipelines.locks import lock, remove_unlocked
from pipelines.paths import glob_escape

MANIFEST = "manifest.json"
SETS = ("matched", "unmatched_left", "unmatched_right")
_KNOWN = {MANIFEST, *SETS}
ASIDE = "kalla-scratch-"
_FLUSHES = 8
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse an output folder that cannot become this run's evidence, before any work is done."""
    if not output.exists():
        return
    if not output.is_dir():
        raise OutputRefused(f"{output} is a file.", code="run.output_not_folder", hint="Name a folder.")
    entries = {entry.name for entry in output.iterdir()}
    if not entries:
        return
    if MANIFEST not in entries or entries - _KNOWN:
        raise OutputRefused(
            f"{output} holds other files.",
            code="run.output_not_empty",
            hint="Name an empty or new folder: evidence never shares one.",
        )
    if not overwrite:
        raise OutputRefused(
            f"{output} already holds evidence.", hint="Choose another folder, or replace it with --overwrite."
        )


class WorkDir:
    """Context manager: creates and locks the folder; removes it at the end, whatever happened."""

    def __init__(self, output: Path, run_id: str, staging: Path | None = None) -> None:
        """``staging`` is the folder for scratch data; beside the evidence unless given."""
        self.output = output
        # A run that was interrupted is started again under its id, while steps of the first attempt may still be at
        # work on a cluster: they must not find the folder of the second.
        self.attempt = f"{run_id}.{secrets.token_hex(4)}"
        self.path = output.parent / f".{output.name}.kalla-{self.attempt}"
        self._staging = staging
        self._aside = None if staging is None else staging / f"{ASIDE}{self.attempt}"
        self._locks: list[int] = []
        self._is_sealed = False

    def __enter__(self) -> WorkDir:
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.output)
            self.path.mkdir(mode=0o700)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise OutputRefused(
                f"{self.output} cannot be created: {error.strerror}.",
                code="run.output_denied",
                hint="Choose a folder you may write to.",
            ) from error
        try:
            self._locks.append(lock(self.path))
            self.evidence.mkdir()
            for name in SETS:
                (self.evidence / name).mkdir()
            self._make_scratch()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make_scratch(self) -> None:
        if self._staging is None or self._aside is None:
            self.scratch.mkdir()
            return
        if self.output.resolve() in (self._staging.resolve(), *self._staging.resolve().parents):
            raise OutputRefused(
                f"The staging folder {self._staging} lies in the output folder.",
                code="run.staging_denied",
                hint="Name another one: evidence never shares a folder.",
            )
        try:
            self._staging.mkdir(parents=True, exist_ok=True)
            remove_abandoned_scratch(self._staging)
            self._aside.mkdir(mode=0o700)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise OutputRefused(
                f"The staging folder {self._staging} cannot be used: {error.strerror}.",
                code="run.staging_denied",
                hint="Name a folder you may write to with --staging, or KALLA_STAGING.",
            ) from error
        self._locks.append(lock(self._aside))
        self.scratch.mkdir()

    def __exit__(self, *exc: object) -> None:
        for folder in filter(None, (self._aside, self.path)):
            gone = folder.with_name(f"{folder.name}.gone")
            with contextlib.suppress(OSError):
                os.rename(folder, gone)  # first, so that a worker which is still at work finds no place to leave more
            # Twice: a file that was just being made as the folder moved may come up behind the first sweep.
            for left in (gone, gone, folder):
                shutil.rmtree(left, ignore_errors=True)
        while self._locks:
            os.close(self._locks.pop())

    @property
    def evidence(self) -> Path:
        """What becomes the output folder."""
        return self.path / ("sealed" if self._is_sealed else "evidence")

    @property
    def scratch(self) -> Path:
        """Staged sources, pairs and spilled data; gone with the run."""
        return (self._aside or self.path) / "scratch"

    def seal(self, parts: Iterable[str]) -> None:
        """Keep ``parts`` and nothing else, from here on: a worker that a cluster has given up may still be writing
        where the evidence was, and what it left there goes."""
        known = set(parts)
        sealed = self.path / "sealed"
        os.rename(self.evidence, sealed)
        self._is_sealed = True
        for name in SETS:
            for path in (self.evidence / name).iterdir():
                if f"{name}/{path.name}" not in known:
                    path.unlink()

    def commit(self, overwrite: bool) -> None:
        """Make the evidence visible in one step. The manifest must have been written."""
        _sync_tree(self.evidence)
        check_output(self.output, overwrite)
        if self.output.exists() and any(self.output.iterdir()):
            _exchange(self.evidence, self.output)
        else:
            try:
                os.rename(self.evidence, self.output)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise OutputRefused(
                        f"Another run has just written {self.output}.", hint="Choose another folder."
                    ) from error
                raise
        _sync(self.output.parent)


def remove_abandoned(output: Path, gone: str | None = None) -> None:
    """Delete what crashed runs for the same output left behind; folders of living runs are locked and stay.

    ``gone`` is the id of a run whose process is known to have ended: its folders go even where it had not yet come to
    lock them.
    """
    _remove(output.parent, f".{glob_escape(output.name)}.kalla-", gone)


def remove_abandoned_scratch(staging: Path, gone: str | None = None) -> None:
    """The same for the scratch data of any run in a staging folder."""
    _remove(staging, ASIDE, gone)


def _remove(parent: Path, start: str, gone: str | None) -> None:
    remove_unlocked(parent, f"{start}*")
    if gone is not None:
        remove_unlocked(parent, f"{start}{glob_escape(gone)}.*", patience=0)


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders atomically (renameat2 with RENAME_EXCHANGE, Linux); the old one goes with the work folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise PipelineError(
            f"The evidence in {old} could not be replaced: {os.strerror(code)}.",
            code="run.replace_failed",
            hint="Write to a new folder instead.",
        )


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_tree(folder: Path) -> None:
    """Flush every part and the folders; the manifest was flushed as it was written.

    After a power cut there is the whole evidence or none. The system has been writing parts out since they were
    closed, so most of the waiting is over.
    """
    with ThreadPoolExecutor(_FLUSHES) as pool:
        for _ in pool.map(_sync, [part for name in SETS for part in (folder / name).iterdir()]):
            pass
    for name in SETS:
        _sync(folder / name)
    _sync(folder)
