"""Runs a graph on this machine, with Beam's in-process runner. Importing it brings Beam in."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pipelines.loading import loading_beam

with loading_beam():
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

_CORES = os.cpu_count() or 1


class _Options(PipelineOptions):
    """Options that make each view of themselves once: Beam asks for some eighty a run, and parses the flags for each.
    All views of an object share its values."""

    def view_as(self, cls: type[Any]) -> Any:
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


def run(build: Callable[[Pipeline], None], workers: int = _CORES) -> None:
    """Build a graph and run it to its end, on all cores. Raises what a step raised, in whatever form Beam gives it."""
    # FnApiRunner by name: the switch called DirectRunner may choose Prism, a binary that Beam would download. In
    # memory: its workers are threads either way, and what they exchange need not go through sockets.
    options = _Options(
        [f"--direct_num_workers={workers}", "--direct_running_mode=in_memory", "--no_pipeline_type_check"]
    )
    pipeline = Pipeline(runner=FnApiRunner(), options=options)
    build(pipeline)
    pipeline.run().wait_until_finish()
