"""Documents that the recipe tests start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from recipe import read_json

# examples are judged by their answers, not by how busy the machine is
settings.register_profile("kalla", deadline=None)
settings.load_profile("kalla")

DOCUMENTS = Path(__file__).parent / "fixtures" / "documents"


@pytest.fixture
def document() -> dict[str, Any]:
    """A small valid recipe, fresh for each test."""
    return {
        "recipe_id": "r1",
        "name": "Invoices against payments",
        "match_sql": "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id",
        "sources": {
            "left": {
                "alias": "invoices",
                "type": "postgres",
                "uri": "postgres://kalla:sesame@db/books?table=invoices",
                "primary_key": ["id"],
            },
            "right": {"alias": "payments", "type": "csv", "uri": "/data/payments.csv", "primary_key": ["id"]},
        },
    }


@pytest.fixture
def everything() -> dict[str, Any]:
    """A valid recipe that uses every member."""
    return read_json((DOCUMENTS / "everything.json").read_bytes())
