"""Where evidence lies, as its readers see it: a folder of this machine, or one of an object store.

The engine and Arrow read local files. A part in a store is brought here when it is first needed, into a folder that
goes with the reader; a ``PartCache`` keeps it for the next one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from connectors import ConnectorError, ObjectFolder, is_object_address
from pipelines.errors import FULL, EvidenceError
from pipelines.parts import sha256_file
from pipelines.workdir import MANIFEST, SETS

# A manifest lists its parts, about 150 bytes each; this is far beyond any run and far below any memory.
_MOST_MANIFEST = 256 << 20
_STALE_SECONDS = 24 * 3600
_UNFINISHED = "writing.json"


class Place(ABC):
    """One piece of evidence. ``shown`` is its address, without a slash at the end."""

    shown: str

    @abstractmethod
    def manifest(self) -> bytes:
        """The manifest file. Raises EvidenceError ``evidence.not_found``, ``evidence.unreadable``; ConnectorError."""

    @abstractmethod
    def names(self) -> dict[str, bool]:
        """Names of everything that is there, and whether it is a link."""

    @abstractmethod
    def path(self, name: str, size: int, sha256: str) -> Path:
        """A file of this machine with the part's bytes as they are there; it may be missing where the part is.

        Raises EvidenceError ``evidence.part_missing``, ``evidence.no_space``; ConnectorError. From a cache come only
        bytes with this hash: ``evidence.part_unreadable`` for others.
        """


def place_of(address: str | Path, cache: PartCache | None = None) -> Place:
    """The place of a folder or ``s3://`` or ``gs://`` address. Raises ConnectorError ``storage.invalid_address``."""
    if is_object_address(str(address)):
        return StoredPlace(ObjectFolder.at(str(address)), cache)
    return LocalPlace(Path(address).absolute())


class LocalPlace(Place):
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.shown = str(folder)

    def manifest(self) -> bytes:
        path = self._folder / MANIFEST
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_MANIFEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise _not_found(self.shown) from None
        except OSError as error:
            raise EvidenceError(
                f"{path} cannot be read: {error.strerror}.", hint="Check that you may read the folder."
            ) from error
        return _bounded(text, self.shown)

    def names(self) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for entry in sorted(self._folder.iterdir()):
            if entry.name in SETS and entry.is_dir() and not entry.is_symlink():
                found |= {f"{entry.name}/{inner.name}": inner.is_symlink() for inner in sorted(entry.iterdir())}
            else:
                found[entry.name] = entry.is_symlink()
        return found

    def path(self, name: str, size: int, sha256: str) -> Path:
        return self._folder / name


class StoredPlace(Place):
    """A folder of an object store. Safe between threads."""

    def __init__(self, folder: ObjectFolder, cache: PartCache | None) -> None:
        self._folder, self._cache = folder, cache
        self.shown = folder.shown
        self._lock = threading.Lock()
        self._paths: dict[str, Path] = {}
        self._session: Path | None = None

    def manifest(self) -> bytes:
        try:
            return _bounded(self._folder.read(MANIFEST, _MOST_MANIFEST + 1), self.shown)
        except ConnectorError as error:
            if error.code != "storage.not_found":
                raise
            raise _not_found(self.shown) from error

    def names(self) -> dict[str, bool]:
        # A claim that was left behind after the manifest was written says nothing about the evidence.
        return {name: False for name in sorted(self._folder.names()) if name != _UNFINISHED}

    def path(self, name: str, size: int, sha256: str) -> Path:
        with self._lock:
            found = self._paths.get(name)
        if found is None:
            target = self._opened() / f"{uuid.uuid4().hex}.parquet"
            self._fetch(name, size, sha256, target)
            with self._lock:
                found = self._paths.setdefault(name, target)
        return found

    def _opened(self) -> Path:
        """The folder of the parts that this reader uses."""
        with self._lock:
            if self._session is None:
                base = None if self._cache is None else self._cache.opened()
                self._session = Path(tempfile.mkdtemp(prefix="kalla-evidence-", dir=base))
                weakref.finalize(self, shutil.rmtree, self._session, ignore_errors=True)
            return self._session

    def _fetch(self, name: str, size: int, sha256: str, target: Path) -> None:
        try:
            if self._cache is None:
                self._folder.download(name, target)
            else:
                self._cache.take(sha256, size, target, lambda path: self._checked(name, sha256, path))
        except ConnectorError as error:
            if error.code != "storage.not_found":
                raise
            hint = "Restore the object, or run the recipe again."
            raise EvidenceError(f"{self.shown}/{name} is missing.", code="evidence.part_missing", hint=hint) from error
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise EvidenceError(
                "The disk for parts of evidence is full.", code="evidence.no_space", hint="Free space, then try again."
            ) from error

    def _checked(self, name: str, sha256: str, path: Path) -> None:
        self._folder.download(name, path)
        if sha256_file(path) != sha256:
            raise EvidenceError(
                f"{self.shown}/{name} is damaged: its SHA-256 is not the one in the manifest.",
                code="evidence.part_unreadable",
                hint="Check the folder with kalla verify.",
            )


class PartCache:
    """Parts of evidence by their SHA-256, in ``folder``: of what nobody reads at the moment at most ``limit`` bytes.

    Several processes may use one folder. Readers hold links of their own, so that what is dropped here stays with them.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit

    def opened(self) -> Path:
        """A folder, on the same disk, for the links of readers; what crashed ones left there goes after a day."""
        place = self._folder / "open"
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for entry in place.iterdir():
            if _age(entry) > _STALE_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)
        return place

    def take(self, sha256: str, size: int, target: Path, fetch: Callable[[Path], None]) -> None:
        """Make ``target`` the part with this hash; ``fetch`` brings it where it is not here yet."""
        entry = self._folder / sha256
        try:
            os.link(entry, target)
            os.utime(entry)  # it was used now
            return
        except FileNotFoundError:
            pass
        fetch(target)
        if size <= self._limit:
            self._make_room(size)
            try:
                os.link(target, entry)
            except FileExistsError:  # another reader was as quick
                return

    def _make_room(self, size: int) -> None:
        kept = [(path, path.stat()) for path in self._folder.iterdir() if path.is_file()]
        total = sum(found.st_size for _, found in kept)
        for path, found in sorted(kept, key=lambda entry: entry[1].st_mtime):
            if total + size <= self._limit:
                return
            path.unlink(missing_ok=True)
            total -= found.st_size


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0


def _bounded(text: bytes, shown: str) -> bytes:
    if len(text) > _MOST_MANIFEST:
        raise EvidenceError(f"{shown}/{MANIFEST} is too large to be a manifest.")
    return text


def _not_found(shown: str) -> EvidenceError:
    return EvidenceError(
        f"There is no committed evidence in {shown}: it has no {MANIFEST}.",
        code="evidence.not_found",
        hint="Name the folder that kalla run wrote to; a run that failed leaves none.",
    )
