"""A run's result as people read it: the equation first, then reasons, examples, warnings, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from pipelines.cli.console import amount, line, number, percent, plural, printable, styled, table
from pipelines.evidence import REASONS, Evidence, value_rate

SIDES = ("left", "right")
_BAR = 24
_EXAMPLES = 3
_LOOKED_AT = 500
_FIXED = 5  # columns of an unmatched set before those of the source


def print_result(console: Console, folder: str | Path, seconds: float | None = None) -> None:
    """The result that lies in ``folder``."""
    evidence = Evidence(folder)
    line(console, styled(evidence.recipe.get("name") or evidence.manifest["recipe_id"], "bold"))
    words = evidence.recipe.get("match_description")
    if words:
        line(console, words)
    line(console)
    print_equation(console, evidence)
    print_totals(console, evidence)
    print_reasons(console, evidence)
    print_examples(console, evidence)
    print_warnings(console, evidence.manifest["warnings"])
    took = evidence.manifest["times"]["seconds"] if seconds is None else seconds
    print_next(console, str(folder), took)


def equation(counts: dict[str, Any], side: str) -> str:
    """``Left: 15 records = 7 matched + 8 unmatched``."""
    records = plural(counts[f"{side}_record_count"], "record")
    matched, unmatched = number(counts[f"matched_{side}_count"]), number(counts[f"unmatched_{side}_count"])
    return f"{side.title()}: {records} = {matched} matched + {unmatched} unmatched"


def print_equation(console: Console, evidence: Evidence) -> None:
    counts = evidence.counts
    texts = [equation(counts, side) for side in SIDES]
    width = max(map(len, texts))
    for side, text in zip(SIDES, texts, strict=True):
        alias = evidence.manifest["sources"][side]["alias"]
        line(console, styled(text.ljust(width), "bold"), "   ", styled(alias, "dim"))
    line(
        console,
        f"{plural(counts['matched_count'], 'pair')}; matched by count: ",
        styled(rates(counts), "bold"),
    )
    line(console)


def rates(counts: dict[str, Any]) -> str:
    """``46.7 % of left records, 46.7 % of right records``."""
    found = []
    for side in SIDES:
        records = counts[f"{side}_record_count"]
        rate = counts[f"matched_{side}_count"] / records if records else None
        found.append(f"{percent(rate)} of {side} records")
    return ", ".join(found)


def print_totals(console: Console, evidence: Evidence) -> None:
    rows = []
    for side in SIDES:
        for name, total in evidence.manifest["control_totals"][side].items():
            sums = [amount(total[part]["sum"]) for part in ("source", "matched", "unmatched")]
            empty = total["source"]["empty"]
            rows.append([f"{side} {name}", *sums, percent(value_rate(total)), number(empty) if empty else ""])
    if rows:
        headers = ["Control total", "Read", "= Matched", "+ Unmatched", "By value", "Without a number"]
        if not any(row[-1] for row in rows):
            headers, rows = headers[:-1], [row[:-1] for row in rows]
        console.print(table(headers, rows, right=range(1, len(headers))))
        line(console)


def print_reasons(console: Console, evidence: Evidence) -> None:
    reasons = evidence.manifest["reasons"]
    most = max((n for side in SIDES for n in reasons[side].values()), default=0)
    if not most:
        line(console, styled("Every record is matched.", "green"))
        line(console)
        return
    rows = [
        [side, number(count), bar(count, most), REASONS.get(reason, reason), Text(printable(reason), "dim")]
        for side in SIDES
        for reason, count in reasons[side].items()
    ]
    console.print(table(["Unmatched", "Records", "", "Because", "Reason"], rows, right=[1]))
    line(console)


def bar(count: int, most: int) -> str:
    """A bar for ``count`` where the longest stands for ``most``; something is never drawn as nothing."""
    eighths = max(round(count * _BAR * 8 / most), 1) if count else 0
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def print_examples(console: Console, evidence: Evidence) -> None:
    for side in SIDES:
        found = list(examples(evidence, side))
        if found:
            line(console, f"Nearest candidates ({side}):")
            for text in found:
                line(console, "  ", text)
            line(console)
            return


def examples(evidence: Evidence, side: str) -> Iterator[str]:
    """``INV-2: nearest P2, 15.00 apart``, for the first unmatched records that have a candidate."""
    page = evidence.rows(f"unmatched_{side}", _LOOKED_AT)
    source = evidence.manifest["sources"][side]
    names = [column["name"] for column in source["columns"]]
    key = [_FIXED + names.index(name) for name in source["primary_key"] if name in names]
    told = 0
    for row in page.rows:
        _, _, failed, nearest, gap = row[:_FIXED]
        if nearest is None or told == _EXAMPLES:
            continue
        told += 1
        mine = ", ".join(row[place] or "–" for place in key)
        yield f"{mine}: nearest {nearest}, " + (f"{gap} apart" if gap else f"but not {failed}")


def print_warnings(console: Console, warnings: list[dict[str, Any]]) -> None:
    for warning in warnings:
        line(console, styled("Warning ", "yellow"), warning["message"])
    if warnings:
        line(console)


def print_next(console: Console, folder: str, seconds: float) -> None:
    quoted = shlex.quote(folder)
    line(console, "Evidence: ", styled(folder, "bold"), f"   ({seconds:.1f} s)")
    line(console, f"  kalla evidence show {quoted} --set unmatched_left")
    line(console, f"  kalla evidence export {quoted} --to result.xlsx")
    line(console, f"  kalla verify {quoted}")
