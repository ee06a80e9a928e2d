"""The API's own description, held against the app."""

from __future__ import annotations

import re

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient

from webapp.errors import STATUS

# Contract 2.2 to 2.8.
ENDPOINTS = """
GET /health
GET /ready
GET /metrics
GET /api/sources
POST /api/sources
GET /api/sources/{alias}
DELETE /api/sources/{alias}
POST /api/sources/test
GET /api/sources/{alias}/preview
POST /api/sources/{alias}/load-scoped
POST /api/sources/register-csv
GET /api/sources/{alias}/primary-key
GET /api/recipes
POST /api/recipes
GET /api/recipes/{recipe_id}
DELETE /api/recipes/{recipe_id}
POST /api/recipes/validate
POST /api/recipes/validate-schema
GET /api/runs
POST /api/runs
GET /api/runs/{run_id}
POST /api/runs/{run_id}/cancel
GET /api/runs/{run_id}/evidence/{set_name}
GET /api/runs/{run_id}/evidence/{set_name}/download
POST /api/uploads/presign
POST /api/uploads/preview
POST /api/uploads/{upload_id}/confirm
PUT /api/uploads/{upload_id}/content
POST /api/chat
POST /api/chat/sessions
GET /api/chat/sessions
GET /api/chat/sessions/{session_id}
DELETE /api/chat/sessions/{session_id}
POST /api/chat/sessions/{session_id}/reset
POST /api/chat/sessions/{session_id}/stop
POST /api/chat/sessions/{session_id}/privacy
GET /api/chat/sessions/{session_id}/sent
POST /api/ai
POST /api/worker/progress
POST /api/worker/complete
POST /api/worker/error
GET /api/openapi.json
GET /api/docs
""".split("\n")[1:-1]


@pytest.fixture
def document(client: FlaskClient):
    return client.get("/api/openapi.json").json


def plain(endpoint: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", endpoint)


def test_every_endpoint_of_the_contract_is_there(document):
    found = {plain(f"{method.upper()} {path}") for path, methods in document["paths"].items() for method in methods}
    assert {plain(endpoint) for endpoint in ENDPOINTS} - found == set()


def test_every_view_of_the_api_is_described(app: Flask, document):
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
            for method in rule.methods - {"HEAD", "OPTIONS"}:
                assert method.lower() in document["paths"].get(path, {}), f"{method} {path} has no description"


def test_schemas_are_schemas_and_references_lead_somewhere(document):
    assert document["openapi"] == "3.1.0"
    schemas = document["components"]["schemas"]

    def walk(value):
        if isinstance(value, dict):
            if "schema" in value and isinstance(value["schema"], dict):
                assert jsonschema_rs.meta.is_valid(value["schema"])
            if isinstance(value.get("$ref"), str):
                assert value["$ref"].startswith("#/components/schemas/")
                assert value["$ref"].rpartition("/")[2] in schemas
            for member in value.values():
                walk(member)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(document)


def test_operations_are_whole(document):
    names = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            assert operation["summary"] and operation["tags"]
            assert "default" in operation["responses"]
            given = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert given == set(re.findall(r"\{([^}]+)\}", path))
    assert len(names) == len(set(names))


def test_errors_stand_under_their_status(document):
    refused = document["paths"]["/api/sources/{alias}"]["delete"]["responses"]
    assert "source.in_use" in refused["409"]["description"]
    assert "auth.origin_refused" in refused["403"]["description"]
    assert "401" not in document["paths"]["/health"]["get"]["responses"]


def test_all_codes_are_known_ones(document):
    known = [code.rstrip(".") for code in STATUS]
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status[0] in "45":
                    for code in response["description"].split(", "):
                        assert any(code == k or code.startswith(k + ".") for k in known), code


def test_the_readable_page(client: FlaskClient):
    answer = client.get("/api/docs")
    assert answer.mimetype == "text/html"
    for endpoint in ENDPOINTS:
        path = plain(endpoint.partition(" ")[2])
        assert path in plain(answer.text), endpoint
    assert not re.search(r'(src|href)="https?:', answer.text)
    assert "source.in_use" in answer.text
