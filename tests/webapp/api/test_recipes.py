"""Recipes through the API: saved, masked, checked in full, checked against their sources."""

from __future__ import annotations

import uuid
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.servers import free_port
from webapp.context import Kalla

SQL = "SELECT l.id, r.no FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.paid, 0.01)"
Document = dict[str, Any]


@pytest.fixture
def document(data: Path) -> Document:
    (data / "left.csv").write_text("id,ref,amount\n1,A,1.00\n")
    (data / "right.csv").write_text("no,ref,paid\n7,A,1.01\n")
    return {
        "recipe_id": "books",
        "name": "Books",
        "match_sql": SQL,
        "match_description": "same reference",
        "sources": {
            "left": {"alias": "ledger", "type": "csv", "uri": str(data / "left.csv"), "primary_key": ["id"]},
            "right": {"alias": "bank", "type": "csv", "uri": str(data / "right.csv"), "primary_key": ["no"]},
        },
    }


def with_postgres(document: Document, uri: str, side: str = "left") -> Document:
    changed = deepcopy(document)
    changed["sources"][side] |= {"type": "postgres", "uri": uri}
    return changed


def codes(answer: Any) -> dict[str, str]:
    return {detail["path"]: detail["code"] for detail in answer.json["details"]}


# --- save, read, delete --------------------------------------------------------------------------------


def test_saved_recipes_come_back_newest_first(client: FlaskClient, document: Document):
    for name in ("one", "two"):
        answer = client.post("/api/recipes", json=document | {"recipe_id": name})
        assert (answer.status_code, answer.json) == (200, {"success": True, "message": "Recipe saved"})
    assert [r["recipe_id"] for r in client.get("/api/recipes").json] == ["two", "one"]
    assert [r["recipe_id"] for r in client.get("/api/recipes?limit=1&offset=1").json] == ["one"]
    assert client.get("/api/recipes/one").json == document | {"recipe_id": "one", "description": ""}


def test_saving_again_replaces(client: FlaskClient, document: Document):
    client.post("/api/recipes", json=document)
    client.post("/api/recipes", json=document | {"name": "Other books"})
    assert [r["name"] for r in client.get("/api/recipes").json] == ["Other books"]


def test_numbers_of_filters_stay_exact(client: FlaskClient, document: Document):
    document["sources"]["left"]["filters"] = [{"column": "amount", "op": "gte", "value": 100}]
    text = client.application.json.dumps(document).replace("100", "0.10000000000000000001")
    assert client.post("/api/recipes", data=text).status_code == 200
    assert b"0.10000000000000000001}" in client.get("/api/recipes/books").data


def test_passwords_never_leave_and_come_back_masked(client: FlaskClient, document: Document, parts: Kalla):
    secret = "postgres://kalla:p%40ss@erp.invalid/books?table=fin.ledger"
    client.post("/api/recipes", json=with_postgres(document, secret))
    shown = client.get("/api/recipes/books").json
    assert shown["sources"]["left"]["uri"] == "postgres://kalla:***@erp.invalid/books?table=fin.ledger"
    assert b"p%40ss" not in client.get("/api/recipes").data
    # as it came, and with another table of the same database
    for uri in (shown["sources"]["left"]["uri"], "postgres://kalla:***@ERP.invalid:5432/books?table=fin.other"):
        shown["sources"]["left"]["uri"] = uri
        assert client.post("/api/recipes", json=shown).status_code == 200
    stored = parts.recipes.get("books")
    assert stored is not None
    assert stored.document["sources"]["left"]["uri"] == "postgres://kalla:p%40ss@ERP.invalid:5432/books?table=fin.other"


