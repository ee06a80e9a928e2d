"""The registry refuses what is incomplete, and describes what it holds."""

from __future__ import annotations

import doctest
import inspect
from decimal import Decimal
from typing import Any

import pytest
from sqlglot import exp

import udfs.arithmetic
import udfs.dates
import udfs.numbers
import udfs.patterns
import udfs.text
import udfs.trees
from recipe import Arg, FunctionSignature, Nulls, Returns
from udfs import REGISTRY, UdfError, signatures, udf

ONE = FunctionSignature("ONE_FOR_TEST", (Arg.TEXT,), Returns.TEXT)


def keep(args: list[exp.Expression]) -> exp.Expression:
    return args[0]


def test_names_are_upper_case_and_signatures_follow() -> None:
    assert sorted(REGISTRY) == [
        "DATE_WITHIN",
        "NORMALIZE_REF",
        "PERCENT_MATCH",
        "REGEX_EXTRACT",
        "TEXT_SIMILARITY",
        "TOLERANCE_MATCH",
    ]
    assert {name: f.signature for name, f in REGISTRY.items()} == dict(signatures())
    assert all(name == signature.name == name.upper() for name, signature in signatures().items())
    assert signatures()["REGEX_EXTRACT"].literal == {1, 2}


def test_the_registry_cannot_be_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        REGISTRY["X"] = REGISTRY["DATE_WITHIN"]  # type: ignore[index]


def test_a_second_function_of_one_name_is_refused() -> None:
    signature = FunctionSignature("tolerance_match", (Arg.TEXT,), Returns.TEXT)
    with pytest.raises(UdfError) as caught:

        @udf(signature, lower=keep)
        def again(text: str) -> str:
            """Again."""
            return text

    assert caught.value.code == "udf.duplicate_name"


def bare(text) -> str:  # type: ignore[no-untyped-def]
    """No annotation."""
    return str(text)


def silent(text: str) -> str:
    return text


def wide(text: str, other: str) -> str:
    """One parameter too many."""
    return text + other


def no_return(text: str):  # type: ignore[no-untyped-def]
    """No annotation of the result."""
    return text


@pytest.mark.parametrize("function", [bare, silent, wide, no_return])
def test_incomplete_functions_are_refused(function: Any) -> None:
    with pytest.raises(UdfError) as caught:
        udf(ONE, lower=keep)(function)
    assert caught.value.code == "udf.incomplete_function"
    assert "ONE_FOR_TEST" not in REGISTRY


def test_null_propagates_before_the_reference_is_called() -> None:
    for function in REGISTRY.values():
        assert function.signature.nulls is Nulls.PROPAGATE
        assert function(*[None] * function.signature.at_least) is None


def test_summaries_are_sentences() -> None:
    for function in REGISTRY.values():
        assert function.summary[0].isupper() and function.summary.endswith("."), function.name


@pytest.mark.parametrize(
    "module",
    [udfs.numbers, udfs.dates, udfs.text, udfs.patterns, udfs.arithmetic, udfs.trees],
    ids=lambda m: m.__name__,
)
def test_examples_in_docstrings_hold(module: Any) -> None:
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(module, globs={**vars(module), "Decimal": Decimal}):
        runner.run(test)
    assert runner.summarize().failed == 0


def test_examples_of_registered_functions_hold() -> None:
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    for function in REGISTRY.values():
        globs = vars(inspect.getmodule(function.python)).copy()
        text = inspect.getdoc(function.python) or ""
        runner.run(parser.get_doctest(text, globs, function.name, None, None))
    assert runner.summarize().attempted >= len(REGISTRY)
    assert runner.summarize().failed == 0
