"""The job document."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recipe import parse_recipe
from webapp.services.jobs import callback_url, job_of
from webapp.settings import Settings

RUN = "0c7b1b7e-6f4f-4d3c-9a53-0d0f0f0b8f11"
UPLOAD = "s3://kalla-uploads/chat/0c7b1b7e-6f4f-4d3c-9a53-0d0f0f0b8f11/l.csv"


def test_a_job_has_all_that_the_runner_needs(settings: Settings):
    document = {
        "recipe_id": "books",
        "name": "Books",
        "match_sql": "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id",
        "sources": {
            "left": {
                "alias": "ledger", "type": "csv_upload", "uri": UPLOAD, "primary_key": ["id", "no"], "schema": ["id", "no"],
                "format": {"delimiter": ";", "decimal": ","}, "filters": [{"column": "id", "op": "gt", "value": 5}],
            },
            "right": {"alias": "bank", "type": "postgres", "uri": "postgres://u:p@h/d?table=t", "primary_key": ["id"]},
        },
    }  # fmt: skip
    job = job_of(parse_recipe(document).require(), RUN, settings)
    left, right = job["sources"]
    stated = left.pop("format")
    assert (stated["delimiter"], stated["decimal"]) == (";", ",")
    assert left == {
        "alias": "left_src", "name": "ledger", "type": "csv_upload", "uri": UPLOAD, "schema": ["id", "no"],
        "filters": [{"column": "id", "op": "gt", "value": 5}],
    }  # fmt: skip
    assert right == {"alias": "right_src", "name": "bank", "type": "postgres", "uri": "postgres://u:p@h/d?table=t"}
    assert job["primary_keys"] == {"left_src": ["id", "no"], "right_src": ["id"]}
    assert job["output_path"] == f"{settings.staging_path}/results/runs/{RUN}/"
    assert job["run_id"] == RUN


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "http://127.0.0.1:3000/api/worker"),
        ("http://app:3000/api/worker/", "http://app:3000/api/worker"),
        ("http://app:3000/api/worker", "http://app:3000/api/worker"),
    ],
)
def test_where_callbacks_go(settings: Settings, given: str | None, expected: str):
    assert callback_url(replace(settings, callback_url=given)) == expected
