"""The match functions in Java: the table of cases holds there as in Python and DuckDB, and every character reads alike."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest

from pipelines.cluster import jars
from tests.clusters import needs_java
from tests.udfs.test_functions import CASES
from udfs import normalize_ref, text_similarity

pytestmark = needs_java("functions")


def in_java(calls: Iterable[dict[str, Any]]) -> list[Any]:
    """The values of calls, each ``function`` and ``args``, from one Java process."""
    lines = "".join(json.dumps({"function": c["function"], "args": c["args"]}) + "\n" for c in calls)
    command = [
        jars.java("functions"),
        "-Xmx256m",
        "-cp",
        ":".join(jars.class_path("functions")),
        "org.kalla.functions.Table",
    ]
    done = subprocess.run(command, input=lines.encode(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def test_java_keeps_the_table() -> None:
    found = in_java(CASES)
    assert len(found) == len(CASES)
    wrong = [(case, value) for case, value in zip(CASES, found, strict=True) if value != case["expected"]]
    assert not wrong


def test_every_character_reads_alike() -> None:
    """Java, Python and the engine carry different versions of Unicode; references must not."""
    characters = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c <= 0xDFFF]
    texts = ["".join(f"{c}\n0" for c in characters[i : i + 512]) for i in range(0, len(characters), 512)]
    found = in_java({"function": "normalize_ref", "args": [text]} for text in texts)
    for text, value in zip(texts, found, strict=True):
        assert value == normalize_ref(text)


def test_similarity_agrees_beyond_the_table() -> None:
    chance = random.Random(7)
    pairs = [["".join(chance.choices("ab é🙂", k=chance.randrange(9))) for _ in "lr"] for _ in range(500)]
    found = in_java({"function": "text_similarity", "args": pair} for pair in pairs)
    assert [Decimal(value) for value in found] == [text_similarity(*pair) for pair in pairs]


@pytest.mark.parametrize("name", ["setup.py", "udfs/java/pom.xml"])
def test_one_version_of_beam(name: str) -> None:
    from importlib.metadata import version

    from tests.test_compose import ROOT

    assert version("apache-beam") in (ROOT / name).read_text()
