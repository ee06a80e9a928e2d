"""Where the Java side lies: class paths that ``make java`` built, and the Java that runs them."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from pipelines.errors import PipelineError

FOLDER_VARIABLE = "KALLA_JARS"


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


def java() -> str:
    """The ``java`` to run, from ``JAVA_HOME`` or the path. Raises PipelineError ``run.java_missing``."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not found or not Path(found).exists():
        raise PipelineError(
            "There is no Java here.", code="run.java_missing", hint="Install Java 17, or name it in JAVA_HOME."
        )
    return found
