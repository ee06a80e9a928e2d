"""One Python worker of a cluster: ``python -m pipelines.cluster.sdk_worker CONTROL_ADDRESS WORKER_ID``."""

from __future__ import annotations

import logging
import sys

from pipelines.loading import loading_beam
from pipelines.parent import end_with_parent

with loading_beam():
    from apache_beam.runners.worker.sdk_worker import SdkHarness


def main(arguments: list[str]) -> int:
    """Work until the cluster lets go of the worker."""
    end_with_parent()
    logging.basicConfig(level=logging.WARNING, force=True, format="%(asctime)s worker %(process)d %(message)s")
    control, worker_id = arguments
    SdkHarness(control, worker_id=worker_id).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
