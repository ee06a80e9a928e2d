"""The person's own text of a part of the statement.

The parser notes where names and literals stand, not where ``CASE``, ``NOT`` or ``)`` do. So the known span
is widened token by token until the slice, parsed by itself, is the very part; if no slice is, the part is
written out instead.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from recipe.compiler.chains import balance

_MOST_LEFT, _MOST_RIGHT = 8, 4
_STOP_LEFT = {
    TokenType.ON,
    TokenType.WHERE,
    TokenType.SELECT,
    TokenType.HAVING,
    TokenType.COMMA,
    TokenType.JOIN,
}
_STOP_RIGHT = {TokenType.WHERE, TokenType.COMMA, TokenType.JOIN, TokenType.FROM, TokenType.SEMICOLON}
_OPEN = {TokenType.L_PAREN, TokenType.CASE}
_CLOSE = {TokenType.R_PAREN, TokenType.END}


def excerpt(
    sql: str,
    tokens: Sequence[Token],
    starts: Sequence[int],
    node: exp.Expression,
    span: tuple[int, int] | None,
) -> str:
    """A slice of ``sql`` that means ``node``, or ``node`` written in PostgreSQL's dialect."""
    if span is not None and tokens:
        first = bisect_left(starts, span[0])
        last = max(first, bisect_left(starts, span[1] + 1) - 1)
        for left, right in _windows(tokens, first, last):
            slice_ = sql[tokens[left].start : tokens[right].end + 1]
            if _means(slice_, node):
                return slice_
    return node.sql(dialect="postgres", comments=False)


def _windows(tokens: Sequence[Token], first: int, last: int) -> list[tuple[int, int]]:
    """Balanced token windows around the known one, the smallest first."""
    lefts = _reach(tokens, first, -1, _MOST_LEFT, _STOP_LEFT)
    rights = _reach(tokens, last, 1, _MOST_LEFT + _MOST_RIGHT, _STOP_RIGHT)
    found = [(left, right) for left in lefts for right in rights if _balanced(tokens[left : right + 1])]
    return sorted(found, key=lambda window: window[1] - window[0])[:24]


def _reach(tokens: Sequence[Token], start: int, step: int, most: int, stop: set[TokenType]) -> list[int]:
    reached = [start]
    for at in range(start + step, start + step * (most + 1), step):
        if not 0 <= at < len(tokens) or tokens[at].token_type in stop:
            break
        reached.append(at)
    return reached


def _balanced(tokens: Sequence[Token]) -> bool:
    depth = 0
    for token in tokens:
        depth += (token.token_type in _OPEN) - (token.token_type in _CLOSE)
        if depth < 0:
            return False
    return depth == 0


def _means(slice_: str, node: exp.Expression) -> bool:
    try:
        parsed = parse_one(slice_, read="postgres")
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        return False  # not an expression by itself: this window cut something in two
    return isinstance(parsed, exp.Expression) and bool(balance(parsed) == node)
