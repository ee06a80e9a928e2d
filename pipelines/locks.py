"""Folders that belong to one living process: locked while it works, removed by others once it is dead."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

_LOCK = "lock"
_JUST_MADE_SECONDS = 60


def lock(folder: Path) -> int:
    """Lock a folder of this process's own for as long as the descriptor that is returned is open."""
    fd = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def remove_unlocked(parent: Path, pattern: str, patience: float = _JUST_MADE_SECONDS) -> None:
    """Delete the folders of this pattern that dead processes have left; those of living ones stay.

    A folder without a lock may belong to a process that is between mkdir and lock: it gets ``patience`` seconds.
    """
    for folder in parent.glob(pattern):
        try:
            fd = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except PermissionError:  # somebody else's
            continue
        except OSError:
            if not _younger(folder, patience):
                shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(fd)


def _younger(folder: Path, seconds: float) -> bool:
    try:
        return seconds > 0 and time.time() - folder.stat().st_mtime < seconds
    except FileNotFoundError:
        return True
