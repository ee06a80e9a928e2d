"""Spark: a standalone cluster with Beam's job server as the driver of its jobs, one at a time."""

from __future__ import annotations

from pipelines.runners.portable import ClusterRunner


class SparkRunner(ClusterRunner):
    name = "spark"
