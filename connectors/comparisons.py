"""The comparisons of filters as every SQL writes them."""

from __future__ import annotations

from recipe import TypedOp

COMPARISONS = {
    TypedOp.EQ: "=",
    TypedOp.NEQ: "<>",
    TypedOp.GT: ">",
    TypedOp.GTE: ">=",
    TypedOp.LT: "<",
    TypedOp.LTE: "<=",
}
