"""What two sources have in common, and the rule that follows. Pure: rows in, findings out; nothing of the app."""

from __future__ import annotations

from webapp.inference.columns import Analysis
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

__all__ = [
    "Analysis",
    "ColumnProfile",
    "CounterExample",
    "Curve",
    "Draft",
    "Figures",
    "Link",
    "Pair",
    "Point",
    "Profile",
    "Proposal",
    "Row",
    "Rule",
    "Table",
    "Verdicts",
    "analyse",
    "profile",
]