def test_a_registered_sources_password_counts_as_stored(client: FlaskClient, document: Document, parts: Kalla):
    parts.sources.put("erp", "postgres://u:geheim@erp.invalid/books?table=t&sslpassword=k%26y", "postgres")
    uri = "postgres://u:***@erp.invalid/books?table=x&sslpassword=***"
    assert client.post("/api/recipes", json=with_postgres(document, uri)).status_code == 200
    stored = parts.recipes.get("books")
    assert stored is not None
    kept = "postgres://u:geheim@erp.invalid/books?table=x&sslpassword=k%26y"
    assert stored.document["sources"]["left"]["uri"] == kept


@pytest.mark.parametrize(
    "uri",
    [
        "postgres://u:***@other.invalid/books?table=t",
        "postgres://v:***@erp.invalid/books?table=t",
        "postgres://u:***@erp.invalid/else?table=t",
        "postgres://u:***@erp.invalid:6543/books?table=t",
        "postgres://u:***@/books?table=t&host=other.invalid",
        "postgres://u:%2A%2A%2A@other.invalid/books?table=t",
        "postgres://other.invalid/books?table=t&user=u&password=***",
    ],
)
def test_a_stored_password_goes_nowhere_else(client: FlaskClient, document: Document, parts: Kalla, uri: str):
    parts.sources.put("erp", "postgres://u:geheim@erp.invalid/books?table=t", "postgres")
    answer = client.post("/api/recipes", json=with_postgres(document, uri))
    assert (answer.status_code, answer.json["code"]) == (400, "recipe.invalid")
    assert codes(answer) == {"sources.left.uri": "source.masked_credentials"}


def test_delete(client: FlaskClient, document: Document):
    client.post("/api/recipes", json=document)
    assert client.delete("/api/recipes/books").json == {"success": True, "message": "Recipe deleted"}
    for answer in (client.get("/api/recipes/books"), client.delete("/api/recipes/books")):
        assert (answer.status_code, answer.json["code"]) == (404, "recipe.not_found")


def test_saving_and_deleting_is_noted(client: FlaskClient, document: Document, parts: Kalla):
    client.post("/api/recipes", json=document)
    client.delete("/api/recipes/books")
    found = [(e.action, e.subject) for e in parts.audit.list(10, 0)]
    assert found == [("recipe.delete", "books"), ("recipe.save", "books")]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "offset=-1"])
def test_bad_pages(client: FlaskClient, query: str):
    answer = client.get(f"/api/recipes?{query}")
    assert (answer.status_code, answer.json["code"]) == (400, "request.invalid_parameter")


# --- refusals ------------------------------------------------------------------------------------------


def test_all_problems_at_once(client: FlaskClient, document: Document):
    document["recipe_id"] = "no blanks"
    document["match_sql"] = "SELECT * FROM left_src l JOIN payments p ON l.id = p.id"
    document["sources"]["left"]["primary_key"] = []
    document["sources"]["right"] |= {"uri": "/etc/passwd.csv"}
    answer = client.post("/api/recipes", json=document)
    assert (answer.status_code, answer.json["code"]) == (400, "recipe.invalid")
    assert codes(answer) == {
        "recipe_id": "recipe.invalid_field",
        "match_sql": "recipe.sql.unknown_table",
        "sources.left.primary_key": "recipe.invalid_field",
        "sources.right.uri": "source.path_forbidden",
    }
    assert client.get("/api/recipes").json == []


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DROP TABLE left_src", "recipe.sql.forbidden"),
        ("SELECT * FROM read_csv('/etc/passwd') l JOIN right_src r ON 1=1", "recipe.sql.forbidden"),
        ("SELECT l.id FROM left_src l", "recipe.sql.missing_side"),
        ("SELECT (", "recipe.sql.syntax"),
        ("SELECT 1 FROM left_src l JOIN right_src r ON regex_extract(l.a, '(', 1) = r.b", "udf.invalid_pattern"),
    ],
)
def test_sql_is_compiled_when_saved(client: FlaskClient, document: Document, sql: str, code: str):
    answer = client.post("/api/recipes", json=document | {"match_sql": sql})
    assert answer.status_code == 400
    assert code in [detail["code"] for detail in answer.json["details"]]


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("postgres://u:p@169.254.169.254/d?table=t", "source.host_forbidden"),
        ("postgres://u:p@h/d", "source.invalid_uri"),
        ("mysql://u:p@h/d?table=t", "source.invalid_uri"),
    ],
)
def test_addresses_are_checked(client: FlaskClient, document: Document, uri: str, code: str):
    answer = client.post("/api/recipes", json=with_postgres(document, uri))
    assert (answer.status_code, codes(answer)) == (400, {"sources.left.uri": code})
    assert b":p@" not in answer.data


