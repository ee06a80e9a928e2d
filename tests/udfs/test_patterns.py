"""A pattern is refused, or RE2 in DuckDB and Python's re read it alike."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.conftest import Evaluate
from udfs import REGISTRY, UdfError, read_pattern

REFUSED = [
    "", "(", ")", "a)", "[", "[a", "a]", "a}", "{2}", "a{", "a{x}", "a{,3}", "a{3,2}", "a{1001}",
    "(a{100}){100}", "*a", "a**", "a{2}{3}", "a*+", "a++", "a?+", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)",
    "(?P<n>a)", "(?P=n)", "(?i)a", "(?#x)", "(?>a)", r"(a)\1", r"\0", r"\k", r"\p{L}", r"\x41", r"\u0041",
    r"\Z", r"\z", r"\Q", "\\", "[[:alpha:]]", "[]a]", "[a--b]", r"[\S]", r"[a-\d]", "[z-a]", "(a*)*",
    "(a|)*", "(?:){2}", "^*", r"\b+", "a\x00", "a" * 1001, r"[\b]",
]  # fmt: skip


@pytest.mark.parametrize("pattern", REFUSED, ids=range(len(REFUSED)))
def test_refused(pattern: str) -> None:
    with pytest.raises(UdfError) as caught:
        read_pattern(pattern)
    assert caught.value.code == "udf.invalid_pattern"
    assert "at character" in caught.value.message


def test_any_ascii_sign_may_be_escaped() -> None:
    for sign in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ":
        assert read_pattern(f"\\{sign}[\\{sign}]").python.fullmatch(sign * 2)


def test_the_place_of_the_fault_is_named() -> None:
    with pytest.raises(UdfError, match=r"at character 4: .*look-around"):
        read_pattern("ab(?=c)")


atoms = st.sampled_from([
    "a", "b", "é", "-", " ", ".", "^", "$", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\b", r"\B", r"\A",
    r"\.", r"\-", "[ab]", "[^a]", "[a-c0-3]", r"[\d\s]", r"[^\w]", "[&&a]", "[~~|^]", "[a-]", "[-a]",
    r"[\]\\]", "#", "&", "\n", r"\n", r"\ ",
])  # fmt: skip
quantifiers = st.sampled_from(["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,}", "{0,2}", "{1,2}?"])


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("({}){}".format, inner, quantifiers),
        st.builds("(?:{}){}".format, inner, quantifiers),
        st.builds("{}|{}".format, inner, inner),
    )


patterns = st.recursive(st.builds("{}{}".format, atoms, quantifiers), combined, max_leaves=8)
subjects = st.text(alphabet="ab0 -é\n\v_.&|", max_size=10)


@settings(max_examples=400, deadline=None)
@given(patterns, st.lists(subjects, min_size=1, max_size=8))
def test_accepted_patterns_mean_the_same(evaluate: Evaluate, pattern: str, texts: list[str]) -> None:
    try:
        groups = read_pattern(pattern).groups
    except UdfError:
        return
    extract = REGISTRY["REGEX_EXTRACT"]
    for group in range(groups + 1):
        found = evaluate(f"REGEX_EXTRACT(c0, '{pattern}', {group})", ["VARCHAR"], [[t] for t in texts])
        assert found == [extract(t, pattern, group) for t in texts]
