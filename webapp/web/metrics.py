"""Prometheus figures of one app: requests by route template, runs by status.

The app's processes keep their counts in files of one folder, ``FOLDER_VARIABLE``, and each answers for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from flask import Flask, Response, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from webapp.context import Kalla
from webapp.stores.counts import counts
from webapp.web.described import describe
from webapp.web.logs import elapsed

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # the library's; read when it is imported
_EXTENSION = "kalla_metrics"
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


class Metrics:
    """The figures; a registry of their own, so that several apps in one process do not mix."""

    def __init__(self, app: Kalla) -> None:
        own = CollectorRegistry()  # of this process
        self.requests = Counter("kalla_http_requests", "Requests answered", ("method", "route", "status"), registry=own)
        self.seconds = Histogram(
            "kalla_http_request_seconds", "Time until an answer", ("method", "route"), registry=own
        )
        self.registry = own
        if FOLDER_VARIABLE in os.environ:
            self.registry = CollectorRegistry()
            MultiProcessCollector(self.registry)
        self.registry.register(_RunsByStatus(app))


class _RunsByStatus(Collector):
    def __init__(self, app: Kalla) -> None:
        self._app = app

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("kalla_runs", "Runs by status", labels=["status"])

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("kalla_runs", "Runs by status", labels=["status"])
        for status, total in counts(self._app.database).runs_by_status.items():
            family.add_metric([status], total)
        yield family


def register(app: Flask, parts: Kalla) -> None:
    """Offer /metrics."""
    app.extensions[_EXTENSION] = Metrics(parts)
    app.add_url_rule("/metrics", "metrics", metrics)


@describe("Figures for Prometheus", tag="Health", media=("text/plain",), errors=("database.unavailable",))
def metrics() -> Response:
    """Prometheus text."""
    return Response(generate_latest(_found().registry), content_type=CONTENT_TYPE_LATEST)


def count_request(response: Response) -> None:
    """Count one answer under its route template, never under the path itself."""
    route = request.url_rule.rule if request.url_rule is not None else "unmatched"
    method = request.method if request.method in _METHODS else "other"
    found = _found()
    found.requests.labels(method, route, str(response.status_code)).inc()
    found.seconds.labels(method, route).observe(elapsed())


def _found() -> Metrics:
    found = current_app.extensions[_EXTENSION]
    assert isinstance(found, Metrics)
    return found