def test_a_side_without_address_needs_a_registered_source(client: FlaskClient, document: Document, parts: Kalla):
    del document["sources"]["left"]["uri"]
    answer = client.post("/api/recipes", json=document)
    assert codes(answer) == {"sources.left.uri": "recipe.missing_field"}
    parts.sources.put("ledger", str(Path(document["sources"]["right"]["uri"]).with_name("left.csv")), "csv")
    assert client.post("/api/recipes", json=document).status_code == 200
    assert "uri" not in client.get("/api/recipes/books").json["sources"]["left"]


def test_rule_based_documents_are_refused_by_name(client: FlaskClient, document: Document):
    answer = client.post("/api/recipes", json=document | {"match_rules": []})
    assert answer.status_code == 400
    assert "match_sql" in answer.json["error"]


@pytest.mark.parametrize("path", ["", "/validate", "/validate-schema"])
@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"", b"\xff", b'{"a": NaN}'])
def test_bodies_that_are_no_object(client: FlaskClient, path: str, body: bytes):
    answer = client.post(f"/api/recipes{path}", data=body)
    assert (answer.status_code, answer.json["code"]) == (400, "request.malformed_json")


# --- validate ------------------------------------------------------------------------------------------


def test_a_valid_recipe(client: FlaskClient, document: Document):
    answer = client.post("/api/recipes/validate", json=document)
    assert (answer.status_code, answer.json) == (200, {"valid": True, "errors": [], "warnings": [], "details": []})
    assert client.get("/api/recipes").json == []


def test_an_invalid_recipe_is_no_error(client: FlaskClient, document: Document):
    document["sources"]["left"]["primary_key"] = []
    answer = client.post("/api/recipes/validate", json=document | {"colour": "red"})
    assert answer.status_code == 200
    assert answer.json["valid"] is False
    assert answer.json["errors"] == ["sources.left.primary_key: must not be empty"]
    assert answer.json["warnings"] == ["colour: unknown member, ignored"]
    (detail,) = answer.json["details"]
    assert (detail["path"], detail["message"]) == ("sources.left.primary_key", "must not be empty")


@pytest.mark.parametrize(
    "body", [{}, {"sources": 1}, {"sources": {"left": {"type": []}}}, {"match_sql": 5, "sources": {"left": None}}]
)
def test_anything_may_be_validated(client: FlaskClient, body: Document):
    answer = client.post("/api/recipes/validate", json=body)
    assert (answer.status_code, answer.json["valid"]) == (200, False)


# --- validate-schema -----------------------------------------------------------------------------------


def fit(client: FlaskClient, document: Document) -> Any:
    answer = client.post("/api/recipes/validate-schema", json=document)
    assert answer.status_code == 200, answer.json
    return answer.json


def test_a_recipe_that_fits(client: FlaskClient, document: Document):
    found = fit(client, document)
    assert (found["valid"], found["errors"]) == (True, [])
    names = {field for field, _ in found["resolved_fields"]}
    assert names == {"left.id", "left.ref", "left.amount", "right.no", "right.ref", "right.paid"}


