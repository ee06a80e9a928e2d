"""File names as data: what a pattern would read into them is escaped, and what is half written is named, once, here."""

from __future__ import annotations

import itertools
import os
import secrets
from pathlib import Path

_PROCESS = secrets.token_hex(4)
_NUMBERS = itertools.count()


def glob_escape(name: str | Path) -> str:
    """A path in which ``*``, ``?`` and ``[`` stand for themselves; for pathlib's patterns and the engine's alike.

    >>> glob_escape("out[1]")
    'out[[]1]'
    """
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(name))


def own_name() -> str:
    """A name of this process that no other has on any machine: the workers of a cluster share a folder, and in
    containers they share process ids."""
    return f"{os.getpid()}-{_PROCESS}"


def partial(path: Path) -> Path:
    """Where a file is written before it is renamed to ``path``: a name beside it that no other try of the same work
    has."""
    return path.with_name(f".{path.name}.{own_name()}-{next(_NUMBERS)}")
