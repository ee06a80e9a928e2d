"""Descriptors of database files that stay open while a connection of this process reads the file.

POSIX drops all locks of a process on a file when the process closes any descriptor of it, SQLite's locks too: whoever
opened a database only to look at its header would let others write while it is read. So descriptors are shared, and
closed when nobody reads any more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_Key = tuple[int, int]
_LOCK = threading.Lock()
_HELD: dict[_Key, _Held] = {}


@dataclass
class _Held:
    descriptors: list[int] = field(default_factory=list)
    users: int = 0


@contextmanager
def held(path: str) -> Iterator[int]:
    """A descriptor of the file at this path, which is no link; for ``pread`` and ``fstat`` only. Raises OSError."""
    key = _take(path)
    try:
        yield _HELD[key].descriptors[0]
    finally:
        _give(key)


def key_of(found: os.stat_result) -> _Key:
    """What tells a file from any other."""
    return found.st_dev, found.st_ino


def _take(path: str) -> _Key:
    with _LOCK:
        key = key_of(os.lstat(path))
        if key not in _HELD:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            key = key_of(os.fstat(descriptor))
            # When another file has come to this place in between, it may be one that is held.
            _HELD.setdefault(key, _Held()).descriptors.append(descriptor)
        _HELD[key].users += 1
        return key


def _give(key: _Key) -> None:
    with _LOCK:
        one = _HELD[key]
        one.users -= 1
        if not one.users:
            del _HELD[key]
            for descriptor in one.descriptors:
                os.close(descriptor)
