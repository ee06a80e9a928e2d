"""Rules for scalar functions: arguments counted and cast by signature, then each written so that engines
agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.builtins import ALIASES, BUILTINS
from recipe.compiler.casts import (
    alike,
    as_boolean,
    as_exact,
    as_integer,
    as_number,
    as_text,
    as_time,
    common_kind,
    common_scale,
    comparable,
    utc,
    wide,
)
from recipe.compiler.lowering import Lowering
from recipe.compiler.refusals import refuse_function
from recipe.compiler.report import UNSUPPORTED, WRONG_ARGUMENTS
from recipe.compiler.typed import MAX_DIGITS, Typed, call, cast, merged, text, unknown, whole_digits
from recipe.functions import Arg, FunctionSignature, Returns

_LONG_DIGITS = 19  # of an integer of 64 bits
_MOST_PADDED = 10_000  # characters: a billion of them for each row would be a way to take all memory

Build = Callable[[list[Typed], exp.Expression, Lowering], Typed]

_KINDS = {
    Returns.BOOLEAN: Kind.BOOLEAN,
    Returns.INTEGER: Kind.INTEGER,
    Returns.DECIMAL: Kind.DECIMAL,
    Returns.DOUBLE: Kind.DOUBLE,
    Returns.TEXT: Kind.TEXT,
    Returns.DATE: Kind.DATE,
    Returns.TIMESTAMP: Kind.TIMESTAMP,
}


def lower_named(node: exp.Expression, low: Lowering) -> Typed:
    """A call that the parser knows by name only: the product's own functions, or a refused one."""
    name = str(node.this).upper() if isinstance(node.this, str) else node.name.upper()
    signature = low.shared.functions.get(name)
    if signature is None:
        if ALIASES.get(name, name) in BUILTINS:
            return low.problem(WRONG_ARGUMENTS, f"{name} is called with arguments it does not take", node)
        refuse_function(low.shared.findings, node, node.name, low.shared.functions)
        return unknown()
    if not counted(signature, node.expressions, node, low) or not _literals(signature, node.expressions, low):
        return unknown()
    if signature.aggregate and not low.aggregates:
        return low.problem(UNSUPPORTED, f"the aggregate {name} cannot stand in {low.clause}", node)
    inner = low.within(aggregate=True) if signature.aggregate else low
    args = [_product_argument(signature, i, part, inner) for i, part in enumerate(node.expressions)]
    kind, scale = _returned(signature, args)
    return merged(call(name, *[a.tree for a in args]), kind, args, scale)


def counted(signature: FunctionSignature, parts: Sequence[exp.Expression], node: exp.Expression, low: Lowering) -> bool:
    most = signature.at_most
    if signature.at_least <= len(parts) and (most is None or len(parts) <= most):
        return True
    need = f"{signature.at_least}" if most == signature.at_least else f"{signature.at_least} to {most or 'many'}"
    message = f"{signature.name} takes {need} arguments; given: {len(parts)}"
    low.problem(WRONG_ARGUMENTS, message, node)
    return False


def _literals(signature: FunctionSignature, parts: Sequence[exp.Expression], low: Lowering) -> bool:
    right = True
    for i in sorted(signature.literal):
        if i < len(parts) and not is_written_out(parts[i]):
            message = f"argument {i + 1} of {signature.name} must be written out, not computed from columns"
            low.problem(WRONG_ARGUMENTS, message, parts[i])
            right = False
    return right


def is_written_out(node: exp.Expression) -> bool:
    inner = node.this if isinstance(node, (exp.Neg, exp.Paren)) else node
    return isinstance(inner, (exp.Literal, exp.Boolean, exp.RawString, exp.ByteString))


def _product_argument(signature: FunctionSignature, i: int, part: exp.Expression, low: Lowering) -> Typed:
    """The product's functions are exact: numbers arrive as exact decimals, moments in UTC."""
    value = low.lower(part)
    wanted = signature.args[min(i, len(signature.args) - 1)]
    if wanted == Arg.NUMBER:
        return as_exact(low.shared, value, part)
    if wanted == Arg.DATE:
        return utc(as_time(low.shared, value, part))
    if wanted == Arg.TEXT:
        return as_text(low.shared, value)
    if wanted == Arg.BOOLEAN:
        return as_boolean(low.shared, value, part, signature.name)
    return value


