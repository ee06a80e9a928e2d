"""Rules for LIKE and regular expressions, kept to what every engine of the product reads alike."""

from __future__ import annotations

import re

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.casts import as_text
from recipe.compiler.lowering import Lowering
from recipe.compiler.report import UNSUPPORTED, WRONG_ARGUMENTS
from recipe.compiler.typed import Typed, grouped, merged, text

# Escapes that PostgreSQL and RE2 read alike; back references, \m, \y and the like are PostgreSQL's own.
_ESCAPES = frozenset("dDsSwW" + "trnf" + r".*+?()[]{}|^$/\-&#~,:;=<>@!%'\"_ ")
_GROUP = re.compile(r"\(\?(?!:)")
_LAZY = re.compile(r"(?<!\\)[*+?}]\?")
_STACKED = re.compile(r"(?<!\\)[*+?}][*+]")
_FLAGS = frozenset("gi")
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\{(\d+)(?:,(\d*))?\}|.", re.DOTALL)
_MOST_DIGITS = 4
_MOST_REPEATS = 1000  # RE2's, of counts that lie within each other, multiplied


def lower_like(node: exp.Expression, low: Lowering) -> Typed:
    """LIKE and ILIKE, with ``\\`` as the escape that PostgreSQL takes when none is named."""
    return _like(node, low, "\\")


def lower_escape(node: exp.Expression, low: Lowering) -> Typed:
    escape = node.expression
    if not isinstance(node.this, (exp.Like, exp.ILike)) or not isinstance(escape, exp.Literal) or len(escape.name) != 1:
        return low.problem(WRONG_ARGUMENTS, "ESCAPE takes one character", node)
    return _like(node.this, low, escape.name)


def _like(node: exp.Expression, low: Lowering, escape: str) -> Typed:
    if isinstance(node.expression, (exp.Any, exp.All, exp.Tuple)):
        return low.problem(UNSUPPORTED, "LIKE takes one pattern", node)
    value = as_text(low.shared, low.lower(node.this))
    pattern = as_text(low.shared, low.lower(node.expression))
    tree: exp.Expression = type(node)(this=grouped(value.tree), expression=grouped(pattern.tree))
    written = pattern.tree.name if isinstance(pattern.tree, exp.Literal) else None
    if written is not None and _ends_in_escape(written, escape):
        message = f"the pattern ends in its escape character {escape}"
        return low.problem(WRONG_ARGUMENTS, message, node.expression)
    if written is None or escape in written:
        tree = exp.Escape(this=tree, expression=text(escape))
    if node.args.get("negate"):
        tree = exp.Not(this=exp.Paren(this=tree))
    return merged(tree, Kind.BOOLEAN, [value, pattern])


def _ends_in_escape(pattern: str, escape: str) -> bool:
    at = 0
    while at < len(pattern):
        if pattern[at] == escape:
            if at + 1 == len(pattern):
                return True
            at += 1
        at += 1
    return False


def lower_regex_operator(node: exp.Expression, low: Lowering) -> Typed:
    """``~``, ``~*`` and REGEXP_LIKE: whether the pattern is found anywhere."""
    flag = node.args.get("flag")
    if flag is not None and not isinstance(flag, exp.Literal):
        return low.problem(WRONG_ARGUMENTS, "the flags of REGEXP_LIKE must be written out", node)
    written = flag.name if flag is not None else ""
    case_blind = isinstance(node, exp.RegexpILike) or "i" in written
    if set(written) - {"i"} or node.args.get("full_match"):
        return low.problem(WRONG_ARGUMENTS, f"REGEXP_LIKE knows the flag 'i'; not {written!r}", node)
    value = as_text(low.shared, low.lower(node.this))
    pattern = checked_pattern(node.expression, low)
    # "s": the point matches line ends too, as in PostgreSQL.
    tree = exp.RegexpLike(this=value.tree, expression=pattern.tree, flag=text("is" if case_blind else "s"))
    return merged(tree, Kind.BOOLEAN, [value, pattern])


