"""The registry of match functions: one ``@udf`` per function, refused when it is incomplete.

A match function is three things that must agree: its signature (data for the compiler), a pure Python
reference, and its lowering to a DuckDB tree. Where SQL alone cannot express it, ``arrow`` holds a
vectorised implementation that ``udfs.engine.register_functions`` adds to a connection and the lowering
calls by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from sqlglot import exp

from recipe import FunctionSignature, Nulls
from udfs.errors import UdfError

Lowering = Callable[[list[exp.Expression]], exp.Expression]


@dataclass(frozen=True)
class ArrowFunction:
    """A vectorised implementation. ``call`` gets (chunked) arrays of equal length without NULL in the
    parameters' order.

    ``parameters`` and ``returns`` are DuckDB type names; a NULL in any argument gives NULL without a call.
    """

    name: str
    parameters: tuple[str, ...]
    returns: str
    call: Callable[..., pa.Array]


@dataclass(frozen=True)
class MatchFunction:
    """One function of match_sql. Calling it applies the NULL rule, then the reference."""

    signature: FunctionSignature
    python: Callable[..., Any]
    lower: Lowering
    arrow: ArrowFunction | None = None

    @property
    def name(self) -> str:
        return self.signature.name

    @property
    def summary(self) -> str:
        """The first sentence of the reference's docstring."""
        return (inspect.getdoc(self.python) or "").partition("\n")[0]

    def __call__(self, *args: Any) -> Any:
        if self.signature.nulls is Nulls.PROPAGATE and any(arg is None for arg in args):
            return None
        return self.python(*args)


_functions: dict[str, MatchFunction] = {}

REGISTRY: Mapping[str, MatchFunction] = MappingProxyType(_functions)
"""Upper-case name -> function. Filled when the package is imported."""


def signatures() -> Mapping[str, FunctionSignature]:
    """What the compiler's allow-list needs: upper-case name -> signature of each registered function."""
    return MappingProxyType({name: function.signature for name, function in _functions.items()})


def udf(
    signature: FunctionSignature, *, lower: Lowering, arrow: ArrowFunction | None = None
) -> Callable[[Callable[..., Any]], MatchFunction]:
    """Register the decorated reference implementation under ``signature.name``.

    Raises UdfError when the name is taken, when the reference lacks a docstring or an annotation, or when its
    parameters do not fit the signature: a mistake of the author, found when the package is imported.
    """

    def register(python: Callable[..., Any]) -> MatchFunction:
        name = signature.name.upper()
        if name in _functions:
            raise UdfError(f"There are two match functions named {name}.", code="udf.duplicate_name")
        _check_reference(signature, python)
        function = MatchFunction(signature, python, lower, arrow)
        _functions[name] = function
        return function

    return register


def _check_reference(signature: FunctionSignature, python: Callable[..., Any]) -> None:
    shape = inspect.signature(python)
    bare = [name for name, p in shape.parameters.items() if p.annotation is inspect.Parameter.empty]
    if shape.return_annotation is inspect.Signature.empty:
        bare.append("return")
    if bare:
        raise UdfError(f"{signature.name} lacks annotations: {', '.join(bare)}.", code="udf.incomplete_function")
    if not inspect.getdoc(python):
        raise UdfError(f"{signature.name} lacks a docstring.", code="udf.incomplete_function")
    required = sum(p.default is inspect.Parameter.empty for p in shape.parameters.values())
    if (required, len(shape.parameters)) != (signature.at_least, len(signature.args)):
        raise UdfError(
            f"{signature.name} takes {len(shape.parameters)} parameters ({required} required), "
            f"its signature says {len(signature.args)} ({signature.at_least} required).",
            code="udf.incomplete_function",
        )
