"""Flink: a session cluster with Beam's job server before it."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterable
from typing import Any

from pipelines.options import ClusterOptions
from pipelines.runners.causes import NO_SLOTS, cause
from pipelines.runners.portable import ClusterRunner

_SECONDS = 4.0
_ENDED = ("FINISHED", "FAILED", "CANCELED")


def named(jobs: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The entries of Flink's list of jobs that have exactly this name: every attempt at a run has the same."""
    return [job for job in jobs if job["name"] == name]


def is_living(job: dict[str, Any]) -> bool:
    """Whether a job still has slots or waits for them."""
    return job["state"] not in _ENDED


def newest(jobs: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The living one of several jobs, else the one that began last; None of none."""
    return max(jobs, key=lambda job: (is_living(job), job["start-time"]), default=None)


class FlinkRunner(ClusterRunner):
    name = "flink"
    # Less than Flink's delay of three seconds before it tries again: a worker that died must be gone by then, not be
    # found once more. Not much less: with half a second a worker was seen to end under a step, which was tried again.
    keep_workers_millis = 2500

    def __init__(self, cluster: ClusterOptions, parallelism: int) -> None:
        super().__init__(cluster, parallelism)
        self._earlier: set[str] = set()

    def has_room(self, name: str) -> bool:
        """Flink would take the job at once, and fail it a minute later for want of slots.

        A job that a driver which was killed has left under this name is stopped first.
        """
        earlier = named(self._jobs(), name)
        for job in filter(is_living, earlier):
            self._stop(job)
        if any(map(is_living, earlier)):
            return False
        self._earlier = {job["jid"] for job in earlier}
        overview = self._ask("overview")
        if overview is None or not overview.get("jobs-running"):
            return True
        return int(overview.get("slots-available", 0)) >= self.parallelism

    def was_taken(self, text: str) -> bool:
        """Where the cluster has enough slots in all, others had them, or a machine that was lost is back."""
        known = cause(text)
        if known is None or known.code != NO_SLOTS:
            return False
        return int((self._ask("overview") or {}).get("slots-total", 0)) >= self.parallelism

    def detail(self, name: str) -> str:
        """The root exception that the JobManager keeps of the job."""
        found = self._job(name)
        if found is None:
            return ""
        told = self._ask(f"jobs/{found['jid']}/exceptions") or {}
        entries = told.get("exceptionHistory", {}).get("entries", [])
        texts = [str(entry.get("stacktrace", "")) for entry in entries]
        return "\n".join([str(told.get("root-exception") or ""), *texts])

    def end(self, name: str) -> None:
        found = self._job(name)
        if found is not None and is_living(found):
            self._stop(found)

    def _job(self, name: str) -> dict[str, Any] | None:
        """Flink's own entry of this attempt's job; None where it has none yet."""
        return newest(job for job in named(self._jobs(), name) if job["jid"] not in self._earlier)

    def _jobs(self) -> list[dict[str, Any]]:
        return list((self._ask("jobs/overview") or {}).get("jobs", []))

    def _stop(self, job: dict[str, Any]) -> None:
        self._ask(f"jobs/{job['jid']}?mode=cancel", "PATCH")

    def _ask(self, path: str, method: str = "GET") -> dict[str, Any] | None:
        if self.cluster.master_url is None:
            return None
        request = urllib.request.Request(f"{self.cluster.master_url.rstrip('/')}/{path}", method=method)  # noqa: S310
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            found = json.load(answer)
            return found if isinstance(found, dict) else None
        return None
