"""Findings: every problem and warning of one statement, each with the line and column it is about."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from recipe.compiler.excerpt import excerpt
from recipe.errors import Problem

PATH = "match_sql"

SYNTAX = "recipe.sql.syntax"
TOO_LONG = "recipe.sql.too_long"
TOO_DEEP = "recipe.sql.too_deep"
FORBIDDEN = "recipe.sql.forbidden"
UNSUPPORTED = "recipe.sql.unsupported"
UNTRACEABLE = "recipe.sql.untraceable"
UNKNOWN_TABLE = "recipe.sql.unknown_table"
UNKNOWN_COLUMN = "recipe.sql.unknown_column"
AMBIGUOUS_COLUMN = "recipe.sql.ambiguous_column"
MISSING_SIDE = "recipe.sql.missing_side"
TYPE_MISMATCH = "recipe.sql.type_mismatch"
WRONG_ARGUMENTS = "recipe.sql.wrong_arguments"
GROUPING = "recipe.sql.grouping"

TEXT_AS_NUMBER = "recipe.sql.text_as_number"
TEXT_AS_DATE = "recipe.sql.text_as_date"
INTEGER_DIVISION = "recipe.sql.integer_division"
OUTER_JOIN = "recipe.sql.outer_join"
ORDER_IGNORED = "recipe.sql.order_ignored"
NO_CONDITION = "recipe.sql.no_condition"

PROBLEM_CODES = (
    SYNTAX,
    TOO_LONG,
    TOO_DEEP,
    FORBIDDEN,
    UNSUPPORTED,
    UNTRACEABLE,
    UNKNOWN_TABLE,
    UNKNOWN_COLUMN,
    AMBIGUOUS_COLUMN,
    MISSING_SIDE,
    TYPE_MISMATCH,
    WRONG_ARGUMENTS,
    GROUPING,
)
WARNING_CODES = (
    TEXT_AS_NUMBER,
    TEXT_AS_DATE,
    INTEGER_DIVISION,
    OUTER_JOIN,
    ORDER_IGNORED,
    NO_CONDITION,
)
CODES = PROBLEM_CODES + WARNING_CODES


class Findings:
    """Collects problems and warnings; the same finding at the same place is kept once."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.tokens: list[Token] = []
        self.starts: list[int] = []  # of the tokens, for searching
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def problem(self, code: str, message: str, at: exp.Expression | int | None = None) -> None:
        found = Problem(PATH, self._where(at) + message, code)
        if found not in self.problems:
            self.problems.append(found)

    def warn(self, code: str, message: str, at: exp.Expression | int | None = None) -> None:
        found = Problem(PATH, self._where(at) + message, code)
        if found not in self.warnings:
            self.warnings.append(found)

    def text_of(self, node: exp.Expression) -> str:
        """The person's own text of a node where it can be cut out of the statement, else the node written
        out.
        """
        return excerpt(self.sql, self.tokens, self.starts, node, span_of(node))

    def read(self, tokens: list[Token]) -> None:
        """Keep the statement's tokens, from which texts and places are taken."""
        self.tokens = tokens
        self.starts = [token.start for token in tokens]

    def word(self, words: Iterable[str], near: exp.Expression | None = None) -> int | None:
        """Where one of some keywords stands: the last one before ``near``, else the first of all."""
        wanted = {word.upper() for word in words}
        found = [token.start for token in self.tokens if token.text.upper() in wanted]
        limit = offset_of(near) if near is not None else None
        before = [start for start in found if limit is not None and start <= limit]
        return before[-1] if before else found[0] if found else None

    def _where(self, at: exp.Expression | int | None) -> str:
        offset = at if isinstance(at, int) or at is None else self._begin(at)
        if offset is None:
            return ""
        line, column = position(self.sql, offset)
        return f"line {line}, column {column}: "

    def _begin(self, node: exp.Expression) -> int | None:
        """Where a node begins. Some functions are noted by their arguments only: the name is before."""
        offset = offset_of(node)
        if offset is None or not isinstance(node, exp.Func) or "start" in node.meta:
            return offset
        at = bisect_left(self.starts, offset)
        if 2 <= at < len(self.tokens) and self.tokens[at - 1].text == "(" and self.tokens[at - 2].text.isidentifier():
            return self.tokens[at - 2].start
        return offset


def position(sql: str, offset: int) -> tuple[int, int]:
    """Line and column of a character, both counted from 1."""
    before = sql[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def offset_of(node: exp.Expression) -> int | None:
    """Where a node begins: its own token, else its first known part, else what surrounds it."""
    at: exp.Expr | None = node
    while at is not None:
        starts = [start for start, _ in _spans([at])]
        if starts:
            return min(starts)
        at = at.parent
    return None


def span_of(node: exp.Expression) -> tuple[int, int] | None:
    """First and last character of the tokens known inside a node."""
    spans = list(_spans([node]))
    return (min(s for s, _ in spans), max(e for _, e in spans)) if spans else None


def _spans(nodes: Iterable[exp.Expr]) -> Iterator[tuple[int, int]]:
    for root in nodes:
        for node in root.walk():
            start, end = node.meta.get("start"), node.meta.get("end")
            if isinstance(start, int) and isinstance(end, int):
                yield start, end
