"""A runner on a free loopback port: ``serve_runner.py FOLDER RUN DRAIN JOBS``.

RUN is how many seconds a pretended run takes; below 0 runs are real. The port stands in FOLDER/port once it is ready.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tests.webapp.runner.helpers import FakeLaunch, settings_of
from webapp.runner.serving import RunnerServer


def serve(folder: Path, run: float, drain: float, jobs: int) -> None:
    def announce(port: int) -> None:
        partial = folder / ".port"
        partial.write_text(str(port))
        os.replace(partial, folder / "port")

    settings = settings_of(folder, max_jobs=jobs, nats_url=os.environ.get("NATS_URL"), runner_port=0)
    overrides: dict[str, Any] = {"drain_seconds": drain, "ack_seconds": 2.0}
    if run >= 0:
        overrides["launch"] = FakeLaunch(seconds=run)
    RunnerServer(settings, announce, **overrides).run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