def _returned(signature: FunctionSignature, args: list[Typed]) -> tuple[Kind, int | None]:
    if signature.returns == Returns.FIRST:
        return args[0].kind, args[0].scale
    if signature.returns == Returns.WIDEST:
        return common_kind(args), common_scale(args)
    kind = _KINDS[signature.returns]
    return kind, 0 if kind == Kind.INTEGER else None


def lower_builtin(node: exp.Expression, low: Lowering) -> Typed:
    """A function on the allow-list: its arguments by name and place, checked, cast and written out."""
    name, parts = _SHAPES[type(node)](node)
    signature = BUILTINS[name]
    ignored = [v for v in node.args.values() if isinstance(v, exp.Expression) and all(v is not p for p in parts)]
    if ignored:  # an argument that the parser takes in some other dialect
        return low.problem(WRONG_ARGUMENTS, f"{name} is called with arguments it does not take", ignored[0])
    if not counted(signature, parts, node, low) or not _literals(signature, parts, low):
        return unknown()
    args = [_builtin_argument(signature, i, part, low) for i, part in enumerate(parts)]
    if signature.returns == Returns.WIDEST:
        args = alike(low.shared, args, node, list(parts))
    elif name == "NULLIF":
        args = comparable(low.shared, args, node, list(parts))
    return _BUILD[name](args, node, low)


def _builtin_argument(signature: FunctionSignature, i: int, part: exp.Expression, low: Lowering) -> Typed:
    value = low.lower(part)
    wanted = signature.args[min(i, len(signature.args) - 1)]
    if wanted == Arg.TEXT or signature.name == "CONCAT":
        return as_text(low.shared, value)
    if wanted == Arg.NUMBER:
        return (
            as_integer(low.shared, value, part, "INT")
            if i > 0 and signature.name != "MOD"
            else (as_number(low.shared, value, part))
        )
    return value


