"""One Python worker of a cluster: ``python -m pipelines.cluster.sdk_worker CONTROL_ADDRESS WORKER_ID``.

It ends at once when its machine lets go of it or dies. A step that is still at work then has nobody to tell its result:
another try has taken its place, and the files of this one are replaced or cleared away.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time

from pipelines.loading import loading_beam
from pipelines.parent import end_with_parent
from pipelines.stored_exchange import remove_own_copies

with loading_beam():
    from apache_beam.runners.worker.sdk_worker import SdkHarness

_log = logging.getLogger(__name__)
_LOOK_SECONDS, _MISSES = 5.0, 3


def main(arguments: list[str]) -> int:
    """Work until the cluster lets go of the worker; returns 0 then, 1 where it was lost."""
    end_with_parent()
    logging.basicConfig(level=logging.WARNING, force=True, format="%(asctime)s worker %(process)d %(message)s")
    control, worker_id = arguments
    threading.Thread(target=_end_without, args=(control,), daemon=True).start()
    try:
        SdkHarness(control, worker_id=worker_id).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the pool's log has it and the process ends
        _log.error("The worker was lost by its machine: %s", error)
        return 1
    return 0


def _end_without(control: str) -> None:
    """End the process where nobody listens at ``control`` any more: Beam may wait for a step that cannot be told to."""
    host, _, port = control.rpartition(":")
    missed = 0
    while missed < _MISSES:
        time.sleep(_LOOK_SECONDS)
        missed = 0 if _answers(host.strip("[]"), int(port)) else missed + 1
    _log.error("Nobody listens at %s any more: the worker ends.", control)
    _end(1)


def _answers(host: str, port: int) -> bool:
    """Whether the system there takes connections, also of a program that is busy."""
    try:
        with socket.create_connection((host, port), timeout=_LOOK_SECONDS):
            return True
    except OSError:
        return False


def _end(status: int) -> None:
    """Leave at once: a thread at work would keep Python from it."""
    remove_own_copies()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _end(main(sys.argv[1:]))
