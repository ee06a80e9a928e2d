"""Files on this machine's disks."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.base import Snapshot
from connectors.errors import ConnectorError, SourceDenied, SourceNotFound
from connectors.files import Identity, Reader, StoredFile
from recipe import file_uri, missing_file_hint

_HASH_BLOCK = 1 << 20
_DATA = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class LocalFile(StoredFile):
    """A file on this machine. Access is checked at every opening, so that a link moved later opens nothing
    new."""

    path: str
    roots: tuple[str, ...] | None = None

    @property
    def shown(self) -> str:
        return self.path

    @property
    def local_path(self) -> str | None:
        return self.path

    def identity(self) -> Identity:
        self.check_allowed()
        with self._translated():
            found = os.stat(self.path)
        self._check_regular(found.st_mode)
        return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}

    def at(self, snapshot: Snapshot) -> StoredFile:
        self.check(snapshot)
        return self

    def pinned(self) -> StoredFile:
        return self

    def open(self) -> Any:
        self.identity()  # refuses folders, pipes and forbidden places before anything is opened
        with self._translated():
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                # A link may have been moved in between: what counts is the file that is open now.
                self._check_regular(os.fstat(descriptor).st_mode)
                opened = f"/proc/self/fd/{descriptor}"
                if self.roots is None or not os.path.exists(opened):
                    return pa.OSFile(self.path, "rb")
                LocalFile(opened, self.roots).check_allowed()
                return pa.OSFile(opened, "rb")
            finally:
                os.close(descriptor)

    @contextmanager
    def stream(self, start: int = 0, stop: int | None = None) -> Iterator[Reader]:
        with self.open() as file:
            file.seek(start)
            yield file  # a disk reads no further than it is asked to

    def neighbours(self) -> Iterator[tuple[str, str]]:
        """Files that end as data does, by name; where the path is a folder, those in it. What a link leads out of the
        allowed folders is left out, and what an address cannot name."""
        self.check_allowed()
        folder = self.path if os.path.isdir(self.path) else os.path.dirname(self.path)
        with self._translated("folder", folder):
            names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
        for name in names:
            path = os.path.join(folder, name)
            if name.lower().endswith(_DATA) and _is_text(name) and LocalFile(path, self.roots).is_allowed():
                yield name, file_uri(path)

    def content_hash(self) -> str:
        digest = hashlib.sha256()
        with self.open() as file:
            while block := file.read_buffer(_HASH_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def check_allowed(self, opened: str | None = None) -> None:
        """Raise SourceDenied ``source.path_forbidden`` when the resolved path lies outside ``roots``; that of
        ``opened`` where this path has been resolved before."""
        if not self.is_allowed(opened):
            raise SourceDenied(
                f"{self.shown} is not below a folder that this service may read.",
                code="source.path_forbidden",
                hint="Move the file into an allowed folder, or add its folder to KALLA_LOCAL_ROOTS.",
            )

    def is_allowed(self, opened: str | None = None) -> bool:
        """Whether the resolved path lies below one of ``roots``."""
        if self.roots is None:
            return True
        real = os.path.realpath(opened or self.path)
        return any(_is_below(real, os.path.realpath(root)) for root in self.roots)

    def _check_regular(self, mode: int) -> None:
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise ConnectorError(f"{self.shown} is {kind}.", hint="Name one file.")

    @contextmanager
    def _translated(self, kind: str = "file", path: str | None = None) -> Iterator[None]:
        path = path or self.path
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            # Whoever may read some folders alone is told no names: they may be those of other people's files.
            hint = missing_file_hint(path) if self.roots is None else "Check the path and the spelling of the name."
            raise SourceNotFound(f"There is no {kind} {path}.", hint=hint) from error
        except PermissionError as error:
            raise SourceDenied(
                f"{path} may not be read.", hint=f"Give this process the right to read the {kind}."
            ) from error
        except (OSError, ValueError) as error:
            raise ConnectorError(
                f"{path} could not be opened: {_reason(error)}.", hint="Check the path and the disk."
            ) from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "the name is not usable"


def _is_text(name: str) -> bool:
    """Whether a name from the disk is UTF-8: other bytes come as half characters, which no address can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_below(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a local file as hex, in bounded memory. Raises ConnectorError when it cannot be read."""
    return LocalFile(os.fspath(path)).content_hash()
