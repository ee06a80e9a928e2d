"""Requests made from the OpenAPI document: none crashes the app, every answer is one that the document promises."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

_EXAMPLES = 25 if os.environ.get("KALLA_REQUIRE_ALL") else 8
_SHARES = 6
_LEFT_OUT = {"/api/runs/{run_id}/events"}  # a stream that stays open; its own tests read it
_CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip


def operations(app: Flask) -> list[Any]:
    found = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    return [result.ok() for result in found.get_all_operations() if result.ok().path not in _LEFT_OUT]


@pytest.mark.parametrize("share", range(_SHARES))
def test_every_endpoint_keeps_its_word(app: Flask, share: int) -> None:
    asked = operations(app)
    assert len(asked) > 30
    for operation in asked[share::_SHARES]:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        def ask(case: Any) -> None:
            case.call_and_validate(checks=_CHECKS)

        ask()
