"""JSON without loss."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe import RecipeError, read_json, write_json

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(st.characters(exclude_categories=["Cs"])),
    st.decimals(allow_nan=False, allow_infinity=False),
)  # fmt: skip
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text('ab"\\é'), v, max_size=4))


@given(VALUES, st.sampled_from([None, 0, 2]), st.booleans())
def test_values_come_back(value: Any, indent: int | None, sort_keys: bool):
    assert read_json(write_json(value, indent=indent, sort_keys=sort_keys)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_notation(number: Decimal):
    again = read_json(write_json(number))
    assert str(again) == str(number)


@given(VALUES.filter(lambda v: "Decimal" not in repr(v)))
def test_plain_values_are_written_as_the_standard_library_does(value: Any):
    assert write_json(value) == json.dumps(value, ensure_ascii=False)


def test_indentation_keeps_flat_lists_on_one_line():
    assert write_json({"a": [1, 2], "b": [{}], "c": {}}, indent=2) == (
        '{\n  "a": [1, 2],\n  "b": [\n    {}\n  ],\n  "c": {}\n}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "nul",
        "[1,]",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e99999999999999999999",
        "01",
        "'a'",
        "[" * 100_000,
    ],
)
def test_what_is_no_json(text: str):
    with pytest.raises(RecipeError) as raised:
        read_json(text, "The request")
    assert raised.value.code == "recipe.malformed_json"
    assert raised.value.message.startswith("The request is not valid JSON")


def test_long_integers_are_read_exactly():
    assert read_json("1" * 5_000) == Decimal("1" * 5_000)


def test_nan_cannot_be_written():
    with pytest.raises(ValueError, match="JSON"):
        write_json([Decimal("NaN")])
