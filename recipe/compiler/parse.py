"""Text -> tree: length, nesting, one statement, SELECT only, then sqlglot's PostgreSQL parser."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from itertools import pairwise

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from recipe.compiler.chains import balance
from recipe.compiler.report import FORBIDDEN, SYNTAX, TOO_DEEP, TOO_LONG, WRONG_ARGUMENTS, Findings

# The parser logs statements that it takes for commands. They are refused here, and what people write is not for logs.
logging.getLogger("sqlglot").addFilter(lambda record: "Falling back to parsing" not in record.getMessage())

MAX_LENGTH = 65_536
# The parser spends about 20 interpreter frames on one parenthesis; 32 levels leave room for the caller's own.
MAX_NESTING = 32
# Left-leaning chains (a || b || c ...) cost no nesting but make deep trees, which later passes walk
# recursively.
MAX_TREE_DEPTH = 64

_OPEN = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSE = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_PREFIX = {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE, TokenType.INTERVAL, TokenType.JOIN}

_NAMES = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING}
_AFTER_LIST = {
    TokenType.COMMA,
    TokenType.R_PAREN,
    TokenType.FROM,
    TokenType.WHERE,
    TokenType.GROUP_BY,
    TokenType.HAVING,
    TokenType.ORDER_BY,
    TokenType.UNION,
}

_OTHER_STATEMENTS = frozenset(
    "ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE "
    "DESC DESCRIBE DETACH DISCARD DO DROP END EXECUTE EXPLAIN EXPORT FETCH FORCE FROM GRANT IMPORT INSERT "
    "INSTALL LISTEN LOAD LOCK MERGE MOVE NOTIFY PIVOT PRAGMA PREPARE REFRESH REINDEX RELEASE REPLACE RESET "
    "REVOKE ROLLBACK SAVEPOINT SECURITY SET SHOW START SUMMARIZE TABLE TRUNCATE UNPIVOT UPDATE USE VACUUM "
    "VALUES".split()
)


def parse_statement(sql: str, findings: Findings) -> exp.Expression | None:
    """The statement as a tree, or None with the reason in ``findings``."""
    if len(sql) > MAX_LENGTH:
        findings.problem(TOO_LONG, f"match_sql has {len(sql):,} characters; at most {MAX_LENGTH:,} are allowed")
        return None
    tokens = _tokens(sql, findings)
    if tokens is None or not _one_select(tokens, findings) or not _shallow(tokens, findings):
        return None
    findings.read(tokens)
    tree = _parse(sql, tokens, findings)
    if tree is None:
        return None
    tree = balance(tree)
    if _depth(tree) > MAX_TREE_DEPTH:
        message = f"an expression is too deep: more than {MAX_TREE_DEPTH} operators or calls build on each other"
        findings.problem(TOO_DEEP, message)
        return None
    while isinstance(tree, exp.Subquery) and not tree.alias and set(_set_args(tree)) == {"this"}:
        tree = tree.this
    if isinstance(tree, exp.Query):
        return tree if isinstance(tree, exp.Expression) else None
    findings.problem(FORBIDDEN, f"{tree.key.upper()} is not allowed: match_sql is one SELECT", tree)
    return None


def _tokens(sql: str, findings: Findings) -> list[Token] | None:
    try:
        tokens = Postgres().tokenize(sql)
    except SqlglotError:
        findings.problem(SYNTAX, "the SQL cannot be read: a quote or a comment is not closed", _open_quote(sql))
        return None
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        findings.problem(SYNTAX, "match_sql is empty: write one SELECT over left_src and right_src")
        return None
    return tokens


def _open_quote(sql: str) -> int | None:
    """The quote that is never closed, as far as counting quotes can tell."""
    return next((sql.rfind(mark) for mark in ("'", '"') if sql.count(mark) % 2), None)


def _one_select(tokens: Sequence[Token], findings: Findings) -> bool:
    first = next((t for t in tokens if t.token_type != TokenType.L_PAREN), tokens[0])
    word = first.text.upper()
    for semicolon, next_statement in pairwise(tokens):
        if semicolon.token_type == TokenType.SEMICOLON:
            message = "several statements are not allowed: match_sql is one SELECT"
            findings.problem(FORBIDDEN, message, next_statement.start)
            break
    if word not in ("SELECT", "WITH") or first.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
        if word in _OTHER_STATEMENTS:
            findings.problem(FORBIDDEN, f"{word} is not allowed: match_sql is one SELECT", first.start)
        else:
            findings.problem(SYNTAX, "match_sql must begin with SELECT or WITH", first.start)
    _leniencies(tokens, findings)
    return not findings.problems


def _leniencies(tokens: Sequence[Token], findings: Findings) -> None:
    """What the parser lets pass and PostgreSQL does not."""
    for token, after in pairwise(tokens):
        # It would read 1_000 as the value 1 under the name _000.
        if token.token_type == TokenType.NUMBER and after.start == token.end + 1 and after.token_type in _NAMES:
            findings.problem(SYNTAX, f"{token.text}{after.text} is not a number", token.start)
        if token.token_type == TokenType.COMMA and after.token_type in _AFTER_LIST:
            findings.problem(SYNTAX, "the SQL cannot be read near ',': one comma too many", token.start)
    if tokens[-1].token_type == TokenType.COMMA:
        findings.problem(SYNTAX, "the SQL cannot be read near ',': one comma too many", tokens[-1].start)


def _shallow(tokens: Sequence[Token], findings: Findings) -> bool:
    depth, run = 0, 0
    for token in tokens:
        if token.token_type in _OPEN:
            depth += 1
        elif token.token_type in _CLOSE:
            depth = max(0, depth - 1)
        run = run + 1 if token.token_type in _PREFIX else 0
        if depth + run > MAX_NESTING:
            _too_deep(findings, token.start)
            return False
    return True


def _too_deep(findings: Findings, at: int | None = None) -> None:
    message = f"the SQL is nested too deeply (more than {MAX_NESTING} levels): split it with WITH, or shorten it"
    findings.problem(TOO_DEEP, message, at)


def _parse(sql: str, tokens: Sequence[Token], findings: Findings) -> exp.Expression | None:
    try:
        # From the tokens, as a comment behind the last semicolon would count as a second statement.
        tree = Postgres().parser(error_level=ErrorLevel.IMMEDIATE).parse(list(tokens), sql)[0]
    except ParseError as error:
        _syntax(error, findings)
        return None
    except RecursionError:
        _too_deep(findings)
        return None
    except (SqlglotError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        # The parser builds function nodes from argument lists it has not counted; nonsense makes it trip.
        findings.problem(SYNTAX, "the SQL cannot be read", tokens[0].start)
        return None
    return tree if isinstance(tree, exp.Expression) else None


def _syntax(error: ParseError, findings: Findings) -> None:
    detail = error.errors[0] if error.errors else {}
    near, line, column = str(detail.get("highlight") or ""), detail.get("line"), detail.get("col")
    at = None if line is None or column is None else _offset(findings.sql, int(line), int(column), near)
    said = str(detail.get("description") or "")
    if "number of provided arguments" in said or "expressions.math" in said or "expressions.string" in said:
        message = "a function is called with the wrong number of arguments"
        findings.problem(WRONG_ARGUMENTS, message, at)
        return
    function = _table_function(findings.tokens)
    if function is not None:
        message = f"the table function {function.text} is not allowed: the tables are left_src and right_src"
        findings.problem(FORBIDDEN, message, function.start)
        return
    # The parser's own words name its classes; only what it expected is of use.
    expected = re.match(r"Expect(?:ing|ed) ([\w ()]+?)(?: but|\.|$)", said)
    reason = f"{expected[1]} is expected" if expected else "something is missing or out of place"
    shown = f" near {near!r}" if near else ""
    findings.problem(SYNTAX, f"the SQL cannot be read{shown}: {reason}", at)


def _table_function(tokens: Sequence[Token]) -> Token | None:
    """A call where a table belongs, which the parser may not even be able to read."""
    for place, name, bracket in zip(tokens, tokens[1:], tokens[2:], strict=False):
        word = name.text.upper()
        if place.token_type in (TokenType.FROM, TokenType.JOIN) and bracket.token_type == TokenType.L_PAREN:
            if word.isidentifier() and word not in ("SELECT", "LATERAL", "UNNEST", "VALUES"):
                return name
    return None


def _offset(sql: str, line: int, column: int, near: str) -> int:
    """The parser gives the line and the column of a token's last character."""
    starts = [0]
    for text in sql.split("\n"):
        starts.append(starts[-1] + len(text) + 1)
    start = starts[min(line, len(starts) - 1) - 1] + column - max(1, len(near))
    return min(max(0, start), len(sql))


def _depth(tree: exp.Expression) -> int:
    deepest = 0
    stack: list[tuple[exp.Expression, int]] = [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        stack += [(child, depth + 1) for child in node.iter_expressions()]
    return deepest


def _set_args(node: exp.Expression) -> list[str]:
    return [key for key, value in node.args.items() if value not in (None, False, [])]
