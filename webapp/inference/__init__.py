"""What two sources have in common, and the rule that follows. Pure: rows in, findings out; nothing of the app."""

from __future__ import annotations

from webapp.inference.model import (
    Analysis,
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
]
