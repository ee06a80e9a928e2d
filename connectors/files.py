"""A file one can read ranges of, wherever it is kept: all that the CSV and the Parquet reader know of a store.

Local disks implement it in ``local_files``, object stores in ``objects``; ``stores`` chooses by an address's scheme.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from connectors.base import Snapshot
from connectors.errors import SourceChanged

Identity = dict[str, Any]


class Reader(Protocol):
    """Bytes in order; ``read`` gives as many as asked for, fewer at the end only, and ``readinto`` 0 at the end
    only."""

    def read(self, size: int, /) -> bytes: ...

    def readinto(self, room: memoryview, /) -> int: ...


class StoredFile(ABC):
    """One file. Instances are picklable and hold nothing open.

    An instance that ``at`` or ``pinned`` gave reads one state of the file and no other: where the store can tell while
    it is read (ETag, generation), bytes of another state raise SourceChanged; where it cannot (a disk), ``check`` says
    so at the end.
    """

    @property
    @abstractmethod
    def shown(self) -> str:
        """The file's address for people; no secrets."""

    @abstractmethod
    def identity(self) -> Identity:
        """What tells this state of the file from any other, with at least ``size`` in bytes. Raises
        ConnectorError."""

    @abstractmethod
    def at(self, snapshot: Snapshot) -> StoredFile:
        """This file in the snapshot's state. Raises SourceChanged where it is known to be in another."""

    @abstractmethod
    def stream(self, start: int = 0, stop: int | None = None) -> AbstractContextManager[Reader]:
        """The bytes from ``start`` to before ``stop``, or to the end, in order and in bounded memory. Raises
        ConnectorError, also while it is read."""

    @abstractmethod
    def open(self) -> Any:
        """A seekable binary file as Arrow takes them, for formats that jump: each read fetches what it names and
        little else. Raises ConnectorError."""

    @abstractmethod
    def neighbours(self) -> Iterator[tuple[str, str]]:
        """Names and addresses of the files in the same folder, this one included where it is there; in a store also of
        those further down. Raises ConnectorError."""

    @property
    def local_path(self) -> str | None:
        """The path on this machine, when there is one."""
        return None

    def content_hash(self) -> str | None:
        """SHA-256 of the content in hex, where reading all of it again is cheap; else None: the identity of an object
        in a store already names its content."""
        return None

    def pinned(self) -> StoredFile:
        """This file in the state that it is in now. Raises ConnectorError."""
        return self.at(Snapshot(self.identity()))

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
            raise changed(self.shown)


def changed(shown: str) -> SourceChanged:
    """The error for a file that is no longer what was begun to be read."""
    return SourceChanged(
        f"{shown} changed while it was being read.", hint="Run again once nothing writes to the file any more."
    )
