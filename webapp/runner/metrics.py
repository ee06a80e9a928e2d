"""The runner's metrics, in a registry of their own (contract 3.1). No label holds a name from outside."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

STAGES = ("staging", "matching", "writing_results")
_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21_600)


class Metrics:
    """Counts since this process started."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.active = Gauge("kalla_runner_active_jobs", "Jobs at work", registry=registry)
        self.queued = Gauge("kalla_runner_queued_jobs", "Jobs that wait", registry=registry)
        self.completed = Counter("kalla_runner_jobs_completed", "Jobs that completed", registry=registry)
        self.failed = Counter("kalla_runner_jobs_failed", "Jobs that failed", registry=registry)
        self.rows_read = Counter("kalla_runner_rows_read", "Rows read from sources", ["side"], registry=registry)
        self.callbacks_failed = Counter(
            "kalla_runner_callbacks_failed", "Attempts at callbacks that failed", ["kind"], registry=registry
        )
        self.duration = Histogram(
            "kalla_runner_job_duration_seconds", "Time in each stage", ["stage"], registry=registry, buckets=_BUCKETS
        )
        for side in ("left", "right"):
            self.rows_read.labels(side)
        for kind in ("progress", "complete", "error"):
            self.callbacks_failed.labels(kind)
        for stage in STAGES:
            self.duration.labels(stage)

    def text(self) -> bytes:
        """In the text form of Prometheus."""
        return generate_latest(self._registry)
