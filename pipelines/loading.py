"""Loading large libraries in less time."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator

# Parts of Beam that load whole client libraries where these happen to be installed, and that no run here touches:
# sources are the connectors' business. Beam takes a third less time without them.
_NOT_NEEDED = (
    "apache_beam.io.aws.s3filesystem",
    "apache_beam.io.azure.blobstoragefilesystem",
    "apache_beam.io.gcp.bigquery",
    "apache_beam.io.gcp.gcsfilesystem",
    "pymongo",
)


@contextlib.contextmanager
def loading_beam() -> Iterator[None]:
    """Import Beam inside: without what no run needs, and without its word on optional packages that are not there."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with loading(without=_NOT_NEEDED), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


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
