"""What the guided mode says: findings and figures in plain words, never SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from webapp.inference import Analysis, Profile, Table
from webapp.inference.columns import Columns
from webapp.inference.sentences import counted, joined

HELLO = (
    "Hello. I compare two lists of records, such as invoices and payments, and show which belong together and why the "
    "others do not."
)
SEND_BOTH = "Send me both files, one for each side: CSV, Parquet or XLSX, each with a line of column names."
SEND_ANOTHER = "Now send me the other file."
CHOOSE_ANOTHER = "Now choose the other source, or send a file."
CAN_SAY = (
    "Here I understand a few plain requests: “use another file”, “swap the sides”, “only 2026”, “only March 2026”, "
    "“amounts over 100”, “currency is EUR” (a column and a value), “all rows”, “other pairs”, “go on”. To change the "
    "rule, use its card: the slider sets how far amounts may differ."
)
NO_RULE = (
    "I found nothing that says which of these records belong together: no reference that stands on both sides, and no "
    "amounts that agree. Check that both files cover the same business and the same time, then send another file for "
    "one side. Write “left” or “right” to say which."
)


def found_in(name: str, side: str, columns: Columns, total: int | None) -> str:
    """A sentence on a source: how many records, how they are written, from when to when, what looks like amounts.

    ``total`` is their exact number, where somebody has counted."""
    table, about = columns.table, columns.profile
    known = len(table.rows) if table.is_whole else total
    facts = [counted(known, "record")] if known is not None else ["more records than I have counted"]
    facts += _written(table, about)
    if columns.dates:
        dates = about.column(columns.dates[0])
        facts.append(f"{dates.name} from {_day(dates.first)} to {_day(dates.last)}")
    if columns.amounts:
        facts.append(f"amounts in {joined([f'“{amount}”' for amount in columns.amounts[:3]])}")
    read = "" if table.is_whole else f" I read {len(table.rows):,} of them, spread over the whole, to find the rule."
    return f"{name} is the {side} side: {', '.join(facts)}.{read}"


_DELIMITERS = {";": "separated by semicolons", "\t": "separated by tabs", "|": "separated by bars"}
_FORMS = {"day first": "dates with the day first", "month first": "dates with the month first"}


def _written(table: Table, about: Profile) -> list[str]:
    """How the records are written, where it is not the plainest way."""
    forms = {form for column in about.columns for form in column.forms}
    found = [_DELIMITERS[table.format.delimiter]] if table.format.delimiter in _DELIMITERS else []
    found += [said for form, said in _FORMS.items() if form in forms]
    if forms & {"decimal comma", "thousands marks"}:
        thousands = table.format.thousands if "thousands marks" in forms else ""
        found.append(f"amounts written as 1{thousands}234{table.format.decimal}56")
    if "currency signs" in forms:
        found.append("amounts with currency signs")
    return found


def _day(text: str) -> str:
    if not text:
        return "?"
    found = date.fromisoformat(text)
    return f"{found.day} {found:%b %Y}"


def common(analysis: Analysis) -> str:
    """What both sides share."""
    if analysis.keys:
        names = joined([f"{link.left_col} and {link.right_col}" for link in analysis.keys[0]])
        why = joined(list(dict.fromkeys(link.why for link in analysis.keys[0])))
        share = max(analysis.keys[0][0].share_left, analysis.keys[0][0].share_right)
        rest = f" for {share:.0%} of the records" if share < 1 else ""
        return f"They have {names} in common{rest}: {why}."
    return (
        "I found no reference that stands on both sides, so amounts, dates and texts have to do. Records that those do "
        "not tell apart will stay unmatched rather than be guessed."
    )


ASK = "I will show you pairs, one after the other. Tell me whether the two records belong together."


RULE_FOUND = "This is the rule that your answers speak for. Is it the one you want?"


def sample_result(output: Mapping[str, Any]) -> str:
    """What the sample's run found."""
    left, right = output["left_record_count"], output["right_record_count"]
    return (
        f"I ran the rule on the sample. Left: {counted(left, 'record')} = {output['matched_left_count']:,} matched + "
        f"{output['unmatched_left_count']:,} unmatched. Right: {counted(right, 'record')} = "
        f"{output['matched_right_count']:,} matched + {output['unmatched_right_count']:,} unmatched. If this looks "
        "right, approve it and I run everything."
    )


def run_result(run: Mapping[str, Any]) -> str:
    """The end of the run, in words: what happened, what it means, what to do."""
    if run.get("status") != "completed":
        why = str(run.get("error_message") or "").strip() or "No reason was given."
        return (
            f"The run did not finish ({run.get('status')}). {why} Nothing was matched. Write “go on” to run it again."
        )
    said = [_equation("Left", run, "left"), _equation("Right", run, "right")]
    said += [sentence for side in ("left", "right") if (sentence := _reasons(run, side))]
    said.append(f"Every record and its reason: [the run’s page](/runs/{run['run_id']}).")
    return "The run is complete. " + " ".join(said)


def _equation(name: str, run: Mapping[str, Any], side: str) -> str:
    total, matched, rest = (
        run[f] for f in (f"{side}_record_count", f"matched_{side}_count", f"unmatched_{side}_count")
    )
    return f"{name}: {counted(total, 'record')} = {matched:,} matched + {rest:,} unmatched."


REASONS = {
    "no_key": "have a reference that the other side does not have",
    "null_key": "have no reference",
    "predicate": "have a partner that differs by more than the rule allows",
    "unparseable": "hold an amount or a date that cannot be read",
    "excluded": "do not meet a condition of the rule by themselves",
    "not_in_result": "found no partner that was theirs alone",
    "other_side_empty": "had nothing on the other side to be compared with",
}


def _reasons(run: Mapping[str, Any], side: str) -> str:
    found = (run.get("reasons") or {}).get(side) or (run.get("reasons") or {}).get(f"unmatched_{side}") or {}
    parts = [f"{count:,} {REASONS.get(reason, reason)}" for reason, count in found.items() if isinstance(count, int)]
    return f"Of the unmatched on the {side}, {joined(parts)}." if parts else ""


def cannot_use(filename: str, error: str) -> str:
    """A file that cannot be read, and what to do."""
    return (
        f"I cannot use {filename}: {error} Export it again as CSV, with column names in the first line and nothing "
        "above them, and send it here."
    )


WHICH = "Which one shall"


def which_side(filename: str, left: str, right: str) -> str:
    """The question which source a new file replaces."""
    return (
        f"Both sides have a source: {left} on the left, {right} on the right. {WHICH} {filename} replace? Write “left” "
        "or “right”."
    )
