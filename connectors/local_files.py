"""Files as connectors see them: one small interface, and its implementation for local disks.

A connector of a file format asks a ``StoredFile`` for its state and for a seekable Arrow file, nothing else.
Another kind of store joins by implementing ``StoredFile`` and adding its scheme to ``_OPENERS``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.base import Access, Snapshot
from connectors.errors import ConnectorError, SourceChanged, SourceDenied, SourceNotFound
from recipe import FileAddress, RecipeError, SourceBase, parse_uri

_HASH_BLOCK = 1 << 20


class StoredFile(ABC):
    """One file, wherever it is kept. Instances are picklable and hold nothing open."""

    @property
    @abstractmethod
    def shown(self) -> str:
        """The file's address for people; no secrets."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What tells this state of the file from any other, with at least ``size`` in bytes. Raises
        ConnectorError."""

    @abstractmethod
    def open(self) -> pa.NativeFile:
        """A seekable file for reading. Raises ConnectorError."""

    @property
    def local_path(self) -> str | None:
        """The path on this machine, when there is one."""
        return None

    def sha256(self) -> str:
        """The hash of the whole content, as hex."""
        with self.open() as file:
            return _sha256(file)

    @contextmanager
    def held(self) -> Iterator[Snapshot]:
        """A snapshot of the file; when the context ends normally the file must still be the same.

        Raises SourceChanged.
        """
        snapshot = Snapshot(identity=self.identity())
        yield snapshot
        self.check(snapshot)

    def check(self, snapshot: Snapshot) -> None:
        """Raise SourceChanged unless the file is still in the snapshot's state."""
        now = self.identity()
        if any(snapshot.identity.get(name) != value for name, value in now.items()):
            raise SourceChanged(
                f"{self.shown} changed while it was being read.",
                hint="Run again once nothing writes to the file any more.",
            )


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

    def identity(self) -> dict[str, Any]:
        self.check_allowed()
        with self._translated():
            found = os.stat(self.path)
        self._check_regular(found.st_mode)
        return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}

    def open(self) -> pa.NativeFile:
        self.identity()  # refuses folders, pipes and forbidden places before anything is opened
        with self._translated():
            return pa.OSFile(self.path, "rb")

    def check_allowed(self) -> None:
        """Raise SourceDenied ``source.path_forbidden`` when the resolved path lies outside ``roots``."""
        if self.roots is None:
            return
        real = os.path.realpath(self.path)
        if not any(_is_below(real, os.path.realpath(root)) for root in self.roots):
            raise SourceDenied(
                f"{self.shown} is not below a folder that this service may read.",
                code="source.path_forbidden",
                hint="Move the file into an allowed folder, or add its folder to KALLA_LOCAL_ROOTS.",
            )

    def _check_regular(self, mode: int) -> None:
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise ConnectorError(f"{self.shown} is {kind}.", hint="Name one file.")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceNotFound(
                f"There is no file {self.shown}.", hint="Check the path and the spelling of the name."
            ) from error
        except PermissionError as error:
            raise SourceDenied(
                f"{self.shown} may not be read.", hint="Give this process the right to read the file."
            ) from error
        except (OSError, ValueError) as error:
            raise ConnectorError(
                f"{self.shown} could not be opened: {_reason(error)}.", hint="Check the path and the disk."
            ) from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "the name is not usable"


def _is_below(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root


def _open_local(address: FileAddress, access: Access) -> StoredFile:
    path = os.path.abspath(os.path.join(access.base_dir or "", address.path))
    file = LocalFile(path, access.roots)
    file.check_allowed()
    return file


_OPENERS: dict[str, Callable[[FileAddress, Access], StoredFile]] = {"file": _open_local}


def file_of(source: SourceBase, access: Access) -> StoredFile:
    """The file that a source's ``uri`` names; it need not exist yet.

    Raises ConnectorError: no ``uri``, a malformed one, a store that nothing here reads, a forbidden path.
    """
    if source.uri is None:
        raise ConnectorError(
            f"The source {source.alias!r} has no address.",
            code="source.invalid_uri",
            hint="Give it a uri, or register a source under this alias.",
        )
    try:
        address = parse_uri(source.type, source.uri)
    except RecipeError as error:
        raise ConnectorError(error.message, code=error.code, hint=error.hint) from error
    assert isinstance(address, FileAddress)
    if address.scheme not in _OPENERS:
        known = ", ".join(f"{scheme}://" for scheme in _OPENERS)
        raise ConnectorError(
            f"Files at {address.scheme}:// cannot be read.",
            code="source.unsupported_scheme",
            hint=f"Addresses that can be read are paths and {known}.",
        )
    return _OPENERS[address.scheme](address, access)


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a local file as hex, in bounded memory. Raises ConnectorError when it cannot be read."""
    return LocalFile(os.fspath(path)).sha256()


def _sha256(file: pa.NativeFile) -> str:
    digest = hashlib.sha256()
    while block := file.read_buffer(_HASH_BLOCK):
        digest.update(block)
    return digest.hexdigest()
