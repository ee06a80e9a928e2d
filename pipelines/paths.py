"""File names as data: what a pattern would read into them is escaped, once, here."""

from __future__ import annotations

from pathlib import Path


def glob_escape(name: str | Path) -> str:
    """A path in which ``*``, ``?`` and ``[`` stand for themselves; for pathlib's patterns and the engine's alike.

    >>> glob_escape("out[1]")
    'out[[]1]'
    """
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(name))
