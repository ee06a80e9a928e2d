"""Spark: a standalone cluster with Beam's job server as the driver of its jobs, one at a time."""

from __future__ import annotations

from pipelines.runners.portable import ClusterRunner

_BUSY = "Only one SparkContext should be running"


class SparkRunner(ClusterRunner):
    name = "spark"

    def was_taken(self, text: str) -> bool:
        return _BUSY in text
