"""match_sql -> MatchPlan: what may be written, what it means, and what is wrong with it.

``compile_match_sql`` is the door; ``check_match_sql`` is the same without raising. The passes are small
files in this package, in the order in which they run: parse, bind (names, kinds and casts, with ``scope``,
``lower`` and their rules), then ``simple`` or ``trace`` to make the plan. Engines execute the plan; no
text of the person's SQL reaches them, only trees that the passes built.
"""

from __future__ import annotations

from recipe.compiler.builtins import BUILTINS
from recipe.compiler.compile import check_match_sql, compile_match_sql
from recipe.compiler.plan import (
    LEFT,
    RIGHT,
    Condition,
    GapUnit,
    KeyPair,
    MatchPlan,
    Output,
    Parse,
    PlanClass,
    SideInput,
    TracedQuery,
)
from recipe.compiler.report import CODES

__all__ = [
    "BUILTINS",
    "CODES",
    "LEFT",
    "RIGHT",
    "Condition",
    "GapUnit",
    "KeyPair",
    "MatchPlan",
    "Output",
    "Parse",
    "PlanClass",
    "SideInput",
    "TracedQuery",
    "check_match_sql",
    "compile_match_sql",
]
