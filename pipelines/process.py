"""The process of one run: ``python -m pipelines.process REQUEST OUTCOME``, as ``launch`` starts it.

Reads a request (a pickled ``options.RunRequest``), leaves an outcome file, and sends progress to the pipe its launcher
named. The outcome is the only thing that tells how a run ended: an exception's class does not survive Beam, a file
does. A small run is mostly the start and the end of its process, so both are kept short.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from pipelines.loading import loading
from pipelines.options import RunRequest
from pipelines.parent import end_with_parent

_AMPLE_MEMORY = 3 << 30


def main(arguments: list[str]) -> int:
    """Exit status 0 for a completed run, 1 for a failed one; the outcome file says more."""
    end_with_parent()
    request_path, outcome_path = map(Path, arguments)
    request = pickle.loads(request_path.read_bytes())  # noqa: S301 - the launcher's own file, in its private folder
    assert isinstance(request, RunRequest)
    request_path.unlink()  # it may hold a password, and a launcher that is killed cannot remove it
    logging.basicConfig(level=logging.WARNING)
    with loading():
        import pyarrow as pa

        from pipelines.errors import translate
        from pipelines.outcome import failed
        from pipelines.run import execute
    gc.freeze()  # what was loaded stays: no collection need look at it
    if request.memory < _AMPLE_MEMORY:
        # The usual allocator is a little faster, but keeps what was freed: 300 MiB in a large run.
        pa.set_memory_pool(pa.system_memory_pool())
    try:
        document = execute(request)
    except Exception as error:  # noqa: BLE001 - whatever happened becomes the outcome, the only way out of here
        document = failed(request.run_id, translate(error), traceback.format_exc())
    _write_outcome(outcome_path, document)
    return 0 if document["status"] == "completed" else 1


def _write_outcome(path: Path, document: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps(document), encoding="utf-8")
    os.replace(partial, path)


def _end(status: int) -> NoReturn:
    """Leave at once: all that a run leaves is on disk by now, and taking Beam's threads and modules apart lasts as
    long as a small run's work."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _end(main(sys.argv[1:]))
