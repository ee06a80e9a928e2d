"""What first rows suggest."""

from __future__ import annotations

import pytest

from webapp.inference import formats as suggest


def table(columns: dict[str, list[str | None]]) -> dict[str, object]:
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return {"columns": [{"name": name} for name in columns], "rows": rows}


INVOICES = table(
    {
        "currency": ["EUR", "EUR", "USD"],
        "invoice": ["I-1", "I-2", "I-3"],
        "amount": ["10.00", "20.50", "1250.00"],
        "due": ["2026-01-05", "2026-01-06", None],
    }
)
PAYMENTS = table(
    {
        "id": ["P-1", "P-2", "P-3"],
        "reference": ["I-3", "I-1", None],
        "currency": ["EUR", "EUR", "USD"],
        "paid": ["10,00", "1.250,00", "20,50"],
        "booked": ["31.01.2026", "01.02.2026", "2.2.2026"],
    }
)


def test_one_side() -> None:
    assert suggest.side(INVOICES) == suggest.Side("invoice", "amount", "due", "1250.00", "ymd")
    assert suggest.side(PAYMENTS) == suggest.Side("id", "paid", "booked", "1.250,00", "dmy")


def test_columns_that_share_values() -> None:
    assert suggest.pair(INVOICES, PAYMENTS) == ("invoice", "reference")
    assert suggest.pair(INVOICES, table({"x": ["1", "2"]})) == ("", "")


def test_no_rows() -> None:
    empty = table({"a": [], "b": []})
    assert suggest.side(empty) == suggest.Side("a", "", "", "1250.00", "ymd")
    assert suggest.pair(empty, empty) == ("", "")


@pytest.mark.parametrize(
    ("texts", "choice"),
    [
        (["1,250.00", "3.00"], "1,250.00"),
        (["3.00"], "1250.00"),
        (["3,00"], "1250,00"),
        (["1 250,00", "3,50"], "1 250,00"),
    ],
)
def test_how_amounts_are_written(texts: list[str | None], choice: str) -> None:
    assert suggest.side(table({"amount": texts})).numbers == choice


def test_month_first() -> None:
    assert suggest.side(table({"day": ["01/02/2026", "01/31/2026"]})).dates == "mdy"
