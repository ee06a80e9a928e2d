"""Documents in and out: all problems at once, nothing lost on the way, no secret in what is shown."""

from __future__ import annotations

import copy
import json
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe import (
    SOURCE_CLASSES,
    FilterOp,
    RecipeError,
    dump_filters,
    dump_recipe,
    dump_source,
    load_recipe,
    parse_filters,
    parse_recipe,
    read_json,
    recipe_hash,
    recipe_json_schema,
    save_recipe,
    upgrade,
    write_json,
)
from tests.recipe.conftest import DOCUMENTS

# --- checking ------------------------------------------------------------------------------------------


def test_every_problem_is_reported_at_once():
    found = parse_recipe(
        {
            "recipe_id": "no blanks",
            "match_sql": "",
            "sources": {
                "left": {
                    "alias": "a b",
                    "type": "postgres",
                    "uri": "postgres://u:sesame@h/d",
                    "primary_key": [],
                },
                "right": {
                    "type": "oracle",
                    "primary_key": ["id", "id"],
                    "filters": [
                        {"column": "c", "op": "is", "value": 1},
                        {"column": "c", "op": "in", "value": []},
                    ],
                },
                "middle": {},
            },
        }
    )
    assert found.recipe is None
    assert {(p.path, p.code) for p in found.problems} == {
        ("recipe_id", "recipe.invalid_field"),
        ("name", "recipe.missing_field"),
        ("match_sql", "recipe.invalid_field"),
        ("sources.middle", "recipe.invalid_field"),
        ("sources.left.alias", "recipe.invalid_field"),
        ("sources.left.uri", "source.invalid_uri"),
        ("sources.left.primary_key", "recipe.invalid_field"),
        ("sources.right.type", "recipe.unsupported_type"),
        ("sources.right.alias", "recipe.missing_field"),
        ("sources.right.primary_key[1]", "recipe.invalid_field"),
        ("sources.right.filters[0].op", "filter.unknown_op"),
        ("sources.right.filters[1].value", "filter.invalid_value"),
    }
    assert "sesame" not in repr(found.problems)
    with pytest.raises(RecipeError) as raised:
        found.require()
    assert raised.value.code == "recipe.invalid"
    assert raised.value.details == [p.as_dict() for p in found.problems]


@pytest.mark.parametrize("value", [None, [], "x", 5, True])
def test_what_is_no_object(value: object):
    assert [p.code for p in parse_recipe(value).problems] == ["recipe.invalid_field"]


def test_unknown_members_are_dropped_with_a_warning(everything: dict[str, Any]):
    plain = parse_recipe(everything)
    everything["descripton"] = "x"
    left = everything["sources"]["left"]
    left["primarykey"] = []
    left["format"]["decimals"] = "x"
    left["filters"][0]["case"] = True
    everything["sources"]["right"]["format"] = {"decimal": ","}
    found = parse_recipe(everything)
    assert found.recipe == plain.recipe
    assert plain.warnings == ()
    assert [(w.path, w.code) for w in found.warnings] == [
        ("descripton", "recipe.unknown_member"),
        ("sources.left.primarykey", "recipe.unknown_member"),
        ("sources.left.format.decimals", "recipe.unknown_member"),
        ("sources.left.filters[0].case", "recipe.unknown_member"),
        ("sources.right.format", "recipe.unused_format"),
    ]
    assert "did you mean description or match_description?" in found.warnings[0].message


@pytest.mark.parametrize("member", ["match_rules", "output"])
def test_rule_based_documents_are_sent_to_match_sql(document: dict[str, Any], member: str):
    found = parse_recipe(document | {member: []})
    assert [(p.path, p.code) for p in found.problems] == [(member, "recipe.legacy_rules")]
    assert "match_sql" in found.problems[0].message
    with pytest.raises(RecipeError) as raised:
        upgrade(document | {member: []})
    assert raised.value.code == "recipe.legacy_rules"


def test_versions(document: dict[str, Any]):
    before = copy.deepcopy(document)
    assert upgrade(document | {"version": 1}) == before == document
    assert parse_recipe(document | {"version": 1}).warnings == ()
    for version in (0, 2, "1", True, None):
        found = parse_recipe(document | {"version": version})
        assert [(p.path, p.code) for p in found.problems] == [("version", "recipe.unsupported_version")]


def test_relative_paths_only_where_there_is_a_recipe_file(document: dict[str, Any]):
    document["sources"]["right"]["uri"] = "data/payments.csv"
    assert [p.code for p in parse_recipe(document).problems] == ["source.invalid_uri"]
    assert parse_recipe(document, relative_paths=True).require().sources.right.uri == "data/payments.csv"


