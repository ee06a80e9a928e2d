"""Flink and Spark of versions that Kalla does not run on, for tests. No pytest in here.

Their own jars replace those of ``make java`` beside the libraries that both use: enough for a master that answers, and
for Spark workers whose executors register. ``python -m tests.other_versions`` fetches them, as CI does before the
tests.
"""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.cluster import jars
from tests import maven

FLINK, SPARK = "1.20.5", "3.4.4"
_PACKAGES = {
    "flink": [
        *(f"org.apache.flink:flink-{name}:{FLINK}" for name in (
            "annotations", "clients", "core", "core-api", "file-sink-common", "hadoop-fs", "java", "metrics-core",
            "optimizer", "queryable-state-client-java", "rpc-akka-loader", "rpc-core", "runtime", "streaming-java",
        )),
    ],
    "spark": [
        *(f"org.apache.spark:spark-{name}_2.12:{SPARK}" for name in (
            "catalyst", "core", "kvstore", "launcher", "network-common", "network-shuffle", "sketch", "sql",
            "streaming", "tags", "unsafe",
        )),
    ],
}  # fmt: skip
_OWN = {"flink": re.compile(r"flink-(?!shaded)"), "spark": re.compile("spark-")}


def make_jars(kind: str, folder: Path) -> None:
    """Fill ``folder`` with links to the jars of ``kind`` in its other version. Raises RuntimeError."""
    folder.mkdir(parents=True)
    built = [Path(jar) for jar in jars.class_path(kind)]
    for jar in [*(jar for jar in built if not _OWN[kind].match(jar.name)), *_fetched(kind).iterdir()]:
        (folder / jar.name).symlink_to(jar)


def _fetched(kind: str) -> Path:
    version = {"flink": FLINK, "spark": SPARK}[kind]
    return maven.jars(f"{kind}-{version}", maven.pom_of(_PACKAGES[kind]), kind.title())


if __name__ == "__main__":
    for name in _PACKAGES:
        print(_fetched(name))  # noqa: T201
