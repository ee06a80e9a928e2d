"""What to do about a path at which there is nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from recipe.columns import nearest_names

_MOST_NAMES = 5_000


def missing_file_hint(path: str | os.PathLike[str]) -> str:
    """The names like the missing one that lie in its place, else to check it; of a missing folder, those of folders.

    For a person's own terminal: it tells names that only those who may list the folder should see.
    """
    missing = Path(os.path.abspath(path))
    is_folder = False
    while not missing.parent.is_dir() and missing != missing.parent:
        missing, is_folder = missing.parent, True
    close = _close(missing, _names(missing.parent, is_folder))
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    return "Check the path and the spelling of the name."


def _close(missing: Path, names: Iterable[str]) -> list[str]:
    """The names whose stems are like that of the missing one: endings are alike too often to say anything."""
    by_stem: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (Path(name).suffix != missing.suffix, name)):
        if name != missing.name:
            by_stem.setdefault(Path(name).stem, name)
    return [by_stem[stem] for stem in nearest_names(missing.stem, by_stem)]


def _names(folder: Path, folders: bool) -> Iterator[str]:
    """The folder's first names of one kind, those that are text; none where it may not be listed."""
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MOST_NAMES):
                if entry.is_dir() == folders and entry.name.isprintable():
                    yield entry.name
    except OSError:
        return
