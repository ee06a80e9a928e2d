"""Several transfers at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_AT_ONCE = 4


def each(work: Callable[..., object], arguments: Iterable[tuple[Any, ...]]) -> None:
    """Call ``work`` with each tuple, some at a time; the first error ends it."""
    given = list(arguments)
    if len(given) < 2:  # most often: no need of threads
        for values in given:
            work(*values)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = [pool.submit(work, *values) for values in given]
        try:
            for done in waiting:
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
