"""The cards of a conversation that show figures: rule, result, progress and sample as values for the templates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recipe import KallaError
from webapp.context import Kalla
from webapp.pages import evidence_view
from webapp.pages.curve import Curve, curve
from webapp.pages.equation import Bridge, Line, bridge, equation
from webapp.pages.view import BRIEF_REASONS, SETS, count, plural, share
from webapp.services import evidence
from webapp.services import runs as run_service

SIDES = ("left", "right")
_AMOUNT = re.compile(r"[+-]?(\d+|\d{1,3}([.,' ]\d{3})+)[.,]\d{1,4}( ?[A-Z]{3}| ?[€$£])?")


@dataclass(frozen=True)
class Grid:
    """A small table: heads with whether they hold amounts, and rows of texts or None."""

    heads: list[tuple[str, bool]]
    rows: list[list[str | None]]


def grid(columns: Iterable[Any], rows: Iterable[Any], most: int | None = None) -> Grid:
    """Columns by name or as ``{name, data_type}``, rows as lists or objects: what the engine and the agent give."""
    names = [str(column["name"] if isinstance(column, Mapping) else column) for column in columns]
    cells = [[row.get(name) for name in names] if isinstance(row, Mapping) else list(row) for row in rows][:most]
    texts = [[_text(name, value) for name, value in zip(names, row, strict=False)] for row in cells]
    heads = [
        (evidence_view.WORDS.get(name, name), _holds_amounts([row[at] for row in texts if len(row) > at]))
        for at, name in enumerate(names)
    ]
    return Grid(heads, texts)


def _holds_amounts(cells: list[str | None]) -> bool:
    """Whether a column stands at the right: all it holds are amounts, in whichever notation."""
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(_AMOUNT.fullmatch(cell) for cell in filled)


def _text(column: str, value: object) -> str | None:
    if value is None:
        return None
    return BRIEF_REASONS.get(str(value), str(value)) if column == "_reason" else str(value)


@dataclass(frozen=True)
class RuleLine:
    """One rule in a sentence, and how many left records it finds a partner for."""

    sentence: str
    figures: str
    doubts: str


@dataclass(frozen=True)
class RuleCard:
    """What a rule card shows; ``coverage`` says what all rules together do."""

    lines: list[RuleLine]
    coverage: list[tuple[str, str, str, str]]  # side, matched, total, share
    is_sample: bool
    ambiguities: list[str]
    notes: list[str]
    curve: Curve | None
    keys: list[tuple[str, str]]


def rule(data: Mapping[str, Any]) -> RuleCard:
    """A ``rule_summary``."""
    figures = data.get("figures") or {}
    keys = data.get("primary_keys") or {}
    return RuleCard(
        lines=[_rule_line(item) for item in data.get("rules") or ()],
        coverage=[line for side in SIDES if (line := _coverage(figures, side))],
        is_sample=bool(figures.get("is_sample")),
        ambiguities=[str(item) for item in data.get("ambiguities") or ()],
        notes=[str(item) for item in data.get("notes") or ()],
        curve=curve(data.get("curve"), int(figures.get("left_total") or 0)),
        keys=[(side, ", ".join(map(str, keys[side]))) for side in SIDES if keys.get(side)],
    )


def _rule_line(item: Mapping[str, Any]) -> RuleLine:
    sentence = str(item.get("sentence") or f"{item.get('left_col')} and {item.get('right_col')}: {item.get('op')}")
    matches, leaves = item.get("matches"), item.get("leaves")
    told = "" if matches is None else f"finds a partner for {count(matches)}"
    told += f", leaves {count(leaves)}" if told and leaves is not None else ""
    against = len(item.get("counter_examples") or ())
    doubts = (
        f"{plural(against, 'pair')} that you judged {'says' if against == 1 else 'say'} otherwise" if against else ""
    )
    return RuleLine(sentence, told, doubts)


def _coverage(figures: Mapping[str, Any], side: str) -> tuple[str, str, str, str] | None:
    matched, total = figures.get(f"matched_{side}"), figures.get(f"{side}_total")
    if matched is None or total is None:
        return None
    return side, count(matched), count(total), share(int(matched), int(total))


@dataclass(frozen=True)
class ResultCard:
    """What a result card shows: the equation, why records are unmatched, and a few rows of each set."""

    run: Mapping[str, Any]
    lines: dict[str, list[Line]]
    names: dict[str, str]
    bridge: Bridge | None
    why: list[evidence_view.Why]
    sets: list[tuple[str, str, Grid]]  # words, how many of how many, rows
    problem: str
    part: str  # of how many records a sample is one; "" for a run on all


def result(
    app: Kalla, data: Mapping[str, Any], names: Mapping[str, str], totals_of: Mapping[str, int | None]
) -> ResultCard:
    """A ``result_summary``. Control totals and reasons of a full run come from its evidence, as on its own page.

    Args:
        names: what each side is called.
        totals_of: how many records each side's source holds, where that is known.
    """
    summary, problem = _summary(app, data)
    totals = summary.get("control_totals")
    run = _with_counts(data)
    sets = [(words, *_few(run, name)) for name, words in SETS.items() if (data.get("rows") or {}).get(name)]
    shown = {side: str(run.get(f"{side}_source") or names[side]) for side in SIDES}
    why = [evidence_view.why(run, side, summary, linked=not data.get("sample")) for side in SIDES]
    part = _part(run, totals_of) if data.get("sample") else ""
    return ResultCard(run, equation(run, totals), shown, bridge(totals), why, sets, problem, part)


def _part(run: Mapping[str, Any], totals_of: Mapping[str, int | None]) -> str:
    """What a sample leaves out, which makes its rate lower than that of the run."""
    read = {side: int(run.get(f"{side}_record_count") or 0) for side in SIDES}
    told = [
        f"{count(read[side])} of {count(total)} {side}"
        for side in SIDES
        if (total := totals_of.get(side)) is not None and total > read[side]
    ]
    if not told:
        return "The sample holds every record."
    return f"The sample is {' and '.join(told)} records. A record whose partner is not in it counts as unmatched here."


def _with_counts(data: Mapping[str, Any]) -> dict[str, Any]:
    return dict(data) | {f"{name}_count": int(data.get(f"{name}_count") or 0) for name in SETS}


def _summary(app: Kalla, data: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The evidence of a full run in figures, and why there is none; a sample carries its reasons in the card."""
    if data.get("sample"):
        return {"reasons": {side: _counted(data, side) for side in SIDES}}, ""
    try:
        return evidence.summary(app, str(data.get("run_id") or "")), ""
    except KallaError as error:
        return {}, f"{error.message} {error.hint}".strip()


def _counted(data: Mapping[str, Any], side: str) -> list[dict[str, Any]]:
    found = (data.get("reasons") or {}).get(side) or {}
    return [{"reason": reason, "rows": int(rows)} for reason, rows in found.items()]


def _few(run: Mapping[str, Any], name: str) -> tuple[str, Grid]:
    found = run["rows"][name]
    rows = list(found.get("rows") or ())
    shown = grid(found.get("columns") or (), rows)
    noun = "pair" if name == "matched" else "record"
    return f"{count(len(rows))} of {plural(int(run[f'{name}_count']), noun)}", shown


def progress(app: Kalla, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The run of a ``progress`` card as it is now; None when it is gone."""
    try:
        return run_service.get_run(app, str(data.get("run_id") or ""))
    except KallaError:
        return None
