"""From a MatchPlan's trees to DuckDB: the product's functions and the compiler's logical nodes become plain
SQL."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import duckdb
from sqlglot import exp

from udfs.arithmetic import lower_divide, lower_exact
from udfs.errors import UdfError
from udfs.parsing import lower_date, lower_number, lower_timestamp
from udfs.registry import REGISTRY, ArrowFunction, Lowering
from udfs.trees import bound

LOGICAL: Mapping[str, tuple[int, Lowering]] = MappingProxyType(
    {
        "KALLA_NUMBER": (3, lower_number),
        "KALLA_DATE": (2, lower_date),
        "KALLA_TIMESTAMP": (2, lower_timestamp),
        "KALLA_DIVIDE": (2, lower_divide),
        "KALLA_EXACT": (1, lower_exact),
    }
)
"""Logical node -> its number of arguments and its lowering."""


def lower(tree: exp.Expr) -> exp.Expr:
    """A copy of ``tree`` in which every logical node and every registered function is a DuckDB tree.

    Names count without case; other functions stay as they are. Raises UdfError where a constant argument (a
    pattern, a negative tolerance, a separator) cannot be used, so lowering a plan is also its last check
    before a run.
    """
    root = exp.Paren(this=tree.copy())
    calls = [node for node in root.find_all(exp.Anonymous) if _is_known(node)]
    # Inner calls first: a lowered outer call may hold its argument several times.
    for call in reversed(calls):
        call.replace(_lower_call(call))
    lowered: exp.Expression = root.this
    return lowered.pop()


def _is_known(call: exp.Anonymous) -> bool:
    name = call.name.upper()
    return name in LOGICAL or name in REGISTRY


def _lower_call(call: exp.Anonymous) -> exp.Expression:
    name = call.name.upper()
    args = list(call.expressions)
    if name in LOGICAL:
        count, builder = LOGICAL[name]
        least, most = count, count
    else:
        function = REGISTRY[name]
        builder, least, most = function.lower, function.signature.at_least, len(function.signature.args)
    if not least <= len(args) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        raise UdfError(f"{name.lower()} takes {expected} arguments, not {len(args)}.")
    return bound(builder, args)


def register_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the vectorised functions that lowered trees call to the connection's database, once: DuckDB refuses to
    define a function again.

    Close the connection before the interpreter ends, as DuckDB otherwise complains on standard error.
    """
    for function in REGISTRY.values():
        if function.arrow is not None:
            _register(connection, function.arrow)


def _register(connection: duckdb.DuckDBPyConnection, function: ArrowFunction) -> None:
    connection.create_function(
        function.name,
        function.call,
        list(function.parameters),
        function.returns,
        type="arrow",
    )
