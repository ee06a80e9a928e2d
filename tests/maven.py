"""Jars from Maven Central for tests, kept outside the tree. No pytest in here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

CACHE = Path.home() / ".cache" / "kalla"
_ATTEMPTS = 3
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>org.kalla</groupId><artifactId>fetched</artifactId><version>1</version>
<dependencies>{dependencies}</dependencies></project>"""
_ALONE = """<dependency><groupId>{0}</groupId><artifactId>{1}</artifactId><version>{2}</version>
<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"""


def pom_of(packages: Iterable[str]) -> str:
    """A POM that names these ``group:artifact:version`` and nothing that they depend on."""
    return _POM.format(dependencies="".join(_ALONE.format(*package.split(":")) for package in packages))


def jars(name: str, pom: str, what: str) -> Path:
    """The folder ``name`` of the cache, with the jars that a POM names; fetched once. Raises RuntimeError."""
    found = CACHE / name
    if found.exists():
        return found
    maven = shutil.which("mvn")
    if maven is None:
        raise RuntimeError(f"No {what} for tests: install Maven to fetch it.")
    CACHE.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, _ATTEMPTS + 1):
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:  # another process may be fetching them too
            (Path(scratch) / "pom.xml").write_text(pom, encoding="utf-8")
            arguments = [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={scratch}/jars"]
            why = _run(arguments, scratch)
            if not why:
                try:
                    os.replace(Path(scratch) / "jars", found)
                except OSError:
                    if not found.exists():  # else the other process was faster
                        raise
                return found
        if attempt < _ATTEMPTS:
            time.sleep(5 * attempt)
    raise RuntimeError(f"Maven did not fetch {what}: {why}")


def _run(arguments: list[str], folder: str) -> str:
    """What went wrong, if anything."""
    try:
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return "it took five minutes"
    return (done.stdout or done.stderr or "it gave no reason")[-1000:] if done.returncode else ""
