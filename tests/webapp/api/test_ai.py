"""/api/ai: each tool against a Messages API server, each check of what the model fills in, each error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.messages_api import Call, Fail, MessagesApi, Say, messages_api

A = {"alias": "ledger", "columns": ["entry", "reference", "amount", "customer"]}
B = {"alias": "bank", "columns": [{"name": "txn", "data_type": "string"}, {"name": "text"}, {"name": "paid"}]}
ROWS_A = [
    {"entry": f"E{n}", "reference": f"INV-{n}", "amount": f"{n}0.00", "customer": name}
    for n, name in enumerate(["Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra"], 1)
]
ROWS_B = [{"txn": f"T{n}", "text": f"INV-{n}", "paid": f"{n}0.00"} for n in (1, 2, 2)]
SCHEMAS = {"schema_a": A, "schema_b": B}
SAMPLES = {"sample_a": ROWS_A, "sample_b": [*ROWS_B[:2], {"txn": "T9", "text": None, "paid": "9"}]}
SQL = "SELECT l.entry, r.txn FROM left_src l JOIN right_src r ON l.reference = r.text"
KEYS = {"source_a": ["entry"], "source_b": ["txn"]}
INPUTS: dict[str, dict[str, Any]] = {
    "detect_field_mappings": SCHEMAS,
    "parse_nl_filter": {**SCHEMAS, "text": "above 10", "current_mappings": []},
    "infer_rules": {**SCHEMAS, **SAMPLES, "mappings": [{"field_a": "reference", "field_b": "text"}]},
    "build_recipe": {
        "rules": [{"name": "reference", "sql": "l.reference = r.text"}],
        "sources": {"alias_a": "ledger", "alias_b": "bank"},
        "primary_keys": KEYS,
        "pattern_type": "1:1",
    },
    "nl_to_sql": {**SCHEMAS, "text": "same reference", "mappings": []},
    "preview_match": {**SCHEMAS, "sample_a": ROWS_A, "sample_b": ROWS_B, "match_sql": SQL, "primary_keys": KEYS},
}
RULE = {"name": "reference", "sql": "l.reference = r.text", "description": "same", "confidence": 0.9, "evidence": "4"}
PATTERN = {"type": "1:1", "description": "one each", "confidence": 0.9}
GOOD: dict[str, dict[str, Any]] = {
    "detect_field_mappings": {
        "mappings": [
            {"field_a": "amount", "field_b": "paid", "confidence": 0.8, "reason": "amounts"},
            {"field_a": "reference", "field_b": "text", "confidence": 0.9, "reason": "same values"},
            {"field_a": "entry", "field_b": "text", "confidence": 0.7, "reason": "taken already"},
            {"field_a": "customer", "field_b": "txn", "confidence": 0.5, "reason": "hardly"},
        ],
        "suggested_filters": [],
    },
    "parse_nl_filter": {
        "filters": [{"source": "a", "column": "amount", "op": "gt", "value": 10}],
        "explanation": "amounts above 10",
    },
    "infer_rules": {"pattern": PATTERN, "primary_keys": KEYS, "rules": [RULE]},
    "build_recipe": {"match_sql": SQL, "explanation": "same reference"},
    "nl_to_sql": {"name": "reference", "sql": "l.reference = r.text", "description": "same", "confidence": 0.9},
}
BAD: list[tuple[str, dict[str, Any], str]] = [
    (
        "detect_field_mappings",
        {"mappings": [{**GOOD["detect_field_mappings"]["mappings"][0], "field_b": "ghost"}]},
        "ghost",
    ),
    ("detect_field_mappings", {"mappings": [{"field_a": "amount"}]}, "field_b"),
    (
        "parse_nl_filter",
        {"filters": [{"source": "b", "column": "amount", "op": "gt", "value": 1}], "explanation": "x"},
        "amount",
    ),
    (
        "parse_nl_filter",
        {"filters": [{"source": "a", "column": "amount", "op": "near", "value": 1}], "explanation": "x"},
        "op",
    ),
    (
        "parse_nl_filter",
        {"filters": [{"source": "a", "column": "amount", "op": "in", "value": []}], "explanation": "x"},
        "value",
    ),
    ("infer_rules", {"pattern": PATTERN, "primary_keys": {**KEYS, "source_b": ["text"]}, "rules": [RULE]}, "tell"),
    (
        "infer_rules",
        {"pattern": PATTERN, "primary_keys": KEYS, "rules": [{**RULE, "sql": "l.ghost = r.text"}]},
        "ghost",
    ),
    ("build_recipe", {"match_sql": "DROP TABLE left_src", "explanation": "x"}, "SELECT"),
    ("build_recipe", {"match_sql": "SELECT * FROM ledger l JOIN bank r ON l.a = r.b", "explanation": "x"}, "left_src"),
    ("nl_to_sql", {**GOOD["nl_to_sql"], "sql": "1 = 1); DROP TABLE x; --"}, "sql"),
    ("nl_to_sql", {**GOOD["nl_to_sql"], "sql": "read_text('/etc/passwd') = r.text"}, "read_text"),
]


@pytest.fixture
def api():
    with messages_api() as found:
        yield found


@pytest.fixture
def asking(make_app: Callable[..., Flask], api: MessagesApi) -> FlaskClient:
    return make_app(anthropic_api_key="sk-ant-4711", anthropic_base_url=api.url).test_client()


def ask(client: FlaskClient, tool: str, given: Any = None) -> Any:
    return client.post("/api/ai", json={"tool": tool, "input": INPUTS[tool] if given is None else given})


@pytest.mark.parametrize("tool", GOOD)
def test_each_tool(asking: FlaskClient, api: MessagesApi, tool: str):
    api.script = [Say("", [Call(tool, GOOD[tool])])]
    answer = ask(asking, tool)
    assert answer.status_code == 200, answer.json
    assert set(GOOD[tool]) <= set(answer.json["result"])
    assert api.requests[0]["tool_choice"] == {"type": "tool", "name": tool}


def test_mappings_are_one_to_one_and_sure(asking: FlaskClient, api: MessagesApi):
    api.script = [Say("", [Call("detect_field_mappings", GOOD["detect_field_mappings"])])]
    found = ask(asking, "detect_field_mappings").json["result"]["mappings"]
    assert [(m["field_a"], m["field_b"]) for m in found] == [("reference", "text"), ("amount", "paid")]


@pytest.mark.parametrize(("tool", "filled", "word"), BAD)
def test_what_does_not_hold_is_sent_back_once(
    asking: FlaskClient, api: MessagesApi, tool: str, filled: dict[str, Any], word: str
):
    api.script = [Say("", [Call(tool, filled)]), Say("", [Call(tool, GOOD[tool])])]
    assert ask(asking, tool).status_code == 200
    told = api.requests[1]["messages"][-1]["content"][0]
    assert told["is_error"] and word in told["content"]


def test_twice_wrong_is_an_error(asking: FlaskClient, api: MessagesApi):
    bad = Say("", [Call("build_recipe", {"match_sql": "DROP TABLE left_src", "explanation": "x"})])
    api.script = [bad, bad, Say("never asked")]
    answer = ask(asking, "build_recipe")
    assert (answer.status_code, answer.json["code"]) == (502, "ai.model_failed")
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    "reply", [Say("I would rather talk."), Fail(401, "authentication_error"), Say("", [Call("x", raw="{")])]
)
def test_a_model_that_fails(asking: FlaskClient, api: MessagesApi, reply: Any):
    api.script = [reply, reply]
    answer = ask(asking, "nl_to_sql")
    assert (answer.status_code, answer.json["code"]) == (502, "ai.model_failed")
    assert "sk-ant" not in answer.text


def test_preview_is_computed_by_the_engine(asking: FlaskClient, api: MessagesApi):
    found = ask(asking, "preview_match").json["result"]
    assert api.requests == []
    assert found["summary"] == {"total_left": 4, "total_right": 3, "matched": 2, "unmatched": 2, "unmatched_right": 0}
    assert [len(m["right_rows"]) for m in found["matches"]] == [1, 2, 0, 0]
    assert [m["status"] for m in found["matches"]] == ["matched", "matched", "unmatched", "unmatched"]
    assert found["matches"][0] == {"left_row": ROWS_A[0], "right_rows": [ROWS_B[0]], "status": "matched"}


def test_preview_refuses_what_cannot_run(asking: FlaskClient):
    answer = ask(asking, "preview_match", {**INPUTS["preview_match"], "match_sql": "SELECT * FROM sources"})
    assert (answer.status_code, answer.json["code"]) == (400, "request.invalid_body")


def test_personal_columns_and_addresses_do_not_leave(asking: FlaskClient, api: MessagesApi):
    rows = [{**row, "reference": f"postgres://u:hunter22@h/{row['reference']}"} for row in ROWS_A]
    api.script = [Say("", [Call("detect_field_mappings", GOOD["detect_field_mappings"])])]
    ask(asking, "detect_field_mappings", {**SCHEMAS, "sample_a": rows, "sample_b": ROWS_B})
    sent = api.everything_sent
    assert "Lovelace" not in sent and "hunter22" not in sent and "INV-2" in sent


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "request.invalid_body"),
        ({"tool": 7, "input": {}}, "request.invalid_body"),
        ({"tool": "paint", "input": {}}, "ai.unknown_tool"),
        ({"tool": "nl_to_sql", "input": {}}, "request.invalid_body"),
        ({"tool": "nl_to_sql", "input": "x"}, "request.invalid_body"),
        (
            {"tool": "nl_to_sql", "input": {**INPUTS["nl_to_sql"], "schema_a": {"alias": "x", "columns": [1]}}},
            "request.invalid_body",
        ),
        (
            {"tool": "nl_to_sql", "input": {**INPUTS["nl_to_sql"], "schema_a": {"alias": "x", "columns": ["a", "a"]}}},
            "request.invalid_body",
        ),
    ],
)
def test_refused_bodies(asking: FlaskClient, body: dict[str, Any], code: str):
    answer = asking.post("/api/ai", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, code)


@pytest.mark.parametrize("tool", INPUTS)
def test_without_a_key_nothing_is_configured(client: FlaskClient, tool: str):
    answer = ask(client, tool)
    assert (answer.status_code, answer.json["code"]) == (503, "ai.not_configured")