def test_filters_alone_have_their_own_paths():
    good = [{"column": "c", "op": "gt", "value": Decimal("1.0")}]
    assert dump_filters(parse_filters(good).filters) == good
    found = parse_filters([*good, {"column": "c", "op": "?", "x": 1}, 5], "conditions")
    assert found.filters == ()
    assert [(p.path, p.code) for p in found.problems] == [
        ("conditions[1].op", "filter.unknown_op"),
        ("conditions[1].value", "filter.invalid_value"),
        ("conditions[2]", "filter.invalid_value"),
    ]
    assert [w.path for w in found.warnings] == ["conditions[1].x"]
    assert [(p.path, p.code) for p in parse_filters({}, "conditions").problems] == [
        ("conditions", "filter.invalid_value")
    ]


def test_problems_read_well(document: dict[str, Any]):
    document["sources"]["left"] |= {"uri": "postgres://u:sesame@h/d", "primary_key": []}
    assert [f"{p.path}: {p.message}" for p in parse_recipe(document).problems] == [
        "sources.left.uri: The table is missing. Add ?table=name, as in postgres://host/books?table=fin.ledger.",
        "sources.left.primary_key: must not be empty",
    ]


# --- writing and reading back --------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(DOCUMENTS.glob("*.json")), ids=lambda p: p.stem)
def test_fixtures_survive_a_round_trip(path: Path, tmp_path: Path):
    recipe, warnings = load_recipe(path)
    assert warnings == ()
    save_recipe(recipe, tmp_path / "copy.json")
    assert load_recipe(tmp_path / "copy.json") == (recipe, ())


def test_members_come_in_the_order_of_the_contract(everything: dict[str, Any]):
    dumped = dump_recipe(parse_recipe(everything).require())
    assert list(dumped) == ["recipe_id", "name", "description", "match_sql", "match_description", "sources"]
    left = dumped["sources"]["left"]
    assert list(left) == ["alias", "type", "uri", "primary_key", "schema", "format", "filters"]
    assert list(dumped["sources"]["right"]) == ["alias", "type", "primary_key"]
    assert dumped["name"] == "Jede Angabe, ein Mal"
    assert left["format"] == {
        "delimiter": ";", "encoding": "windows-1252", "decimal": ",", "thousands": ".", "date_order": "dmy",
        "ragged": "keep",
    }  # fmt: skip


def test_numbers_keep_their_digits(everything: dict[str, Any]):
    text = write_json(dump_recipe(parse_recipe(everything).require()))
    assert '"value": 100.00}' in text
    assert '"value": [0.1, 12345678901234567890.12345678901234567890]}' in text
    assert '"value": 7}' in text


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
NAMES = st.text("abcÄé_ \"'", min_size=1, max_size=6)
FINITE = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    op = draw(st.sampled_from(list(FilterOp)))
    scalars = draw(st.sampled_from([TEXTS, FINITE, st.integers()]))
    shapes = {
        "between": st.lists(scalars, min_size=2, max_size=2),
        "in": st.lists(scalars, min_size=1),
        "like": TEXTS,
    }
    return {"column": draw(NAMES), "op": op.value, "value": draw(shapes.get(op.value, scalars))}


@st.composite
def sources(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(SOURCE_CLASSES)))
    key = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    source: dict[str, Any] = {
        "alias": draw(st.text("abüß9._-", min_size=1)),
        "type": kind,
        "primary_key": key,
    }
    if kind == "file" or draw(st.booleans()):
        source["schema"] = draw(st.permutations([*key, "amount"]))
    if draw(st.booleans()):
        source["filters"] = draw(st.lists(filters(), max_size=3))
    if kind == "postgres" and draw(st.booleans()):
        source["uri"] = "postgres://u:sesame@h/d?table=t&sslpassword=sesame"
    if kind in ("csv", "file") and draw(st.booleans()):
        source["format"] = {"date_order": draw(st.sampled_from(["ymd", "dmy", "mdy"])), "thousands": "'"}
    return source


@given(TEXTS.filter(str.strip), TEXTS, sources(), sources())
def test_any_recipe_survives_a_round_trip(sql: str, text: str, left: dict[str, Any], right: dict[str, Any]):
    obj = {
        "recipe_id": "r",
        "name": "n",
        "match_sql": sql,
        "description": text,
        "sources": {"left": left, "right": right},
    }
    recipe = parse_recipe(obj).require()
    for indent in (None, 2):
        again = parse_recipe(read_json(write_json(dump_recipe(recipe), indent=indent))).require()
        assert again == recipe
        assert recipe_hash(again) == recipe_hash(recipe)
    if "sesame" not in sql + text:
        assert "sesame" not in write_json(dump_recipe(recipe, mask=True))


def test_masked_documents_keep_everything_else(document: dict[str, Any]):
    recipe = parse_recipe(document).require()
    masked = dump_source(recipe.sources.left, mask=True)
    assert masked["uri"] == "postgres://kalla:***@db/books?table=invoices"
    assert dump_source(recipe.sources.left) | {"uri": masked["uri"]} == masked