def _plain(kind: type[exp.Expression], result: Kind, *names: str) -> Build:
    """A function whose arguments go to the named places of its node as they are."""

    def build(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
        tree = kind(**{name: a.tree for name, a in zip(names, args, strict=False)})
        return merged(tree, result, args, 0 if result == Kind.INTEGER else None)

    return build


def _absolute(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    number = wide(args[0])
    return number.with_tree(exp.Abs(this=number.tree), scale=number.scale)


def _rounded(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    """ROUND and TRUNC work on exact decimals: half away from zero."""
    value = as_exact(low.shared, args[0], node.this)
    places = args[1].tree if len(args) > 1 else None
    digits = 0 if places is None else _signed(places)
    if digits is None or value.unknown:
        return value if value.unknown else low.problem(WRONG_ARGUMENTS, "digits must be a whole number", node)
    if digits < 0:
        room = MAX_DIGITS - (value.scale or 0) if value.kind == Kind.DECIMAL else _LONG_DIGITS
        if -digits >= room:
            return low.problem(WRONG_ARGUMENTS, f"digits must be more than -{room} for this number", node)
        value = _with_room(value, -digits)
    scale = max(0, min(digits, value.scale if value.scale is not None else digits))
    tree = type(node)(this=value.tree, decimals=places)
    return merged(tree, value.kind, args, scale)


def _with_room(value: Typed, places: int) -> Typed:
    """A number with more than so many digits before the point: with fewer, the engine answers 0, for NULL too."""
    if value.kind == Kind.INTEGER:
        return wide(value)
    if whole_digits(value) > places:
        return value
    return value.with_tree(cast(value.tree, f"DECIMAL({MAX_DIGITS}, {value.scale or 0})"), scale=value.scale)


def _whole(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    """CEIL and FLOOR; an integer stays what it is, as engines would give a binary number for it."""
    value = args[0]
    if value.kind == Kind.INTEGER:
        return value.with_tree(value.tree, scale=0)
    return value.with_tree(type(node)(this=value.tree), scale=0)


def _sign(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    return args[0].with_tree(cast(exp.Sign(this=args[0].tree), "BIGINT"), Kind.INTEGER, 0)


def _widest(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    tree = type(node)(this=args[0].tree, expressions=[a.tree for a in args[1:]])
    if isinstance(node, (exp.Greatest, exp.Least)):
        tree.set("ignore_nulls", True)
    return merged(tree, common_kind(args), args, common_scale(args))


def _nullif(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    tree = exp.Nullif(this=args[0].tree, expression=args[1].tree)
    kind = args[0].kind if not args[0].unknown else common_kind(args)
    return merged(tree, kind, args, args[0].scale)


def _trim(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    tree = exp.Trim(this=args[0].tree, expression=args[1].tree if len(args) > 1 else None)
    if node.args.get("position"):
        tree.set("position", node.args["position"])
    return merged(tree, Kind.TEXT, args)


def _concat(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    """CONCAT skips NULLs, as PostgreSQL's does; ``||`` does not."""
    return merged(exp.Concat(expressions=[a.tree for a in args], safe=True, coalesce=True), Kind.TEXT, args)


def _substring(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    """PostgreSQL counts positions below 1 too; other engines count them from the end."""
    start = _number_of(args[1])
    length = args[2] if len(args) > 2 else None
    if start is not None and start >= 1 and (length is None or (_number_of(length) or -1) >= 0):
        tree = exp.Substring(this=args[0].tree, start=args[1].tree, length=length.tree if length else None)
        return merged(tree, Kind.TEXT, args)
    first = _at_least(args[1].tree, 1)
    rest = None
    if length is not None:
        end = exp.Add(this=exp.Paren(this=args[1].tree.copy()), expression=exp.Paren(this=length.tree))
        rest = _at_least(exp.Sub(this=exp.Paren(this=end), expression=exp.Paren(this=first.copy())), 0)
    return merged(exp.Substring(this=args[0].tree, start=first, length=rest), Kind.TEXT, args)


def _number_of(value: Typed) -> int | None:
    return int(value.tree.name) if isinstance(value.tree, exp.Literal) and value.tree.name.isdigit() else None


def _signed(tree: exp.Expression) -> int | None:
    inner, sign = (tree.this, -1) if isinstance(tree, exp.Neg) else (tree, 1)
    return sign * int(inner.name) if isinstance(inner, exp.Literal) and inner.name.isdigit() else None


def _at_least(tree: exp.Expression, least: int) -> exp.Expression:
    """The greater of both, NULL for NULL (GREATEST would skip it)."""
    limit = exp.Literal.number(least)
    below = exp.LT(this=exp.Paren(this=tree.copy()), expression=limit)
    return exp.Case(ifs=[exp.If(this=below, true=limit.copy())], default=tree)


def _pad(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    fill = args[2].tree if len(args) > 2 else text(" ")
    if not fill.name:
        return low.problem(WRONG_ARGUMENTS, "LPAD and RPAD need a text to fill with", node)
    length = _number_of(args[1])
    if length is None or length > _MOST_PADDED:
        return low.problem(
            WRONG_ARGUMENTS, f"LPAD and RPAD need the length written out, 0 to {_MOST_PADDED:,} characters", node
        )
    tree = exp.Pad(
        this=args[0].tree, expression=args[1].tree, fill_pattern=fill, is_left=bool(node.args.get("is_left"))
    )
    return merged(tree, Kind.TEXT, args)


def _split_part(args: list[Typed], node: exp.Expression, low: Lowering) -> Typed:
    if not args[1].tree.name or args[2].tree.name == "0":
        message = "SPLIT_PART needs a delimiter and a part number other than 0"
        return low.problem(WRONG_ARGUMENTS, message, node)
    tree = exp.SplitPart(this=args[0].tree, delimiter=args[1].tree, part_index=args[2].tree)
    return merged(tree, Kind.TEXT, args)


def _same_shape(name: str, *places: str) -> Callable[[exp.Expression], tuple[str, list[exp.Expression]]]:
    def shape(node: exp.Expression) -> tuple[str, list[exp.Expression]]:
        found = [node.args.get(place) for place in places]
        return name, [part for part in found if isinstance(part, exp.Expression)]

    return shape


def _list_shape(name: str) -> Callable[[exp.Expression], tuple[str, list[exp.Expression]]]:
    return lambda node: (
        name,
        [part for part in (node.args.get("this"), *node.expressions) if part is not None],
    )


_SHAPES: dict[type[exp.Expression], Callable[[exp.Expression], tuple[str, list[exp.Expression]]]] = {
    exp.Abs: _same_shape("ABS", "this"),
    exp.Round: _same_shape("ROUND", "this", "decimals"),
    exp.Trunc: _same_shape("TRUNC", "this", "decimals"),
    exp.Ceil: _same_shape("CEIL", "this"),
    exp.Floor: _same_shape("FLOOR", "this"),
    exp.Sign: _same_shape("SIGN", "this"),
    exp.Coalesce: _list_shape("COALESCE"),
    exp.Greatest: _list_shape("GREATEST"),
    exp.Least: _list_shape("LEAST"),
    exp.Nullif: _same_shape("NULLIF", "this", "expression"),
    exp.Upper: _same_shape("UPPER", "this"),
    exp.Lower: _same_shape("LOWER", "this"),
    exp.Trim: _same_shape("TRIM", "this", "expression"),
    exp.Substring: _same_shape("SUBSTRING", "this", "start", "length"),
    exp.Left: _same_shape("LEFT", "this", "expression"),
    exp.Right: _same_shape("RIGHT", "this", "expression"),
    exp.Replace: _same_shape("REPLACE", "this", "expression", "replacement"),
    exp.Concat: _list_shape("CONCAT"),
    exp.Length: _same_shape("LENGTH", "this"),
    exp.Pad: lambda node: (
        "LPAD" if node.args.get("is_left") else "RPAD",
        [p for p in (node.this, node.expression, node.args.get("fill_pattern")) if isinstance(p, exp.Expression)],
    ),
    exp.StrPosition: _same_shape("STRPOS", "this", "substr", "position", "occurrence"),
    exp.SplitPart: _same_shape("SPLIT_PART", "this", "delimiter", "part_index"),
    exp.StartsWith: _same_shape("STARTS_WITH", "this", "expression"),
}

_BUILD: dict[str, Build] = {
    "ABS": _absolute,
    "ROUND": _rounded,
    "TRUNC": _rounded,
    "CEIL": _whole,
    "FLOOR": _whole,
    "SIGN": _sign,
    "COALESCE": _widest,
    "GREATEST": _widest,
    "LEAST": _widest,
    "NULLIF": _nullif,
    "UPPER": _plain(exp.Upper, Kind.TEXT, "this"),
    "LOWER": _plain(exp.Lower, Kind.TEXT, "this"),
    "TRIM": _trim,
    "SUBSTRING": _substring,
    "LEFT": _plain(exp.Left, Kind.TEXT, "this", "expression"),
    "RIGHT": _plain(exp.Right, Kind.TEXT, "this", "expression"),
    "REPLACE": _plain(exp.Replace, Kind.TEXT, "this", "expression", "replacement"),
    "CONCAT": _concat,
    "LENGTH": _plain(exp.Length, Kind.INTEGER, "this"),
    "LPAD": _pad,
    "RPAD": _pad,
    "STRPOS": _plain(exp.StrPosition, Kind.INTEGER, "this", "substr"),
    "SPLIT_PART": _split_part,
    "STARTS_WITH": _plain(exp.StartsWith, Kind.BOOLEAN, "this", "expression"),
}


def lower_joined_text(node: exp.Expression, low: Lowering) -> Typed:
    """``a || b``: NULL where either is."""
    parts = [as_text(low.shared, low.lower(p)) for p in (node.this, node.expression)]
    return merged(exp.DPipe(this=parts[0].tree, expression=parts[1].tree, safe=True), Kind.TEXT, parts)


SCALAR_FUNCTIONS = tuple(_SHAPES)
