"""Stored recipes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from recipe import parse_recipe, recipe_hash, write_json
from webapp.db import Database
from webapp.errors import ServiceError
from webapp.stores.recipes import RecipeStore

DOCUMENT: dict[str, Any] = {
    "recipe_id": "ledger-bank",
    "name": "Ledger against bank, Zürich",
    "description": "",
    "match_sql": "SELECT l.entry_no FROM left_src l JOIN right_src r ON l.reference = r.reference",
    "match_description": "Same reference",
    "sources": {
        "left": {
            "alias": "ledger",
            "type": "postgres",
            "uri": "postgres://kalla:swordfish@erp/books?table=fin.ledger",
            "primary_key": ["company", "entry_no"],
            "filters": [
                {"column": "amount", "op": "between", "value": [Decimal("100.00"), Decimal("0.1000000000000000055")]},
                {"column": "year", "op": "eq", "value": 12345678901234567890123},
            ],
        },
        "right": {
            "alias": "bank",
            "type": "file",
            "primary_key": ["txn_id"],
            "schema": ["txn_id", "reference", "amount"],
            "format": {"delimiter": ";", "decimal": ","},
        },
    },
}


def document(recipe_id: str = "ledger-bank", **left: Any) -> dict[str, Any]:
    made = deepcopy(DOCUMENT) | {"recipe_id": recipe_id}
    made["sources"]["left"] |= left
    made["sources"]["left"] = {k: v for k, v in made["sources"]["left"].items() if v is not None}
    return made


def test_a_document_comes_back_to_the_digit_and_in_order(recipes: RecipeStore) -> None:
    recipes.put(DOCUMENT)
    found = recipes.get("ledger-bank")
    assert found is not None
    assert write_json(found.document) == write_json(DOCUMENT)
    assert str(found.document["sources"]["left"]["filters"][0]["value"][0]) == "100.00"
    assert found.created_at == found.updated_at or found.created_at < found.updated_at


def test_the_document_that_was_given_stays_as_it_was(recipes: RecipeStore) -> None:
    given = document()
    recipes.put(given)
    assert given == DOCUMENT


def test_a_second_put_replaces_and_keeps_the_age(recipes: RecipeStore) -> None:
    recipes.put(document())
    first = recipes.get("ledger-bank")
    recipes.put(document(alias="other") | {"name": "New"})
    second = recipes.get("ledger-bank")
    assert first is not None and second is not None
    assert (second.document["name"], second.document["sources"]["left"]["alias"]) == ("New", "other")
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert recipes.count() == 1


def test_newest_first_in_pages(recipes: RecipeStore) -> None:
    for number in range(4):
        recipes.put(document(f"r{number}"))
    assert [r.document["recipe_id"] for r in recipes.list()] == ["r3", "r2", "r1", "r0"]
    assert [r.document["recipe_id"] for r in recipes.list(2, 1)] == ["r2", "r1"]


def test_deleted_is_gone(recipes: RecipeStore) -> None:
    recipes.put(DOCUMENT)
    assert [recipes.delete("ledger-bank"), recipes.delete("ledger-bank")] == [True, False]
    assert recipes.get("ledger-bank") is None


@pytest.mark.parametrize("recipe_id", ["", "\x00", "'; DROP TABLE recipes; --", "x" * 5000])
def test_an_unknown_id_is_nothing(recipes: RecipeStore, recipe_id: str) -> None:
    assert recipes.get(recipe_id) is None
    assert recipes.delete(recipe_id) is False


def test_addresses_do_not_lie_open(recipes: RecipeStore, raw: Callable[[], str]) -> None:
    recipes.put(DOCUMENT)
    assert not {word for word in ("swordfish", "erp/books", "fin.ledger") if word in raw()}
    assert "swordfish" not in repr(recipes.list())


def test_an_address_put_in_by_hand_is_read(recipes: RecipeStore, database: Database) -> None:
    recipes.put(DOCUMENT)
    plain = write_json(DOCUMENT["sources"])
    value = ":plain" if database.is_sqlite else "CAST(:plain AS jsonb)"
    with database.session() as session:
        session.execute(text(f"UPDATE recipes SET sources = {value}"), {"plain": plain})
    assert recipes.list()[0].document == DOCUMENT


def test_recipes_that_need_a_registered_source_are_named(recipes: RecipeStore) -> None:
    recipes.put(document("b-takes", uri=None))
    recipes.put(document("has-its-own"))
    recipes.put(document("other-alias", uri=None, alias="Ledger"))
    recipes.put(document("file-of-the-run", uri=None, type="file", schema=["company", "entry_no"]))
    on_the_right = document("a-takes")
    on_the_right["sources"]["right"] = {"alias": "ledger", "type": "csv", "uri": None, "primary_key": ["x"]}
    recipes.put(on_the_right)
    assert recipes.naming_source("ledger") == ["a-takes", "b-takes"]
    assert recipes.naming_source("bank") == []
    assert recipes.naming_source("%") == []
    assert recipes.naming_source("\x00") == []


@pytest.mark.parametrize("alias", ["a.b", "Büro-1", '"', "x'y", "日本"])
def test_any_alias_is_found(recipes: RecipeStore, alias: str) -> None:
    recipes.put(document("one", uri=None, alias=alias))
    assert recipes.naming_source(alias) == ["one"]


def test_too_much_is_refused_before_it_is_stored(recipes: RecipeStore) -> None:
    with pytest.raises(ServiceError) as caught:
        recipes.put(document(filters=[{"column": "c", "op": "eq", "value": "x" * 5_000_000}]))
    assert (caught.value.code, caught.value.status) == ("request.too_large", 413)
    assert recipes.list() == []


def test_same_hash_after_storing(recipes: RecipeStore) -> None:
    plain = document(filters=None)
    recipes.put(plain)
    stored = recipes.list()[0].document
    assert recipe_hash(parse_recipe(stored).require()) == recipe_hash(parse_recipe(plain).require())
