"""Real clusters for tests, and the reason to skip where they cannot be had. No pytest fixture in here."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.cluster import jars
from pipelines.cluster.commands import Command
from pipelines.cluster.local import HOST, LocalCluster, local_cluster
from pipelines.cluster.processes import listening
from pipelines.launch import launch
from pipelines.options import ClusterOptions
from tests.helpers import request


def missing(kind: str) -> str | None:
    """Why tests that need the jars of ``kind`` cannot run here; None when they can."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        return "no Java here"
    if not list((jars.folder() / f"kalla-{kind}" / "jars").glob("*.jar")):
        return f"no {kind} jars: make java"
    return None


def needs_java(kind: str) -> pytest.MarkDecorator:
    """Skips with the reason; with KALLA_REQUIRE_ALL=1 the tests run and fail instead."""
    reason = missing(kind)
    skip = reason is not None and os.environ.get("KALLA_REQUIRE_ALL") != "1"
    return pytest.mark.skipif(skip, reason=reason or "")


@contextlib.contextmanager
def cluster(kind: str, folder: Path) -> Iterator[LocalCluster]:
    """A real cluster of two workers with one slot each."""
    with logs_shown(folder / "logs"), local_cluster(kind, folder, workers=2, slots=1) as found:
        yield found


@contextlib.contextmanager
def logs_shown(folder: Path) -> Iterator[None]:
    """When the block fails, the ends of all logs stand in the report."""
    try:
        yield
    except BaseException:
        for log in sorted(folder.glob("*.log")):
            sys.stderr.write(f"---- {log.name}\n{log.read_text(errors='replace')[-3000:]}\n")
        raise


def start_pool(found: LocalCluster, name: str, port: int, command: Command) -> str:
    """Another pool beside that of the cluster, which ends with it; its address."""
    found.processes.start(name, command)
    found.processes.wait_for(name, lambda: listening(HOST, port), 120)
    return f"{HOST}:{port}"


def options(found: LocalCluster, **more: Any) -> ClusterOptions:
    """What points a run at a cluster."""
    given = ClusterOptions(found.endpoint, found.worker_pool, found.master_url, found.parallelism)
    return replace(given, **more)


def on(
    found: LocalCluster, recipe: dict[str, Any], output: Path | str, settings: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A whole run on a cluster, in its own process; the outcome. ``settings`` replaces some that point at it."""
    asked = request(recipe, output, **{"runner": found.kind, "cluster": options(found, **settings or {})} | more)
    return launch(asked, timeout=600)
