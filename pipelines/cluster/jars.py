"""Where the Java side lies: class paths that ``make java`` built, and the Java that runs them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from pipelines.errors import PipelineError

FOLDER_VARIABLE = "KALLA_JARS"


# What the jars are compiled for. Spark asks for the current user in a way that Java 23 took away; Flink and the service
# of Beam SQL were seen to run on Java 25.
_OLDEST, _NEWEST = 17, {"spark": 22}
_NEEDS = {"flink": "Flink", "spark": "Spark", "functions": "Beam SQL"}
_JAVA_SECONDS = 10
_JAVA_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_SOURCES = Path(__file__).resolve().parents[2] / "udfs" / "java"
_MADE_FROM = ("pom.xml", "functions", "flink", "spark")


def folder() -> Path:
    """``KALLA_JARS``, else a folder of the user's cache that is named after the sources of this checkout, as
    ``udfs/java/build`` names it: another checkout's jars are never run."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "kalla" / "build" / built_from(_SOURCES)


def built_from(sources: Path) -> str:
    """The first digits of a hash of names and contents below ``udfs/java``; empty where there are no sources."""
    files = [path for name in _MADE_FROM for path in (sources / name, *(sources / name).rglob("*")) if path.is_file()]
    if not files:
        return ""
    lines = {
        path.relative_to(sources).as_posix().encode(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    told = b"".join(b"%s  %s\n" % (lines[name].encode(), name) for name in sorted(lines))
    return hashlib.sha256(told).hexdigest()[:16]


def class_path(kind: str) -> list[str]:
    """The jars of ``flink``, ``spark`` or ``functions`` (Beam SQL). Raises PipelineError ``run.jars_missing``."""
    jars = sorted(str(jar) for jar in (folder() / f"kalla-{kind}" / "jars").glob("*.jar"))
    if not jars:
        raise PipelineError(
            f"There are no {kind} jars in {folder()}.",
            code="run.jars_missing",
            hint=f"Build them with `make java`, or name their folder in {FOLDER_VARIABLE}.",
        )
    return jars


def java(kind: str) -> str:
    """The ``java`` to run for ``flink``, ``spark`` or ``functions``, from ``JAVA_HOME`` or the path. Raises
    PipelineError ``run.java_missing``, or ``run.java_version`` for one that ``kind`` does not run on."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
    version = _java_version(found) if found else None
    if not found or version is None:
        raise PipelineError(
            f"{found} is no Java that can be started." if found else "There is no Java here.",
            code="run.java_missing",
            hint="Install Java 17, or name it in JAVA_HOME.",
        )
    newest = _NEWEST.get(kind)
    if version < _OLDEST or (newest is not None and version > newest):
        until = "or newer" if newest is None else f"to {newest}"
        raise PipelineError(
            f"{_NEEDS[kind]} needs Java {_OLDEST} {until}; {found} is Java {version}.",
            code="run.java_version",
            hint="Install Java 17 and name its folder in JAVA_HOME.",
        )
    return found


@cache
def _java_version(path: str) -> int | None:
    """The first number of its version, 8 of 1.8; None where the program cannot be started or says no version."""
    try:
        told = subprocess.run([path, "-version"], capture_output=True, timeout=_JAVA_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = _JAVA_VERSION.search(told.stderr.decode("utf-8", "replace"))
    return int(found[1]) if found else None
