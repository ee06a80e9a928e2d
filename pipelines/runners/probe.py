"""Is a cluster there, of which kind, and does it fit? Asked in a second before a run, without importing Beam."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import grpc

from pipelines.errors import PipelineError
from pipelines.options import ClusterOptions

UNREACHABLE, WRONG_VERSION, NO_SLOTS = "run.cluster_unreachable", "run.cluster_version", "run.cluster_busy"
FLINK_VERSION, SPARK_VERSION = "1.19", "3.5"
_SECONDS = 4.0
_DESCRIBE = "/org.apache.beam.model.job_management.v1.JobService/DescribePipelineOptions"
_MARKS = {b"flink_master": "flink", b"spark_master": "spark"}


@dataclass(frozen=True)
class Found:
    """A cluster that answers. ``slots`` is None where it does not tell."""

    kind: str
    slots: int | None


def probe(cluster: ClusterOptions, wanted: str | None) -> Found:
    """What stands behind the job endpoint and the master's address.

    ``wanted`` is the kind that was asked for, None for any. Raises PipelineError with what to start or change.
    """
    kind = _job_server(cluster.job_endpoint, wanted)
    if wanted is not None and kind != wanted:
        raise PipelineError(
            f"The job server at {cluster.job_endpoint} is one for {kind.title()}, not for {wanted.title()}.",
            code="run.cluster_kind",
            hint=f"Use --runner {kind}, or name another job server with KALLA_JOB_ENDPOINT.",
        )
    if cluster.master_url is None:
        return Found(kind, None)
    return Found(kind, _flink(cluster.master_url) if kind == "flink" else _spark(cluster.master_url))


def _job_server(endpoint: str | None, wanted: str | None) -> str:
    """The kind of job server; its own options tell."""
    name = (wanted or "cluster").title()
    if not endpoint:
        raise PipelineError(
            f"No job server for {name} is named.",
            code="run.cluster_not_set",
            hint="Set KALLA_JOB_ENDPOINT to its host:port.",
        )
    with grpc.insecure_channel(endpoint) as channel:
        call = channel.unary_unary(_DESCRIBE, request_serializer=bytes, response_deserializer=bytes)
        try:
            answer: bytes = call(b"", timeout=_SECONDS)
        except grpc.RpcError as error:
            raise PipelineError(
                f"No job server answers at {endpoint} ({error.code().name}).",
                code=UNREACHABLE,
                hint="Start it (`make cluster` or `make spark` shows how), or correct KALLA_JOB_ENDPOINT.",
            ) from error
    for mark, kind in _MARKS.items():
        if mark in answer:
            return kind
    raise PipelineError(
        f"What answers at {endpoint} is no job server for Flink or Spark.",
        code="run.cluster_kind",
        hint="Name Beam's job server for one of them in KALLA_JOB_ENDPOINT.",
    )


def _flink(master: str) -> int:
    overview = _document(master, "overview", "Flink")
    version = str(overview.get("flink-version", ""))
    if not version.startswith(f"{FLINK_VERSION}."):
        raise PipelineError(
            f"The Flink at {master} is version {version or 'unknown'}; Kalla needs {FLINK_VERSION}.",
            code=WRONG_VERSION,
            hint=f"Point KALLA_MASTER_URL and the job server at a Flink {FLINK_VERSION}.",
        )
    if not overview.get("slots-total"):
        raise PipelineError(
            f"The Flink at {master} has no TaskManager.", code=NO_SLOTS, hint="Start one; it registers by itself."
        )
    return int(overview["slots-total"])


def _spark(master: str) -> int:
    state = _document(master, "json/", "Spark")
    if state.get("status") != "ALIVE":
        raise PipelineError(
            f"The Spark master at {master} is {state.get('status', 'no Spark master')}.",
            code=UNREACHABLE,
            hint="Name the master that is alive in KALLA_MASTER_URL.",
        )
    version = _spark_version(master)
    if version and not version.startswith(f"{SPARK_VERSION}."):
        raise PipelineError(
            f"The Spark at {master} is version {version}; Kalla needs {SPARK_VERSION}.",
            code=WRONG_VERSION,
            hint=f"Point KALLA_MASTER_URL and the job server at a Spark {SPARK_VERSION}.",
        )
    if not state.get("aliveworkers"):
        raise PipelineError(f"The Spark at {master} has no worker.", code=NO_SLOTS, hint="Start one.")
    return int(state.get("cores") or 0)


def _spark_version(master: str) -> str:
    """From the page that people see: the master's JSON does not tell."""
    with contextlib.suppress(OSError, ValueError):
        page = _fetch(master, "").decode("utf-8", "replace")
        found = re.search(r'class="version"[^>]*>\s*([0-9][0-9.]*)', page)
        return found[1] if found else ""
    return ""


def _document(master: str, path: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(_fetch(master, path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise PipelineError(
            f"No {name} master answers at {master} ({reason}).",
            code=UNREACHABLE,
            hint="Start it, or correct KALLA_MASTER_URL to the address of its web interface.",
        ) from error
    return found if isinstance(found, dict) else {}


def _fetch(master: str, path: str) -> bytes:
    if not master.startswith(("http://", "https://")):
        raise ValueError("the address does not start with http:// or https://")
    with urllib.request.urlopen(f"{master.rstrip('/')}/{path}", timeout=_SECONDS) as answer:  # noqa: S310
        content: bytes = answer.read(1 << 20)
        return content
