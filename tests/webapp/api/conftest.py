"""Fixtures of the API's tests: a recipe over two small files, and files to upload."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest

from tests.webapp.api.asking import CSV, SQL, Document
from webapp.settings import Settings


@pytest.fixture
def document(data: Path) -> Document:
    (data / "left.csv").write_text("id,ref,amount\n1,A,1.00\n")
    (data / "right.csv").write_text("no,ref,paid\n7,A,1.01\n")
    return {
        "recipe_id": "books",
        "name": "Books",
        "description": "all of them",
        "match_sql": SQL,
        "match_description": "same reference",
        "sources": {
            "left": {"alias": "ledger", "type": "csv", "uri": str(data / "left.csv"), "primary_key": ["id"]},
            "right": {"alias": "bank", "type": "csv", "uri": str(data / "right.csv"), "primary_key": ["no"]},
        },
    }


@pytest.fixture
def with_file(document: Document) -> Document:
    """The left side is a disposable file."""
    changed = deepcopy(document)
    schema = ["id", "ref", "amount"]
    changed["sources"]["left"] = {"alias": "ledger", "type": "file", "schema": schema, "primary_key": ["id"]}
    return changed


@pytest.fixture
def upload(settings: Settings) -> Callable[..., str]:
    """``upload("a,b\\n")``: the s3_uri of a file that was uploaded."""

    def put(text: str, name: str = "left.csv") -> str:
        upload_id = str(uuid.uuid4())
        path = settings.staging_path / "uploads" / "chat" / upload_id / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return f"s3://kalla-uploads/chat/{upload_id}/{name}"

    return put


@pytest.fixture
def bank(data: Path) -> str:
    """The path of a small CSV file."""
    path = data / "bank.csv"
    path.write_text(CSV)
    return str(path)
