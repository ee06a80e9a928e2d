"""The evidence of a run as its page shows it: equation, bars, one set by page, one record beside its candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import request, url_for

from recipe import KallaError
from webapp.context import Kalla
from webapp.pages.equation import Bridge, Line, bridge, equation
from webapp.pages.paging import PAGE, Pages, here, number, pages
from webapp.pages.view import BRIEF_REASONS, SETS, Bar, bars, grouped, money, reason_words
from webapp.pages.words import condition_words
from webapp.services import evidence

SIDES = ("left", "right")
# columns of the evidence itself, in words
WORDS = {
    "_row": "Row",
    "_reason": "Reason",
    "_failed": "What failed",
    "_nearest": "Nearest candidate",
    "_gap": "Apart",
    "_left_row": "Left row",
    "_right_row": "Right row",
    "_left_partners": "Partners of left",
    "_right_partners": "Partners of right",
}
FORMATS = (("xlsx", "XLSX"), ("csv", "CSV"), ("parquet", "Parquet"))
_PARAMETERS = ("set", "reason", "q", "sort", "order")


@dataclass(frozen=True)
class Column:
    """A head of the table: its words, and the link that sorts by it."""

    name: str
    words: str
    numeric: bool
    grouped: bool
    href: str
    sorted: str = ""


@dataclass(frozen=True)
class Cell:
    """A text, None for an empty cell; ``href`` leads to the record's own page."""

    text: str | None
    href: str = ""


@dataclass(frozen=True)
class Table:
    """One page of a set."""

    columns: list[Column]
    rows: list[list[Cell]]
    pages: Pages


@dataclass(frozen=True)
class Tab:
    """One of the three sets."""

    words: str
    count: int
    href: str
    current: bool


@dataclass(frozen=True)
class Why:
    """One side's unmatched records by reason and by age; ``value_of`` names the column that values are sums of."""

    side: str
    total: int
    bars: list[Bar]
    links: dict[str, str]
    value_of: str
    age_of: str
    ages: list[Bar]


@dataclass(frozen=True)
class Shown:
    """Everything below the head of a completed run's page. ``asked`` is what the URL says: set, reason, q, sort."""

    equation: dict[str, list[Line]]
    bridge: Bridge | None
    why: list[Why]
    asked: dict[str, str]
    reasons: list[tuple[str, str]]
    tabs: list[Tab]
    all: str
    downloads: list[tuple[str, str]]
    manifest: str
    manifest_sha256: str
    problem: str
    table: Table | None = None
    table_error: KallaError | None = None
    error: KallaError | None = None


def shown(app: Kalla, run: Mapping[str, Any]) -> Shown:
    """What the URL asks for. Evidence that cannot be read is told; the counts of the run are there all the same."""
    run_id = str(run["run_id"])
    asked = {name: request.args.get(name, "").strip() for name in _PARAMETERS}
    asked["set"] = _set_of(run, asked["set"])
    summary, error = _read(lambda: evidence.summary(app, run_id))
    found, table_error = _read(lambda: _page(app, run_id, asked)) if error is None else (None, None)
    summary = summary or {}
    totals = summary.get("control_totals")
    reasons = summary.get("reasons") or {}
    name = asked["set"]
    return Shown(
        equation=equation(run, totals),
        bridge=bridge(totals),
        why=[why(run, side, summary) for side in SIDES],
        asked=asked,
        reasons=[
            (item["reason"], reason_words(item["reason"])) for item in reasons.get(name.removeprefix("unmatched_"), ())
        ],
        tabs=_tabs(run, name),
        all=_at(run_id, set=name),
        downloads=[(words, f"/api/runs/{run_id}/evidence/{name}/download?format={form}") for form, words in FORMATS],
        manifest=f"/api/runs/{run_id}/manifest",
        manifest_sha256=str(summary.get("manifest_sha256", "")),
        problem=str((summary.get("values_problem") or {}).get("message", "")),
        table=None if found is None else _table(run, asked, totals or {}, found),
        table_error=table_error,
        error=error,
    )


def _read(call: Any) -> tuple[Any, KallaError | None]:
    """What a call gives, or the error that the page shows in its place."""
    try:
        return call(), None
    except KallaError as error:
        return None, error


