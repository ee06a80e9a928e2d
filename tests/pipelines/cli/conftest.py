"""The command line as tests call it: in this process, and as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import call
from tests.pipelines.evidence.samples import SAMPLE, run_recipe

PROGRAM = [sys.executable, "-P", "-m", "pipelines.cli"]


@dataclass
class Called:
    """What a call printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture
def kalla(capfd: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """``kalla("run", ...)`` in this process."""

    def run(*arguments: object) -> Called:
        capfd.readouterr()
        status = call([str(a) for a in arguments])
        captured = capfd.readouterr()
        return Called(status, captured.out, captured.err)

    return run


@pytest.fixture
def program() -> Callable[..., Called]:
    """``kalla`` as a process of its own."""

    def run(*arguments: object, **environment: str) -> Called:
        found = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            check=False,
        )
        return Called(found.returncode, found.stdout, found.stderr)

    return run


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence of the bundled sample. Not to be changed."""
    output = tmp_path_factory.mktemp("sample") / "evidence"
    run_recipe(SAMPLE, output)
    return output
