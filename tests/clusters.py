"""Real clusters for tests, and the reason to skip where they cannot be had. No pytest fixture in here."""

from __future__ import annotations

import os
import shutil

import pytest

from pipelines.cluster import jars


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
