"""The SQL functions that match_sql may call, as data; the product's own come from their registry.

``calls`` holds how each is written in a plan. A name that is in neither table is refused.
"""

from __future__ import annotations

from recipe.functions import Arg, FunctionSignature, Nulls, Returns

_N, _T, _D, _A = Arg.NUMBER, Arg.TEXT, Arg.DATE, Arg.ANY


def _sig(
    name: str,
    args: tuple[Arg, ...],
    returns: Returns,
    *,
    required: int | None = None,
    variadic: bool = False,
    own_nulls: bool = False,
    literal: tuple[int, ...] = (),
) -> FunctionSignature:
    nulls = Nulls.OWN if own_nulls else Nulls.PROPAGATE
    return FunctionSignature(name, args, returns, required, variadic, nulls, literal=frozenset(literal))


def _aggregate(name: str, args: tuple[Arg, ...], returns: Returns) -> FunctionSignature:
    literal = frozenset({1}) if len(args) > 1 else frozenset()
    return FunctionSignature(name, args, returns, nulls=Nulls.OWN, aggregate=True, literal=literal)


def _window(name: str, args: tuple[Arg, ...], returns: Returns, required: int = 0) -> FunctionSignature:
    literal = frozenset({1}) if args else frozenset()
    return FunctionSignature(name, args, returns, required, nulls=Nulls.OWN, window_only=True, literal=literal)


_SIGNATURES = (
    _sig("ABS", (_N,), Returns.FIRST),
    _sig("ROUND", (_N, _N), Returns.FIRST, required=1, literal=(1,)),
    _sig("TRUNC", (_N, _N), Returns.FIRST, required=1, literal=(1,)),
    _sig("CEIL", (_N,), Returns.FIRST),
    _sig("FLOOR", (_N,), Returns.FIRST),
    _sig("SIGN", (_N,), Returns.INTEGER),
    _sig("MOD", (_N, _N), Returns.WIDEST),
    _sig("COALESCE", (_A,), Returns.WIDEST, variadic=True, own_nulls=True),
    _sig("NULLIF", (_A, _A), Returns.FIRST, own_nulls=True),
    _sig("GREATEST", (_A,), Returns.WIDEST, variadic=True, own_nulls=True),
    _sig("LEAST", (_A,), Returns.WIDEST, variadic=True, own_nulls=True),
    _sig("UPPER", (_T,), Returns.TEXT),
    _sig("LOWER", (_T,), Returns.TEXT),
    _sig("TRIM", (_T, _T), Returns.TEXT, required=1),
    _sig("LTRIM", (_T, _T), Returns.TEXT, required=1),
    _sig("RTRIM", (_T, _T), Returns.TEXT, required=1),
    _sig("SUBSTRING", (_T, _N, _N), Returns.TEXT, required=2),
    _sig("LEFT", (_T, _N), Returns.TEXT),
    _sig("RIGHT", (_T, _N), Returns.TEXT),
    _sig("REPLACE", (_T, _T, _T), Returns.TEXT),
    _sig("CONCAT", (_A,), Returns.TEXT, variadic=True, own_nulls=True),
    _sig("LENGTH", (_T,), Returns.INTEGER),
    _sig("LPAD", (_T, _N, _T), Returns.TEXT, required=2, literal=(2,)),
    _sig("RPAD", (_T, _N, _T), Returns.TEXT, required=2, literal=(2,)),
    _sig("STRPOS", (_T, _T), Returns.INTEGER),
    _sig("SPLIT_PART", (_T, _T, _N), Returns.TEXT, literal=(1, 2)),
    _sig("STARTS_WITH", (_T, _T), Returns.BOOLEAN),
    _sig("REGEXP_REPLACE", (_T, _T, _T, _T), Returns.TEXT, required=3, literal=(1, 2, 3)),
    _sig("REGEXP_LIKE", (_T, _T, _T), Returns.BOOLEAN, required=2, literal=(1, 2)),
    _sig("EXTRACT", (_T, _D), Returns.INTEGER),
    _sig("DATE_TRUNC", (_T, _D), Returns.TIMESTAMP),
    _aggregate("SUM", (_N,), Returns.FIRST),
    _aggregate("COUNT", (_A,), Returns.INTEGER),
    _aggregate("MIN", (_A,), Returns.FIRST),
    _aggregate("MAX", (_A,), Returns.FIRST),
    _aggregate("AVG", (_N,), Returns.DECIMAL),
    _aggregate("STRING_AGG", (_T, _T), Returns.TEXT),
    _window("ROW_NUMBER", (), Returns.INTEGER),
    _window("RANK", (), Returns.INTEGER),
    _window("DENSE_RANK", (), Returns.INTEGER),
    _window("LAG", (_A, _N, _A), Returns.FIRST, required=1),
    _window("LEAD", (_A, _N, _A), Returns.FIRST, required=1),
)

BUILTINS: dict[str, FunctionSignature] = {signature.name: signature for signature in _SIGNATURES}

# Other spellings of the same functions.
ALIASES: dict[str, str] = {
    "SUBSTR": "SUBSTRING",
    "CEILING": "CEIL",
    "CHAR_LENGTH": "LENGTH",
    "CHARACTER_LENGTH": "LENGTH",
    "BTRIM": "TRIM",
    "POSITION": "STRPOS",
    "DATE_PART": "EXTRACT",
}
