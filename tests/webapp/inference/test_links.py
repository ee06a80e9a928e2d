"""What two sides share: columns, references inside texts, composite keys."""

from __future__ import annotations

import random

import pytest

from recipe import Kind
from tests.webapp.inference.tables import ledgers, table
from webapp.inference import Table, analyse, profile


def test_a_reference_inside_free_text() -> None:
    found = analyse(*ledgers())
    link = found.keys[0][0]
    assert (link.left_col, link.right_col, link.op, link.partners) == ("invoice", "text", "contains", 1.0)
    assert (link.share_left, link.share_right) == (1.0, 1.0)


def test_the_same_value_is_compared_as_it_is() -> None:
    names = [f"A{n:03}" for n in range(30)]
    found = analyse(table({"k": names, "v": names[::-1]}), table({"k2": [*names[:20], *[f"B{n}" for n in range(10)]]}))
    assert found.keys[0][0].op == "eq"
    assert {(link.left_col, link.right_col) for link in found.links} == {("k", "k2"), ("v", "k2")}


def test_leading_zeros_and_signs() -> None:
    numbers = [n * 37 + 11 for n in range(40)]
    amounts = [f"{n}.10" for n in numbers]
    left = table({"no": [str(n) for n in numbers], "a": amounts})
    right = table({"ref": [f"{n:08}" for n in numbers], "b": amounts})
    link = analyse(left, right).keys[0][0]
    assert (link.op, link.strip_zeros) == ("normalized", True)


def test_columns_that_together_tell_records_apart() -> None:
    places = [(code, number) for code in ("DE", "FR", "NL") for number in range(1, 30)]
    amounts = [f"{at * 7 + 3}.00" for at in range(len(places))]
    left = table({"co": [c for c, _ in places], "no": [str(n) for _, n in places], "a": amounts})
    right = table({"entity": [c for c, _ in places], "doc": [str(n) for _, n in places], "b": amounts})
    key = analyse(left, right).keys[0]
    assert {(link.left_col, link.right_col) for link in key} == {("co", "entity"), ("no", "doc")}


def test_running_numbers_of_two_lists_are_no_key() -> None:
    left = table({"id": [str(n) for n in range(1, 61)], "a": [f"{n * 13 % 61}.00" for n in range(60)]})
    right = table({"id": [str(n) for n in range(1, 61)], "b": [f"{n * 29 % 97}.50" for n in range(60)]})
    assert analyse(left, right).keys == ()


def test_constant_columns_link_nothing() -> None:
    left, right = ledgers()
    assert all("currency" not in (link.left_col, link.right_col) for link in analyse(left, right).links)


def test_no_rows_and_one_row() -> None:
    empty = table({"a": [], "b": []})
    assert (analyse(empty, empty).links, analyse(empty, empty).keys) == ((), ())
    one = table({"a": ["x"], "b": ["1.00"]})
    assert analyse(one, one).keys == ()
    assert analyse(empty, one).links == ()


def test_wide_tables_with_nulls_and_unicode() -> None:
    left, right = ledgers()
    noise = {f"Spalte ü {n}": [None if at % 3 else f"Wert {at * n} ß" for at in range(40)] for n in range(60)}
    wide = table({**{name: left.column(name) for name in left.names}, **noise})
    assert analyse(wide, right).keys[0][0].left_col == "invoice"


