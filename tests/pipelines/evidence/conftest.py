"""Evidence for these tests: made once by real runs, copied before a test changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.pipelines.evidence.samples import GROUPED, SAMPLE, csv_recipe, run_recipe


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence of the bundled sample. Not to be changed."""
    output = tmp_path_factory.mktemp("sample") / "evidence"
    run_recipe(SAMPLE, output)
    return output


@pytest.fixture(scope="session")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evidence of a statement that groups: row ids are lists. Not to be changed."""
    folder = tmp_path_factory.mktemp("grouped")
    left = "id,customer,amount\n1,a,10.00\n2,a,5.50\n3,b,1.00\n4,c,2.00\n"
    right = "id,customer\n1,a\n2,b\n3,b\n4,d\n"
    output = folder / "evidence"
    run_recipe(csv_recipe(folder, left, right, GROUPED), output)
    return output


@pytest.fixture
def mine(sample: Path, tmp_path: Path) -> Path:
    """A copy of the sample's evidence to do anything with."""
    return Path(shutil.copytree(sample, tmp_path / "evidence"))