def _page(app: Kalla, run_id: str, asked: Mapping[str, str]) -> dict[str, Any]:
    return evidence.page(
        app,
        run_id,
        asked["set"],
        limit=PAGE,
        offset=number("offset"),
        sort=asked["sort"] or None,
        order=asked["order"] or "asc",
        q=asked["q"],
        reason=asked["reason"] or None,
    )


def _set_of(run: Mapping[str, Any], asked: str) -> str:
    """The set that the URL names; else the first one that needs a person."""
    if asked in SETS:
        return asked
    return next((name for name in ("unmatched_left", "unmatched_right") if run[f"{name}_count"]), "matched")


def _at(run_id: str, **query: Any) -> str:
    return url_for("pages.run", run_id=run_id, **query, _anchor="evidence")


def _side_of(set_name: str) -> str:
    return set_name.removeprefix("unmatched_")


def _tabs(run: Mapping[str, Any], current: str) -> list[Tab]:
    run_id = str(run["run_id"])
    return [
        Tab(words, int(run[f"{name}_count"]), _at(run_id, set=name), name == current) for name, words in SETS.items()
    ]


def why(run: Mapping[str, Any], side: str, summary: Mapping[str, Any], *, linked: bool = True) -> Why:
    """One side's unmatched records, from what ``evidence.summary`` gives; ``linked``: the run has a page to lead to."""
    total = int(run[f"unmatched_{side}_count"])
    found = (summary.get("reasons") or {}).get(side) or []
    ages = (summary.get("ages") or {}).get(side) or {}
    value_of = next(iter((summary.get("control_totals") or {}).get(side) or {}), "")
    items = [(i["reason"], reason_words(i["reason"]), int(i["rows"]), _value(i, value_of)) for i in found]
    buckets = [(b["label"], b["label"], int(b["rows"]), _value(b, value_of)) for b in ages.get("buckets", ())]
    links = {i["reason"]: _at(str(run["run_id"]), set=f"unmatched_{side}", reason=i["reason"]) for i in found if linked}
    drawn = bars(items, total)
    named = value_of if any(bar.value for bar in drawn) else ""
    age_of = str(ages.get("column", ""))
    return Why(side, total, drawn, links, named, age_of, bars(buckets, total, in_order=True))


def _value(item: Mapping[str, Any], column: str) -> str | None:
    value = (item.get("values") or {}).get(column)
    return None if value is None else money(value)


def _table(
    run: Mapping[str, Any], asked: Mapping[str, str], totals: Mapping[str, Any], found: Mapping[str, Any]
) -> Table:
    amounts = {column for side in totals.values() for column in side}
    columns = [_column(column, amounts, asked) for column in found["columns"]]
    failed = condition_words(str((run.get("recipe_snapshot") or {}).get("match_sql", "")))
    rows = [
        [_cell(run, asked["set"], column, text, failed) for column, text in zip(columns, row, strict=True)]
        for row in found["rows"]
    ]
    return Table(columns, rows, pages(int(found["offset"]), len(rows), found["total_rows"], "evidence"))


def _column(column: Mapping[str, Any], amounts: set[str], asked: Mapping[str, str]) -> Column:
    name, kind = str(column["name"]), str(column.get("data_type", ""))
    is_amount = name in amounts or kind.startswith("decimal")
    numeric = bool(column.get("number")) or is_amount or name == "_gap" or kind in ("integer", "double")
    current = asked["sort"] == name
    descending = current and asked["order"] != "desc"
    href = here(sort=name, order="desc" if descending else None, offset=None, _anchor="evidence")
    order = ("descending" if asked["order"] == "desc" else "ascending") if current else ""
    return Column(name, WORDS.get(name, name), numeric, is_amount or name == "_gap", href, order)


def _cell(run: Mapping[str, Any], set_name: str, column: Column, text: str | None, failed: Mapping[str, str]) -> Cell:
    if text is None:
        return Cell(None)
    if column.name == "_row" and set_name != "matched":
        return Cell(text, url_for("pages.record", run_id=run["run_id"], set_name=set_name, row=text))
    if column.name == "_reason":
        return Cell(BRIEF_REASONS.get(text, text))
    if column.name == "_failed":
        return Cell(failed.get(text, text))
    return Cell(grouped(text) if column.grouped else text)