def test_profiles() -> None:
    about = profile(
        table(
            {
                "IBAN": ["DE89370400440532013000", "GB82WEST12345698765432", None],
                "mail": ["a@example.org", "b@example.org", "c@example.org"],
                "Kunde": ["Ada Lovelace", "Jürgen Müller", "Zoë Ng"],
                "betrag": ["1.234,50 €", "3,00 €", "12,00 €"],
                "same": ["x", "x", "x"],
                "nothing": [None, None, None],
            }
        )
    )
    looks = {column.name: column.looks_personal for column in about.columns}
    assert looks == {
        "IBAN": "a bank account", "mail": "an e-mail address", "Kunde": "a name", "betrag": "", "same": "", "nothing": "",
    }  # fmt: skip
    betrag = about.column("betrag")
    assert (betrag.kind, betrag.forms) == ("number", ("decimal comma", "thousands marks", "currency signs"))
    assert (betrag.first, betrag.last) == ("3.00", "1234.50")
    assert betrag.cleaning[0] == "1.234,50 €"
    assert about.column("same").is_constant
    assert about.column("IBAN").filled == 2
    assert ("mail",) in about.keys


def test_a_composite_key_is_proven_on_the_rows() -> None:
    about = profile(table({"a": ["1", "1", "2", "2"], "b": ["x", "y", "x", "y"], "c": ["q", "q", "q", "q"]}))
    assert about.keys == (("a", "b"),)


def test_running_numbers_of_samples_are_no_key() -> None:
    """Both lists are numbered from 1, the same twenty customers stand in both, and few of the rows read are partners."""
    draw = random.Random(7)
    places = [start + at for start in range(0, 100_000, 12_500) for at in range(150)]
    customers = [(f"CUST-{n:03}", "".join(draw.sample("abcdefghijklmnop", 12))) for n in range(20)]
    amounts = {place: f"{draw.randrange(100, 9_000_000) / 100:.2f}" for place in places}
    lefts = [[f"INV-{place:06}", *draw.choice(customers), amounts[place]] for place in places]
    paid = dict(zip(draw.sample(range(len(places)), 9), draw.sample(places, 9), strict=True))
    rights: list[list[str | None]] = []
    for at, place in enumerate(places):
        invoice = paid.get(at)
        amount = amounts[invoice] if invoice is not None else f"{draw.randrange(100, 9_000_000) / 100:.2f}"
        reference = f"INV-{invoice:06}" if invoice is not None else f"INV-{500_000 + at:06}"
        rights.append([f"PAY-{place:06}", *draw.choice(customers), amount, reference])
    kinds = (Kind.TEXT,) * 5
    left = Table(("invoice", "customer", "name", "amount"), kinds[:4], lefts, total_rows=100_000, is_whole=False)
    right = Table(
        ("payment", "payer", "payer_name", "paid", "reference"), kinds, rights, total_rows=100_000, is_whole=False
    )
    assert [(link.left_col, link.right_col) for link in analyse(left, right).keys[0]] == [("invoice", "reference")]


def numbered_within(amounts: int) -> tuple[Table, Table]:
    """Invoices in two to six instalments on both sides; ``amounts`` are so many different ones within an invoice."""
    draw = random.Random(2)
    names = [f"{a} {b}" for a in "Meyer Schulz Becker Wolf".split() for b in "GmbH Handel Bau Druck".split()]
    columns: dict[str, list[str]] = {"invoice": [], "instalment": [], "customer": [], "amount": []}
    for number in draw.sample(range(1_000_000), 200):
        customer, due = draw.choice(names), [f"{draw.randrange(100, 9_999_999) / 100:.2f}" for _ in range(amounts)]
        for part in range(draw.randrange(2, 7)):
            for name, cell in zip(
                columns, (f"INV-{number:06}", str(part + 1), customer, due[part % amounts]), strict=True
            ):
                columns[name].append(cell)
    named = dict(zip(("inv_ref", "rate_no", "client", "rate"), columns.values(), strict=True))
    return table(columns), table(named)


@pytest.mark.parametrize("amounts", [1, 6])
def test_a_number_within_an_invoice_is_part_of_its_key(amounts: int) -> None:
    """Also where all instalments of an invoice are the same amount, so that none says which of them is meant."""
    found = analyse(*numbered_within(amounts))
    key = {(link.left_col, link.right_col) for link in found.keys[0]}
    assert key == {("invoice", "inv_ref"), ("instalment", "rate_no")}
