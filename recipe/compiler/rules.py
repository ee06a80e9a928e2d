"""The allow-list of expressions: one rule for each kind of node that match_sql may contain, and nothing
else.
"""

from __future__ import annotations

from sqlglot import exp

from recipe.compiler import aggregates, arithmetic, calls, convert, intervals, logic, patterns
from recipe.compiler.lowering import Rule

RULES: dict[type[exp.Expression], Rule] = {
    exp.Column: logic.lower_column,
    exp.Literal: logic.lower_literal,
    exp.RawString: logic.lower_text,
    exp.ByteString: logic.lower_text,
    exp.Null: logic.lower_null,
    exp.Boolean: logic.lower_boolean,
    exp.Paren: logic.lower_paren,
    exp.And: logic.lower_connector,
    exp.Or: logic.lower_connector,
    exp.Not: logic.lower_not,
    exp.EQ: logic.lower_comparison,
    exp.NEQ: logic.lower_comparison,
    exp.GT: logic.lower_comparison,
    exp.GTE: logic.lower_comparison,
    exp.LT: logic.lower_comparison,
    exp.LTE: logic.lower_comparison,
    exp.NullSafeEQ: logic.lower_comparison,
    exp.NullSafeNEQ: logic.lower_comparison,
    exp.Is: logic.lower_is,
    exp.Between: logic.lower_between,
    exp.In: logic.lower_in,
    exp.Exists: logic.lower_exists,
    exp.Subquery: logic.lower_scalar_query,
    exp.Case: logic.lower_case,
    exp.Add: arithmetic.lower_add_sub,
    exp.Sub: arithmetic.lower_add_sub,
    exp.Mul: arithmetic.lower_mul,
    exp.Div: arithmetic.lower_div,
    exp.Mod: arithmetic.lower_mod,
    exp.Neg: arithmetic.lower_neg,
    exp.DPipe: calls.lower_joined_text,
    exp.Like: patterns.lower_like,
    exp.ILike: patterns.lower_like,
    exp.Escape: patterns.lower_escape,
    exp.RegexpLike: patterns.lower_regex_operator,
    exp.RegexpILike: patterns.lower_regex_operator,
    exp.RegexpReplace: patterns.lower_regexp_replace,
    exp.Cast: convert.lower_cast,
    exp.Interval: intervals.lower_lone_interval,
    exp.Extract: intervals.lower_extract,
    exp.TimestampTrunc: intervals.lower_date_trunc,
    exp.Anonymous: calls.lower_named,
    exp.Filter: aggregates.lower_filter,
    exp.Window: aggregates.lower_window,
    **dict.fromkeys(calls.SCALAR_FUNCTIONS, calls.lower_builtin),
    **dict.fromkeys(aggregates.AGGREGATES, aggregates.lower_aggregate),
    **dict.fromkeys(aggregates.WINDOW_FUNCTIONS, aggregates.lower_lone_rank),
}
