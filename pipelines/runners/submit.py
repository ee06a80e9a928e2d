"""One run on a cluster, from submission to its end. Imports Beam, so it is imported once a run has been planned."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines.errors import recorded_failure
from pipelines.options import RunRequest
from pipelines.runners.base import Job
from pipelines.runners.choice import Choice
from pipelines.runners.flink import FlinkRunner
from pipelines.runners.spark import SparkRunner

_RUNNERS = {"flink": FlinkRunner, "spark": SparkRunner}


def run_on_cluster(request: RunRequest, choice: Choice, build: Callable[[Any], None], folder: Path) -> None:
    """Run the pipeline that ``build`` describes; ``folder`` is the run's scratch folder, shared with every worker.

    Raises what a step recorded, else the cluster's own cause as a PipelineError.
    """
    try:
        job = _RUNNERS[choice.runner](request.cluster, choice.parallelism).submit(build, folder, request.run_id)
        with _cancelled_by_signal(job):
            job.wait()
    except Exception as error:
        raise recorded_failure(str(folder), error) from error


@contextlib.contextmanager
def _cancelled_by_signal(job: Job) -> Iterator[None]:
    """Whoever ends this process (Ctrl-C at a launcher, a cancelled run) ends its job on the cluster too."""

    def cancel(number: int, frame: object) -> None:
        threading.Thread(target=job.cancel, daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return
    before = signal.signal(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
