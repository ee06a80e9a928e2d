"""The form of references: learned from the values of a column, written as a pattern that finds them in free text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from udfs import normalize_ref

_LOOK = 400
_RUNS = re.compile(r"[A-Z]+|\d+|[^A-Z\d]+")
# A reference in free text: perhaps letters, then digits with signs between them.
_TOKEN = re.compile(r"(?<![A-Z0-9])(?:[A-Z]{1,8}[-/_.# ]{0,2})?\d+(?:[-/_.]?[A-Z]{0,4}\d+)*(?![A-Z0-9])")
_BETWEEN = r"[-/_.# ]{0,2}"
_UPPER = bytes(ord(chr(at).upper()) if at < 128 else at for at in range(256))
_SIGNS = bytes(at for at in range(128) if not chr(at).isalnum())
_LEAST_DIGITS = 3  # fewer digits are quantities and days
_MOST_PARTS = 9


def plain(text: str, strip_zeros: bool = False) -> str | None:
    """``normalize_ref`` of udfs, the short way for ASCII.

    >>> plain("inv 2026/0042"), plain("--")
    ('INV20260042', None)
    """
    if not text.isascii():
        return normalize_ref(text, strip_zeros)
    clean = text.encode("ascii").translate(_UPPER, _SIGNS).decode("ascii")
    if strip_zeros:
        clean = clean.lstrip("0") or clean[:1]
    return clean or None


@lru_cache(maxsize=256)
def _search(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(pattern, re.ASCII).search


def extracted(text: str, pattern: str, strip_zeros: bool = False) -> str | None:
    """The reference inside a text as ``normalize_ref(regex_extract(UPPER(text), pattern))`` gives it."""
    found = _search(pattern)(text.upper())
    return plain(found[0], strip_zeros) if found and found[0] else None


def key_of(text: str | None, pattern: str, strip_zeros: bool) -> str | None:
    """The comparable form of a cell: all of it, or what the pattern finds in it."""
    if text is None:
        return None
    return extracted(text, pattern, strip_zeros) if pattern else plain(text, strip_zeros)


def patterns(cells: Sequence[str], *, is_code: bool) -> tuple[str, ...]:
    """Patterns for the references that a column holds, the commonest form first; empty where it holds none.

    Of a column of references also the pattern of their digits alone, which others write without the letters.

    >>> patterns(["INV-2026-0042", "INV-2026-0043"], is_code=True)[0]
    'INV[-/_.# ]{0,2}\\\\d{4}[-/_.# ]{0,2}\\\\d{4}\\\\b'
    """
    look = [cell.upper() for cell in cells[:: max(1, len(cells) // _LOOK)]]
    tokens = look if is_code else [token for cell in look for token in _TOKEN.findall(cell)]
    forms = _forms(token for token in tokens if sum(c.isdigit() for c in token) >= _LEAST_DIGITS)
    least = 0.2 * len(look)
    found: list[str] = []
    for runs, group in forms:
        if len(group) < least:
            continue
        found.append(_pattern(runs, group))
        if is_code and runs[0].isalpha() and runs[0] != "A":
            tail = _digits(runs, group)
            found += [tail] if tail else []
    return tuple(dict.fromkeys(found))[:3]


def _forms(tokens: Iterable[str]) -> list[tuple[tuple[str, ...], list[list[str]]]]:
    """Tokens grouped by form, the largest group first: letters as written, "0" for digits, " " for signs between.

    Letters that vary too much to be a prefix count as "A".
    """
    split = [_RUNS.findall(token) for token in tokens]
    split = [runs for runs in split if 0 < len(runs) <= _MOST_PARTS]
    common = Counter(run for runs in split for run in runs if run.isalpha())
    most = [run for run, count in common.items() if count >= 0.15 * len(split)]
    groups: dict[tuple[str, ...], list[list[str]]] = {}
    for runs in split:
        form = tuple(_part(run, most) for run in runs)
        groups.setdefault(tuple(part for part in form if part != " "), []).append([r for r in runs if r[0].isalnum()])
    return sorted(((form, runs) for form, runs in groups.items() if form), key=lambda group: -len(group[1]))


def _part(run: str, prefixes: Sequence[str]) -> str:
    if run.isdigit():
        return "0"
    if run.isascii() and run.isalpha():
        return run if run in prefixes else "A"
    return " "


def _pattern(form: Sequence[str], group: Sequence[Sequence[str]]) -> str:
    parts = [_part_pattern(part, [runs[at] for runs in group]) for at, part in enumerate(form)]
    start = "" if form[0].isalpha() and form[0] != "A" else r"\b"
    return start + _BETWEEN.join(parts) + r"\b"


def _part_pattern(part: str, runs: Sequence[str]) -> str:
    if part not in ("0", "A"):
        return part
    least, most = min(map(len, runs)), max(map(len, runs))
    if least < most and part == "0":
        most += 1  # numbers grow
    count = f"{{{least}}}" if least == most else f"{{{least},{most}}}"
    return (r"\d" if part == "0" else "[A-Z]") + count


def _digits(form: Sequence[str], group: Sequence[Sequence[str]]) -> str:
    """The pattern from the first digits on; "" where that would be too short to be a reference."""
    first = next((at for at, part in enumerate(form) if part == "0"), None)
    if first is None or first == 0:
        return ""
    shortest = min(sum(len(run) for run in runs[first:]) for runs in group)
    return _pattern(form[first:], [runs[first:] for runs in group]) if shortest >= _LEAST_DIGITS + 1 else ""
