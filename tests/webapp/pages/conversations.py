"""Session documents of contract 4.4 by hand: one of each card, answered and open, with hostile texts in them."""

from __future__ import annotations

from typing import Any

from tests.webapp.pages.conftest import BREAKOUT, SCRIPT

AT = "2026-04-02T09:15:00Z"
SESSION = "5f0c1f8e-4a54-4f3c-9d0b-2a3c7a1e9b10"
LEFT = {
    "Buchungstag": "03.01.2026",
    "Betrag": "1.250,00",
    "Verwendungszweck": "Rechnung RE-1001 Müller GmbH",
    "Note": SCRIPT,
}
RIGHT = {"date": "2026-01-05", "amount": "1250.01", "reference": "RE-1001", "customer": BREAKOUT, "memo": None}
DIFFERENCES = [
    {"left": "Verwendungszweck", "right": "reference", "kind": "form", "gap": None},
    {"left": "Betrag", "right": "amount", "kind": "amount", "gap": "0.01"},
    {"left": "Buchungstag", "right": "date", "kind": "days", "gap": "2"},
]
SQL = "SELECT l.id, r.id FROM left_src l JOIN right_src r ON contains_reference(l.text, r.reference)"


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def card(kind: str, data: dict[str, Any], answer: tuple[str, str] | None = None, prefix: str = "") -> dict[str, Any]:
    """A card; ``answer`` is its action and the words that are shown."""
    made = {"type": "card", "card_type": kind, "card_id": f"{prefix or kind.partition('_')[0]}-1", "data": data}
    if answer:
        made["answer"] = {"action": answer[0], "value": None, "words": answer[1], "at": AT}
    return made


def agent(*segments: dict[str, Any]) -> dict[str, Any]:
    return {"role": "agent", "segments": list(segments), "timestamp": AT}


def user(words: str, *files: str) -> dict[str, Any]:
    found = [
        {"filename": name, "s3_uri": f"s3://kalla-uploads/a/b/{name}", "columns": [], "row_count": 0} for name in files
    ]
    return {"role": "user", "segments": [text(words)] if words else [], "timestamp": AT, "files": found}


def side(name: str, total: int, **changes: Any) -> dict[str, Any]:
    return {
        "alias": name, "source_type": "csv_upload", "uri": None, "filename": f"{name}.csv", "columns": [],
        "total_rows": total, "shown": 200, "personal": ["customer"], "masked": ["customer"],
    } | changes  # fmt: skip


def document(*messages: dict[str, Any], phase: str = "demonstration", **changes: Any) -> dict[str, Any]:
    """A session document with these messages."""
    return {
        "session_id": SESSION, "id": SESSION, "status": "active", "phase": phase, "title": "Bank against ledger",
        "left_source_alias": "bank", "right_source_alias": "ledger", "confirmed_pairs": [], "rejected_pairs": [],
        "unsure_pairs": [], "recipe_draft": None, "run_id": None, "messages": list(messages), "version": 7,
        "driver": "guided", "turn": "idle", "sides": {"left": side("bank", 1240), "right": side("ledger", 1198)},
        "created_at": AT, "updated_at": AT,
    } | changes  # fmt: skip


def match(number: int = 1, answer: tuple[str, str] | None = None) -> dict[str, Any]:
    data = {
        "left": LEFT, "right": RIGHT, "number": number, "wanted": 3, "differences": DIFFERENCES,
        "reasoning": "The reference RE-1001 stands inside the remittance text.",
    }  # fmt: skip
    return card("match_proposal", data, answer) | {"card_id": f"match-{number}"}


def sample(name: str = "left", rows: int = 12) -> dict[str, Any]:
    columns = [{"name": column, "data_type": "string", "nullable": True} for column in LEFT]
    found = [list(LEFT.values()) for _ in range(rows)]
    data = {"title": "bank.csv", "side": name, "columns": columns, "rows": found, "shown": rows, "total": 1240}
    return card("sample_table", data) | {"card_id": f"sample-{name}"}


def rule(answer: tuple[str, str] | None = None) -> dict[str, Any]:
    points = [("0", 1010), ("0.01", 1102), ("0.02", 1180), ("0.05", 1186), ("0.10", 1190), ("1.00", 1190)]
    data = {
        "name": "Bank against ledger",
        "rules": [
            {
                "left_col": "Verwendungszweck", "right_col": "reference", "op": "contains", "threshold": None,
                "sentence": "“reference” stands inside “Verwendungszweck”.", "matches": 1190, "leaves": 50,
                "support": 1.0, "confidence": 0.98, "counter_examples": [],
            },
            {
                "left_col": "Betrag", "right_col": "amount", "op": "tolerance", "threshold": "0.02",
                "sentence": "“Betrag” and “amount” are at most 0.02 apart.", "matches": 1180, "leaves": 60,
                "support": 1.0, "confidence": 0.9, "counter_examples": [{"left": LEFT, "right": RIGHT}],
            },
        ],
        "match_sql": SQL, "match_description": "Same reference, amounts at most 0.02 apart.",
        "primary_keys": {"left": ["id"], "right": ["id"]},
        "figures": {"left_total": 1240, "right_total": 1198, "matched_left": 1180, "matched_right": 1180, "is_sample": False},
        "curve": {
            "label": "How far apart amounts may be", "unit": "EUR", "threshold": "0.02",
            "points": [{"threshold": value, "matched_left": number} for value, number in points],
        },
        "ambiguities": ["4 records of 50.00 on 7 Jan cannot be told apart."],
    }  # fmt: skip
    return card("rule_summary", data, answer, "rules")


def figures(**changes: Any) -> dict[str, Any]:
    rows = {
        "columns": [{"name": "_row", "data_type": "bigint"}, {"name": "Betrag", "data_type": "string"}, {"name": "_reason", "data_type": "string"}],
        "rows": [["4", "17.50", "no_key"], ["9", None, "predicate"]],
    }  # fmt: skip
    return {
        "run_id": None, "status": "completed", "sample": True, "match_rate": 0.91, "matched_count": 182,
        "left_record_count": 200, "right_record_count": 200, "matched_left_count": 182, "matched_right_count": 182,
        "unmatched_left_count": 18, "unmatched_right_count": 18, "left_source": "bank", "right_source": "ledger",
        "warnings": [], "reasons": {"left": {"no_key": 15, "predicate": 3}, "right": {"no_key": 18}},
        "rows": {"unmatched_left": rows, "unmatched_right": {"columns": [], "rows": []}},
    } | changes  # fmt: skip


def result(answer: tuple[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    return card("result_summary", figures(**changes), answer, "validation")


def confirm(answer: tuple[str, str] | None = None) -> dict[str, Any]:
    data = {"title": "Is one pair enough?", "message": "A second pair makes the rule surer.", "purpose": "enough"}
    return card("confirm", data, answer)


def select(multiple: bool = False, options: int = 2) -> dict[str, Any]:
    found = [{"value": f"s{at}", "label": f"Source {at}", "hint": "CSV file"} for at in range(options)]
    return card("select", {"title": "Which is the left side?", "options": found, "multiple": multiple})


def upload() -> dict[str, Any]:
    return card("upload_request", {"message": "Please send the ledger.", "side": "right"})