def test_columns_that_are_not_there(client: FlaskClient, document: Document):
    document["match_sql"] = SQL.replace("l.amount", "l.amout").replace("l.ref", "l.REF")
    document["sources"]["right"]["primary_key"] = ["NO"]
    found = fit(client, document)
    assert found["valid"] is False
    errors = {e["field"]: (e["source"], e["suggestion"]) for e in found["errors"]}
    assert errors == {"left.amout": ("ledger", "amount"), "right.NO": ("bank", "no")}
    assert all("did you mean" in e["message"] for e in found["errors"])


def test_a_column_of_an_unknown_side_is_told_with_the_sql(client: FlaskClient, document: Document):
    document["match_sql"] = "SELECT nowhere FROM left_src l JOIN right_src r ON l.ref = r.ref"
    (error,) = fit(client, document)["errors"]
    assert (error["field"], error["source"]) == ("match_sql", "match_sql")
    assert "nowhere" in error["message"]


def test_filters_against_the_columns(client: FlaskClient, document: Document):
    document["sources"]["left"]["filters"] = [{"column": "amuont", "op": "eq", "value": 1}]
    (error,) = fit(client, document)["errors"]
    assert (error["field"], error["suggestion"]) == ("left.amuont", "amount")


def test_declared_columns_that_nothing_needs_give_a_warning(client: FlaskClient, document: Document):
    document["sources"]["left"]["schema"] = ["id", "ref", "amount", "colour"]
    found = fit(client, document)
    assert found["valid"] is True
    assert any("colour" in warning for warning in found["warnings"])


def test_a_disposable_file_has_the_columns_of_its_schema(client: FlaskClient, document: Document):
    document["sources"]["left"] = {
        "alias": "f",
        "type": "file",
        "primary_key": ["id"],
        "schema": ["id", "ref", "amount"],
    }
    assert fit(client, document)["valid"] is True
    document["sources"]["left"]["schema"] = ["id", "ref", "Amounts"]
    (error,) = fit(client, document)["errors"]
    assert (error["field"], error["suggestion"]) == ("left.amount", "Amounts")


def test_the_stated_format_decides_about_the_columns(client: FlaskClient, document: Document, data: Path):
    (data / "left.csv").write_text("id;ref,amount\n1;A,1.00\n")
    assert fit(client, document)["valid"] is False
    document["sources"]["left"]["format"] = {"delimiter": ";"}
    document["match_sql"] = 'SELECT l.id FROM left_src l JOIN right_src r ON l."ref,amount" = r.ref'
    assert fit(client, document)["valid"] is True


def test_a_registered_source_is_looked_at(client: FlaskClient, document: Document, parts: Kalla):
    parts.sources.put("ledger", document["sources"]["left"].pop("uri"), "csv")
    assert fit(client, document)["valid"] is True


def test_a_file_that_is_not_there(client: FlaskClient, document: Document, data: Path):
    (data / "left.csv").unlink()
    found = fit(client, document)
    assert (found["valid"], found["errors"][0]["field"]) == (False, "left.uri")


def test_an_upload_that_is_gone(client: FlaskClient, document: Document):
    uri = f"s3://kalla-uploads/s/{uuid.uuid4()}/left.csv"
    document["sources"]["left"] |= {"type": "csv_upload", "uri": uri}
    assert fit(client, document)["errors"][0]["field"] == "left.uri"


def test_a_server_that_does_not_answer(client: FlaskClient, document: Document):
    uri = f"postgres://u:geheim@127.0.0.1:{free_port()}/d?table=t"
    answer = client.post("/api/recipes/validate-schema", json=with_postgres(document, uri))
    assert (answer.status_code, answer.json["code"]) == (502, "source.unreachable")
    assert b"geheim" not in answer.data


def test_an_invalid_recipe_is_not_looked_at(client: FlaskClient, document: Document):
    answer = client.post("/api/recipes/validate-schema", json=document | {"name": ""})
    assert (answer.status_code, codes(answer)) == (400, {"name": "recipe.invalid_field"})