def test_the_hash_ignores_passwords_and_nothing_else(document: dict[str, Any]):
    first = recipe_hash(parse_recipe(document).require())
    document["sources"]["left"]["uri"] = "postgres://kalla:other@db/books?table=invoices"
    assert recipe_hash(parse_recipe(document).require()) == first
    document["sources"]["left"]["uri"] = "postgres://kalla:other@db/books?table=invoice"
    assert recipe_hash(parse_recipe(document).require()) != first
    assert len(first) == 64


def test_the_hash_is_that_of_the_sorted_masked_document(document: dict[str, Any]):
    import hashlib

    recipe = parse_recipe(document).require()
    text = json.dumps(dump_recipe(recipe, mask=True), sort_keys=True, ensure_ascii=False)
    assert recipe_hash(recipe) == hashlib.sha256(text.encode()).hexdigest()


# --- files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b'{"recipe_id": "r",\n  "name" "n"}', "recipe.malformed_json", "line 2, column 10"),
        (b"", "recipe.malformed_json", "line 1"),
        (b"\xef\xbb\xbf[]", "recipe.invalid", "must be an object"),
        (b'{"name": "\xff"}', "recipe.not_utf8", "byte 11"),
        (b'{"name": 1, "name": 2}', "recipe.duplicate_member", "'name'"),
        (b" " * (4 * 1024 * 1024 + 1), "recipe.too_large", "4 MiB"),
    ],
)
def test_unreadable_documents(tmp_path: Path, data: bytes, code: str, words: str):
    path = tmp_path / "recipe.json"
    path.write_bytes(data)
    with pytest.raises(RecipeError) as raised:
        load_recipe(path)
    assert raised.value.code == code
    assert words in str(raised.value)


def test_missing_and_unreadable_files(tmp_path: Path):
    for path, code in ((tmp_path / "none.json", "recipe.not_found"), (tmp_path, "recipe.unreadable")):
        with pytest.raises(RecipeError) as raised:
            load_recipe(path)
        assert raised.value.code == code
        assert raised.value.hint


def test_a_misspelt_recipe_names_the_file_that_is_there(tmp_path: Path):
    (tmp_path / "closing").mkdir()
    (tmp_path / "closing" / "bank-march.json").write_text("{}")
    (tmp_path / "bank-marsh.json").mkdir()
    for path, meant in (("closing/bank-mrach.json", "'bank-march.json'"), ("closng/2026/bank-march.json", "'closing'")):
        with pytest.raises(RecipeError) as raised:
            load_recipe(tmp_path / path)
        assert raised.value.hint == f"Did you mean {meant}?"
    with pytest.raises(RecipeError) as raised:
        load_recipe(tmp_path / "bank-march.json")
    assert raised.value.hint == "Check the path and the spelling of the name."


def test_loading_reports_all_problems_and_warnings(tmp_path: Path, document: dict[str, Any]):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(document | {"note": 1}), encoding="utf-8")
    assert [w.code for w in load_recipe(path)[1]] == ["recipe.unknown_member"]
    path.write_text(json.dumps(document | {"name": "", "recipe_id": ""}), encoding="utf-8")
    with pytest.raises(RecipeError) as raised:
        load_recipe(path)
    assert [d["path"] for d in raised.value.details] == ["recipe_id", "name"]


def test_a_saved_file_is_private_and_keeps_its_mode(tmp_path: Path, document: dict[str, Any]):
    recipe = parse_recipe(document).require()
    path = tmp_path / "recipe.json"
    save_recipe(recipe, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    save_recipe(recipe, link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.json", "recipe.json"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    recipe = parse_recipe(document).require()
    path = tmp_path / "recipe.json"
    path.write_text("old", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RecipeError, match="No space left") as raised:
        save_recipe(recipe, path)
    assert raised.value.code == "recipe.unwritable"
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_saving_into_a_folder_that_is_missing(tmp_path: Path, document: dict[str, Any]):
    with pytest.raises(RecipeError) as raised:
        save_recipe(parse_recipe(document).require(), tmp_path / "none" / "r.json")
    assert raised.value.code == "recipe.unwritable"


def test_the_json_schema_names_every_type_and_member():
    schema = recipe_json_schema()
    assert set(schema["required"]) == {"recipe_id", "name", "match_sql", "sources"}
    left = schema["$defs"]["Sources"]["properties"]["left"]
    assert set(left["discriminator"]["mapping"]) == set(SOURCE_CLASSES)
    assert "schema" in schema["$defs"]["FileSource"]["required"]
    assert "format" not in schema["$defs"]["PostgresSource"]["properties"]
    assert schema["$defs"]["FilterOp"]["enum"] == list(FilterOp)
    json.dumps(schema)