def lower_regexp_replace(node: exp.Expression, low: Lowering) -> Typed:
    flags = node.args.get("modifiers")
    replacement = node.args.get("replacement")
    if [k for k in ("position", "occurrence") if node.args.get(k) is not None] or replacement is None:
        return low.problem(WRONG_ARGUMENTS, "REGEXP_REPLACE takes a text, a pattern, a replacement and flags", node)
    written = flags.name if isinstance(flags, exp.Literal) else "" if flags is None else "?"
    if set(written) - _FLAGS:
        return low.problem(WRONG_ARGUMENTS, "REGEXP_REPLACE knows the flags 'g' and 'i', written out", node)
    value = as_text(low.shared, low.lower(node.this))
    pattern = checked_pattern(node.expression, low)
    new = as_text(low.shared, low.lower(replacement))
    if not isinstance(new.tree, exp.Literal) or re.search(r"\\[^0-9\\]|\\$", new.tree.name):
        message = r"the replacement must be written out, with \1 to \9 as its only escapes"
        return low.problem(WRONG_ARGUMENTS, message, replacement)
    modifiers = text("".join(sorted(set(written))) + "s")
    tree = exp.RegexpReplace(
        this=value.tree,
        expression=pattern.tree,
        replacement=new.tree,
        modifiers=modifiers,
        single_replace="g" not in written,  # else printed with a "g" that nobody wrote
    )
    return merged(tree, Kind.TEXT, [value, pattern, new])


def checked_pattern(node: exp.Expression, low: Lowering) -> Typed:
    """A pattern written out, in the part of the regular expression language that engines share."""
    pattern = low.lower(node)
    if pattern.unknown:
        return pattern
    if not isinstance(pattern.tree, exp.Literal):
        return low.problem(WRONG_ARGUMENTS, "a regular expression must be written out, as '...'", node)
    wrong = _not_portable(pattern.tree.name)
    if wrong:
        return low.problem(WRONG_ARGUMENTS, f"the regular expression uses {wrong}, which is not supported", node)
    return pattern


def _not_portable(pattern: str) -> str:
    for escaped in re.finditer(r"\\(.?)", pattern):
        if escaped[1] not in _ESCAPES or not escaped[1]:
            return escaped[0]
    if _GROUP.search(pattern) or pattern.startswith("***"):
        return "(?...) other than (?:...)"
    if _LAZY.search(pattern):
        return "a lazy quantifier such as *?"
    if _STACKED.search(pattern):
        return "two quantifiers in a row"
    if "[[." in pattern or "[[=" in pattern or "[[:<:]]" in pattern or "[[:>:]]" in pattern:
        return "a collating element or word border in brackets"
    try:
        re.compile(re.sub(r"\[:\w+:\]", "a", pattern))
    except (re.error, RecursionError, OverflowError, ValueError):  # the last two: counts beyond all measure
        return "something that cannot be read"
    if _repeats(pattern) > _MOST_REPEATS:
        return f"more than {_MOST_REPEATS} repetitions, those of groups within groups multiplied"
    return ""


def _repeats(pattern: str) -> int:
    """How often the part that is repeated most may come, by counts in curly brackets alone.

    >>> _repeats("(ab{2,3}){4}c{5,}")
    12
    """
    atom, groups = 1, [1]  # what came last, and the most in each group that is open
    for token in _TOKEN.finditer(pattern):
        if token[1]:
            count = (token[2] or token[1]).lstrip("0")
            times = max(1, int(count or 0)) if len(count) <= _MOST_DIGITS else _MOST_REPEATS + 1
            atom = min(atom * times, _MOST_REPEATS + 1)
        elif token[0] == "(":
            groups.append(1)
        elif token[0] == ")" and len(groups) > 1:
            atom = groups.pop()
        else:
            atom = 1
        groups[-1] = max(groups[-1], atom)
    return max(groups)
