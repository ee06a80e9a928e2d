"""One run on a cluster, from submission to its end. Imports Beam, so it is imported once a run has been planned."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from pipelines.errors import recorded_failure
from pipelines.exchange import Exchange
from pipelines.options import Choice, RunRequest
from pipelines.runners.base import Runner
from pipelines.runners.causes import cancelled
from pipelines.runners.flink import FlinkRunner
from pipelines.runners.spark import SparkRunner
from recipe import KallaError

_RUNNERS = {"flink": FlinkRunner, "spark": SparkRunner}


def run_on_cluster(request: RunRequest, choice: Choice, build: Callable[[Any], None], exchange: Exchange) -> None:
    """Run the pipeline that ``build`` describes, whose steps hand files on by ``exchange``.

    Raises a KallaError: ``run.cancelled``, what a step recorded, or the cluster's own cause.
    """
    try:
        runner: Runner = _RUNNERS[choice.runner](request.cluster, choice.parallelism)
        with _stopped_by_signal() as stop:
            runner.submit(build, exchange, request.run_id, stop).wait()
        if stop.is_set():  # between the job's end and this line: nothing may be committed
            raise cancelled()
    except KallaError:
        raise  # why is known, also where a step had recorded a failure that a new try mended
    except Exception as error:
        raise recorded_failure(str(exchange.scratch), error) from error


@contextlib.contextmanager
def _stopped_by_signal() -> Iterator[threading.Event]:
    """Whoever ends this process (Ctrl-C at a launcher, a cancelled run) ends its job on the cluster too."""

    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread alone
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
