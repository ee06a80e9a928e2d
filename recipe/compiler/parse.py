"""Text -> tree: length, nesting, one statement, SELECT only, then sqlglot's PostgreSQL parser."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sqlglot import exp, parse_one
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from recipe.compiler.chains import balance
from recipe.compiler.report import FORBIDDEN, SYNTAX, TOO_DEEP, TOO_LONG, WRONG_ARGUMENTS, Findings

MAX_LENGTH = 65_536
# The parser spends about 20 interpreter frames on one parenthesis; 32 levels leave room for the caller's own.
MAX_NESTING = 32
# Left-leaning chains (a || b || c ...) cost no nesting but make deep trees, which later passes walk
# recursively.
MAX_TREE_DEPTH = 100

_OPEN = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSE = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_PREFIX = {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE, TokenType.INTERVAL, TokenType.JOIN}

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
        findings.problem(
            TOO_LONG, f"match_sql has {len(sql):,} characters; at most {MAX_LENGTH:,} are allowed"
        )
        return None
    tokens = _tokens(sql, findings)
    if tokens is None or not _one_select(tokens, findings) or not _shallow(tokens, findings):
        return None
    findings.tokens = tokens
    tree = _parse(sql, tokens, findings)
    if tree is None:
        return None
    tree = balance(tree)
    if _depth(tree) > MAX_TREE_DEPTH:
        _too_deep(findings)
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
        findings.problem(SYNTAX, "the SQL cannot be read: a quote or a comment is not closed")
        return None
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        findings.problem(SYNTAX, "match_sql is empty: write one SELECT over left_src and right_src")
        return None
    return tokens


def _one_select(tokens: Sequence[Token], findings: Findings) -> bool:
    first = next((t for t in tokens if t.token_type != TokenType.L_PAREN), tokens[0])
    word = first.text.upper()
    for before, semicolon in zip((None, *tokens), tokens, strict=False):
        if semicolon.token_type == TokenType.SEMICOLON and before is not None:
            message = "several statements are not allowed: match_sql is one SELECT"
            findings.problem(FORBIDDEN, message, semicolon.start)
            break
    if word not in ("SELECT", "WITH") or first.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
        if word in _OTHER_STATEMENTS:
            findings.problem(FORBIDDEN, f"{word} is not allowed: match_sql is one SELECT", first.start)
        else:
            findings.problem(SYNTAX, "match_sql must begin with SELECT or WITH", first.start)
    for number, word_after in pairwise(tokens):
        # The parser would read 1_000 as the value 1 under the name _000.
        if number.token_type == TokenType.NUMBER and word_after.start == number.end + 1:
            if word_after.token_type in (TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING):
                findings.problem(SYNTAX, f"{number.text}{word_after.text} is not a number", number.start)
    return not findings.problems


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
    message = (
        f"the SQL is nested too deeply (more than {MAX_NESTING} levels): split it with WITH, or shorten it"
    )
    findings.problem(TOO_DEEP, message, at)


def _parse(sql: str, tokens: Sequence[Token], findings: Findings) -> exp.Expression | None:
    try:
        tree = parse_one(sql, read="postgres", error_level=ErrorLevel.IMMEDIATE)
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
    reason = str(detail.get("description") or "it is not complete").rstrip(".")
    if line is None or column is None:
        findings.problem(SYNTAX, f"the SQL cannot be read: {reason}")
        return
    starts = [0]
    for text in findings.sql.split("\n"):
        starts.append(starts[-1] + len(text) + 1)
    at = max(0, starts[min(int(line), len(starts) - 1) - 1] + int(column) - max(1, len(near)))
    if "argument" in reason.lower():
        findings.problem(WRONG_ARGUMENTS, f"a function is called with the wrong arguments: {reason}", at)
        return
    shown = f" near {near!r}" if near else ""
    findings.problem(SYNTAX, f"the SQL cannot be read{shown}: {reason}", min(at, len(findings.sql)))


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
