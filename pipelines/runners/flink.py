"""Flink: a session cluster with Beam's job server before it."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from typing import Any

from pipelines.runners.causes import NO_SLOTS, cause
from pipelines.runners.portable import ClusterRunner

_SECONDS = 4.0


class FlinkRunner(ClusterRunner):
    name = "flink"
    # Less than Flink's delay of three seconds before it tries again: a worker that died must be gone by then, not be
    # found once more. Not much less: with half a second a worker was seen to end under a step, which was tried again.
    keep_workers_millis = 2500

    def has_room(self) -> bool:
        """Flink would take the job at once, and fail it a minute later for want of slots."""
        overview = self._ask("overview")
        if overview is None or not overview.get("jobs-running"):
            return True
        return int(overview.get("slots-available", 0)) >= self.parallelism

    def was_taken(self, text: str) -> bool:
        known = cause(text)
        return known is not None and known.code == NO_SLOTS and not self.has_room()

    def detail(self, job_id: str) -> str:
        """The root exception that the JobManager keeps of the job."""
        found = self._job(job_id)
        if found is None:
            return ""
        told = self._ask(f"jobs/{found['jid']}/exceptions") or {}
        entries = told.get("exceptionHistory", {}).get("entries", [])
        texts = [str(entry.get("stacktrace", "")) for entry in entries]
        return "\n".join([str(told.get("root-exception") or ""), *texts])

    def end(self, job_id: str) -> None:
        found = self._job(job_id)
        if found is not None and found["state"] not in ("FINISHED", "FAILED", "CANCELED"):
            self._ask(f"jobs/{found['jid']}?mode=cancel", "PATCH")

    def _job(self, job_id: str) -> dict[str, Any] | None:
        """Flink's own entry of a job: the job server calls it by the first part of its own id."""
        overview = self._ask("jobs/overview") or {}
        for job in overview.get("jobs", []):
            if job_id.startswith(job["name"]):
                return dict(job)
        return None

    def _ask(self, path: str, method: str = "GET") -> dict[str, Any] | None:
        if self.cluster.master_url is None:
            return None
        request = urllib.request.Request(f"{self.cluster.master_url.rstrip('/')}/{path}", method=method)  # noqa: S310
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            found = json.load(answer)
            return found if isinstance(found, dict) else None
        return None
