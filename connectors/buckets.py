"""Object stores as connectors, evidence and uploads use them: one small interface, implemented once per store.

Errors are ConnectorErrors with a code ``storage.*``; ``objects`` gives those that meet a source its ``source.*`` code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Protocol

from connectors.errors import ConnectorError
from connectors.files import Identity


class Interrupted(Exception):
    """A transfer broke off; asking again for the rest may help."""


class Body(Protocol):
    """What comes back for one range."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, b"" at the end. Raises Interrupted."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Listed:
    """One object of a listing."""

    key: str
    identity: Identity
    modified: datetime


class Bucket(ABC):
    """A bucket. Picklable: it knows its name; credentials come from the environment when it is first used.

    All methods raise ConnectorError: ``storage.unreachable``, ``storage.access_denied``, ``storage.bucket_missing``,
    ``storage.not_found``, ``storage.changed``, ``storage.exists``, ``storage.failed``.
    """

    scheme: ClassVar[str]
    name: str

    def shown(self, key: str = "") -> str:
        """The address for people."""
        return f"{self.scheme}://{self.name}/{key}"

    @abstractmethod
    def head(self, key: str) -> Identity:
        """``size`` and what tells this version of the object from others."""

    @abstractmethod
    def body(self, key: str, identity: Identity, start: int, stop: int) -> Body:
        """The bytes from ``start`` to before ``stop`` (not empty) of the object in that state, or ``storage.changed``.
        Raises Interrupted besides."""

    @abstractmethod
    def listed(self, prefix: str) -> Iterator[Listed]:
        """Every object whose key begins so, in the order of the keys' UTF-8 bytes."""

    @abstractmethod
    def put(self, key: str, data: bytes, absent: bool = False) -> None:
        """Store a small object; ``absent`` raises ``storage.exists`` where there is one already."""

    @abstractmethod
    def upload(self, key: str, path: Path) -> None:
        """Store a file; a large one in parts, of which nothing is seen before the last."""

    @abstractmethod
    def receive(self, key: str, read: Callable[[int], bytes]) -> None:
        """Store what ``read`` gives until b"", in bounded memory. What it raises passes, and nothing is stored."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that is not there counts as removed."""

    @abstractmethod
    def make(self) -> bool:
        """Make the bucket where it is missing; whether it was."""

    @abstractmethod
    def allow_browsers(self) -> None:
        """Let pages of any origin send objects by signed links: the link is the permission, not the page it is on."""

    @abstractmethod
    def upload_link(self, key: str, seconds: int) -> str | None:
        """A link that takes an object by PUT from a browser for so long; None where links cannot be signed."""


def unreachable(place: str, why: str, setting: str) -> ConnectorError:
    """The store does not answer, or not in a way that helps."""
    return ConnectorError(
        f"The object store of {place} does not answer: {why}.",
        code="storage.unreachable",
        hint=f"Check the network and {setting}, then try again.",
    )


def denied(place: str, why: str, setting: str) -> ConnectorError:
    """Missing or wrong credentials, or rights that they lack."""
    return ConnectorError(
        f"Access to {place} was refused: {why}.",
        code="storage.access_denied",
        hint=f"Check {setting}, and that they may use this bucket.",
    )


def bucket_missing(scheme: str, name: str) -> ConnectorError:
    return ConnectorError(
        f"There is no bucket {scheme}://{name}.",
        code="storage.bucket_missing",
        hint="Check its name, and that the settings lead to the right store.",
    )


def object_missing(place: str) -> ConnectorError:
    return ConnectorError(
        f"There is no object {place}.", code="storage.not_found", hint="Check the bucket and the spelling of the key."
    )


def object_changed(place: str) -> ConnectorError:
    return ConnectorError(
        f"{place} changed while it was being read.",
        code="storage.changed",
        hint="Run again once nothing writes to the object any more.",
    )


def object_exists(place: str) -> ConnectorError:
    return ConnectorError(f"There is an object {place} already.", code="storage.exists", hint="Choose another name.")


def failed(place: str, why: str) -> ConnectorError:
    return ConnectorError(
        f"The object store could not do what was asked with {place}: {why}.",
        code="storage.failed",
        hint="Check the store's own log, and that it supports this operation.",
    )
