"""What two sources have in common, and the rule that follows. Pure: rows in, findings out; nothing of the app.

Names are loaded when they are first used: the engine behind them takes a second that pages without it need not wait.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_PLACES = {
    "Analysis": "columns",
    "NoRule": "drafting",
    "analyse": "links",
    "choose_samples": "samples",
    "draft": "drafting",
    "infer_rules": "rules",
    "next_pair": "asking",
    "profile": "profiles",
    "settled_format": "values",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'model')}"), name)
