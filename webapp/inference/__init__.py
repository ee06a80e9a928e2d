"""What two sources have in common, and the rule that follows. Pure: rows in, findings out; nothing of the app."""

from __future__ import annotations

from webapp.inference.asking import next_pair
from webapp.inference.columns import Analysis
from webapp.inference.drafting import NoRule, draft
from webapp.inference.links import analyse
from webapp.inference.model import (
    ColumnProfile,
    CounterExample,
    Curve,
    Draft,
    Figures,
    Link,
    Pair,
    Point,
    Profile,
    Proposal,
    Row,
    Rule,
    Table,
    Verdicts,
)
from webapp.inference.profiles import profile
from webapp.inference.rules import infer_rules
from webapp.inference.samples import choose_samples
from webapp.inference.values import settled_format

__all__ = [
    "Analysis",
    "ColumnProfile",
    "CounterExample",
    "Curve",
    "Draft",
    "Figures",
    "Link",
    "NoRule",
    "Pair",
    "Point",
    "Profile",
    "Proposal",
    "Row",
    "Rule",
    "Table",
    "Verdicts",
    "analyse",
    "choose_samples",
    "draft",
    "infer_rules",
    "next_pair",
    "profile",
    "settled_format",
]
