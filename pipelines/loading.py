"""Loading large libraries in less time."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def loading(without: Iterable[str] = ()) -> Iterator[None]:
    """Import inside: no garbage is looked for meanwhile, as modules make none.

    ``without`` names optional modules that are not to be found while the libraries load, though installed; those
    loaded before stay.
    """
    hidden = [name for name in without if name not in sys.modules]
    collecting = gc.isenabled()
    gc.disable()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: "no such module", says the import system
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
        if collecting:
            gc.enable()
