"""The regular expressions that match_sql may use: what linear-time RE2 and Python's ``re`` read alike.

A pattern is read by a small recursive descent parser that either finds its Python twin or refuses it.
Refused are look-around and back-references (RE2 has none, because they can take exponential time), flags,
and the corners where the two engines are known to differ: a repeated group that can match nothing, POSIX
classes, ``\\S`` in a class.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from udfs.errors import INVALID_PATTERN, UdfError

MOST_CHARACTERS = 1000
MOST_REPEATS = 1000  # RE2's own limit, which it applies to nested counts multiplied

_SPACE = r"\t\n\f\r "  # RE2's \s; Python's would add the vertical tab
_SETS = {"d": r"\d", "D": r"\D", "w": r"\w", "W": r"\W", "s": f"[{_SPACE}]", "S": f"[^{_SPACE}]"}
_EDGES = {"A": r"\A", "b": r"\b", "B": r"\B"}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
_HINT = (
    "Use letters, sets such as [0-9], \\d and \\w, groups in round brackets, and * + ? {2,5}; "
    "a sign that is meant as itself needs \\ before it."
)


@dataclass(frozen=True)
class Pattern:
    """An accepted pattern: the text for RE2, its Python twin, and the number of its groups."""

    text: str
    python: re.Pattern[str]
    groups: int


@dataclass(frozen=True)
class _Part:
    python: str
    empty: bool  # it can match nothing
    repeats: int = 1  # how many copies its counted repetitions stand for
    edge: bool = False  # a place between characters, which cannot be repeated


def read_pattern(text: str) -> Pattern:
    """The pattern, checked. Raises UdfError ``udf.invalid_pattern`` with the place and the reason.

    >>> read_pattern(r"INV-(\\d{4})").groups
    1
    """
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.groups = 0

    def read(self) -> Pattern:
        if not self.text:
            self.refuse("it is empty")
        if len(self.text) > MOST_CHARACTERS or "\0" in self.text:
            self.refuse(f"it has more than {MOST_CHARACTERS} characters or a zero byte")
        part = self.alternatives()
        if self.at < len(self.text):
            self.refuse("this bracket closes nothing")
        return Pattern(self.text, re.compile(part.python, re.ASCII), self.groups)

    def refuse(self, why: str) -> None:
        raise UdfError(
            f"The pattern {self.text[:80]!r} cannot be used, at character {self.at + 1}: {why}.",
            code=INVALID_PATTERN,
            hint=_HINT,
        )

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        if not char:
            self.refuse("it ends too early")
        self.at += 1
        return char

    def accept(self, text: str) -> bool:
        found = self.text.startswith(text, self.at)
        if found:
            self.at += len(text)
        return found

    def alternatives(self) -> _Part:
        parts = [self.sequence()]
        while self.accept("|"):
            parts.append(self.sequence())
        python = "|".join(p.python for p in parts)
        return _Part(python, any(p.empty for p in parts), max(p.repeats for p in parts))

    def sequence(self) -> _Part:
        parts: list[_Part] = []
        while self.peek() not in ("", "|", ")"):
            parts.append(self.repetition(self.atom()))
        python = "".join(p.python for p in parts)
        return _Part(python, all(p.empty for p in parts), max((p.repeats for p in parts), default=1))

    def repetition(self, atom: _Part) -> _Part:
        start = self.at
        bounds = self.bounds()
        if bounds is None:
            return atom
        low, high = bounds
        if atom.edge:
            self.refuse("a place such as ^ or \\b cannot be repeated")
        if atom.empty and high != 1:
            self.refuse("the repeated group can match nothing")
        counted = self.text[start] == "{"
        repeats = atom.repeats * (max(low, high or 0, 1) if counted else 1)
        if repeats > MOST_REPEATS:
            self.refuse(f"it repeats more than {MOST_REPEATS} times")
        self.accept("?")
        quantifier = self.text[start : self.at]
        if self.peek() and self.peek() in "*+?{":
            self.refuse("two repetitions follow each other")
        return _Part(atom.python + quantifier, atom.empty or low == 0, repeats)

    def bounds(self) -> tuple[int, int | None] | None:
        """The next quantifier's least and most (None for no limit); None when there is none."""
        for sign, least_most in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.accept(sign):
                return least_most
        if self.peek() != "{":
            return None
        count = re.compile(r"\{([0-9]{1,4})(?:(,)([0-9]{1,4})?)?\}").match(self.text, self.at)
        if count is None:
            self.refuse("{ must be followed by numbers such as {2} or {2,5}")
            return None
        low = int(count[1])
        high = low if count[2] is None else (None if count[3] is None else int(count[3]))
        if high is not None and high < low:
            self.refuse("the numbers in { } are the wrong way round")
        self.at = count.end()
        return low, high

    def atom(self) -> _Part:
        if self.accept("("):
            return self.group()
        if self.accept("["):
            return _Part(self.members(), empty=False)
        if self.accept("^"):
            return _Part("^", empty=True, edge=True)
        if self.accept("$"):
            return _Part(r"\Z", empty=True, edge=True)  # Python's $ would also match before a last newline
        if self.accept("."):
            return _Part(".", empty=False)
        if self.peek() in "*+?{":
            self.refuse("there is nothing to repeat")
        if self.peek() in "]}":
            self.refuse("this bracket closes nothing")
        if self.accept("\\"):
            return self.escape()
        return _Part(re.escape(self.take()), empty=False)

    def group(self) -> _Part:
        capturing = not self.accept("?:")
        if self.peek() == "?":
            self.refuse("only ( ) and (?: ) are known; look-around, names and flags are not")
        self.groups += capturing
        inner = self.alternatives()
        if not self.accept(")"):
            self.refuse("a closing bracket is missing")
        opening = "(" if capturing else "(?:"
        return _Part(f"{opening}{inner.python})", inner.empty, inner.repeats)

    def escape(self) -> _Part:
        char = self.take()
        if char in _SETS:
            return _Part(_SETS[char], empty=False)
        if char in _EDGES:
            return _Part(_EDGES[char], empty=True, edge=True)
        return _Part(re.escape(self.escaped(char)), empty=False)

    def escaped(self, char: str) -> str:
        """The character that ``\\`` and ``char`` stand for."""
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char.isascii() and not char.isalnum() and char.isprintable():
            return char
        self.at -= 1
        self.refuse("back-references are not supported" if char.isdigit() else f"\\{char} is not known")
        return char

    def members(self) -> str:
        """The inside of [ ]."""
        parts = ["^"] if self.accept("^") else []
        first = self.at
        while self.at == first or self.peek() != "]":
            parts.append(self.member(first))
        self.take()
        return f"[{''.join(parts)}]"

    def member(self, first: int) -> str:
        start = self.at
        low = self.member_char()
        if len(low) != 1:
            return low
        if start != first and low == "-" and self.text[start] == "-" and self.peek() != "]":
            self.refuse("a minus between other signs needs \\ before it")
        if self.peek() != "-" or self.text.startswith("-]", self.at):
            return re.escape(low)
        self.take()
        high = self.member_char()
        if len(high) != 1 or high < low:
            self.refuse("the range is the wrong way round")
        return f"{re.escape(low)}-{re.escape(high)}"

    def member_char(self) -> str:
        """One character of a class, or the Python text of a set in it (more than one character)."""
        char = self.take()
        if char in "[]":
            self.refuse(f"{char} inside [ ] needs \\ before it")
        if char != "\\":
            return char
        char = self.take()
        if char == "S":
            self.refuse("\\S cannot stand inside [ ]")
        if char == "s":
            return _SPACE
        return _SETS[char] if char in _SETS else self.escaped(char)
