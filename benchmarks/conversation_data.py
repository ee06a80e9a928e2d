"""Data sets of different shape whose true pairs are known, for measuring the guided conversation.

Each shape makes two CSV files as two systems would write them, with records that have no partner, duplicates, near
misses, NULLs and typing errors. The truth stays with the generator; what is measured sees the files only.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

Cells = list[str | None]
CENT = Decimal("0.01")
_FIRST = (
    "Nordwind", "Grünwald", "Harbour", "Lakeside", "Okonkwo", "Lefèvre", "Brightline", "Sato", "Oliveira", "Fjord",
    "Kestrel", "Montblanc", "Red River", "Casa Verde", "Lumen", "Baltic", "Pemberton", "Zhang", "Alpine", "Quarry Hill",
    "Müller", "Weiß", "Søndergaard", "Castellano", "Petrov", "Nakamura", "Dubois", "Van Dijk", "O'Brien", "Kowalski",
    "Silva", "Haddad",
)  # fmt: skip
_SECOND = (
    "Logistik", "Bakery", "Dental", "Imports", "Media", "Precision", "Textiles", "Analytics", "Foods", "Optics",
    "Steel", "Studios", "Freight", "Legal", "Ceramics", "Seeds", "Stone", "Systems", "Energy", "Garden",
)  # fmt: skip
_FORMS = ("GmbH", "Ltd", "AG", "SARL", "BV", "Inc", "SpA", "KG")


@dataclass(frozen=True)
class Side:
    """One file: its columns, rows and how it is written. ``identity`` is the column that names a record."""

    filename: str
    names: tuple[str, ...]
    rows: list[Cells]
    identity: str
    delimiter: str = ","
    encoding: str = "utf-8"

    def write(self, folder: Path) -> Path:
        """The file in the folder."""
        path = folder / self.filename
        with path.open("w", encoding=self.encoding, errors="replace", newline="") as file:
            writer = csv.writer(file, delimiter=self.delimiter)
            writer.writerow(self.names)
            writer.writerows([["" if cell is None else cell for cell in row] for row in self.rows])
        return path


@dataclass(frozen=True)
class DataSet:
    """Two files and the pairs of identities that truly belong together."""

    name: str
    left: Side
    right: Side
    truth: frozenset[tuple[str, str]]
    has_key: bool


class _Draw(random.Random):
    """A seeded source of businesses, days and amounts."""

    def company(self) -> str:
        return f"{self.choice(_FIRST)} {self.choice(_SECOND)} {self.choice(_FORMS)}"

    def day(self) -> date:
        return date(2026, 1, 1) + timedelta(days=self.randrange(120))

    def amount(self, low: int = 500, high: int = 900_000) -> Decimal:
        """Amounts spread over sizes, as those of a business are."""
        spread = high / low
        return (Decimal(low) * Decimal(str(spread ** self.random()))).quantize(Decimal(1)) * CENT

    def fate(self, **chances: float) -> str:
        """One of the names by its chance; "plain" otherwise."""
        at = self.random()
        for name, chance in chances.items():
            if at < chance:
                return name
            at -= chance
        return "plain"


def _money(value: Decimal) -> str:
    return format(value.quantize(CENT), "f")


def _german(value: Decimal, sign: str = "") -> str:
    return f"{value.quantize(CENT):,}".replace(",", "_").replace(".", ",").replace("_", ".") + sign


def _mixed(draw: _Draw, rows: list[Cells]) -> list[Cells]:
    draw.shuffle(rows)
    return rows


def clean_keys(rows: int, seed: int) -> DataSet:
    """Invoices and payments that name them; cents may differ, some amounts are wrong, some are paid twice."""
    draw, lefts, rights, truth = _Draw(seed), [], [], set()

    def pay(reference: str | None, name: str, day: date, amount: Decimal) -> str:
        payment = f"PAY-{70000 + len(rights)}"
        rights.append([payment, reference, name.upper(), day.isoformat(), _money(amount), "EUR"])
        return payment

    for at in range(rows):
        invoice, name, day, amount = f"INV-{20000 + at * 3}", draw.company(), draw.day(), draw.amount()
        lefts.append([invoice, name, day.isoformat(), (day + timedelta(30)).isoformat(), _money(amount), "EUR"])
        paid = day + timedelta(draw.randrange(1, 45))
        fate = draw.fate(open=0.08, cents=0.06, wrong=0.03, twice=0.02, unnamed=0.015)
        if fate == "open":
            continue
        off = {"cents": draw.choice((-2, -1, 1, 2)) * CENT, "wrong": Decimal(draw.randrange(5, 60))}.get(
            fate, Decimal(0)
        )
        payment = pay(None if fate == "unnamed" else invoice, name, paid, amount + off)
        if fate != "wrong":
            truth.add((invoice, payment))
        if fate == "twice":
            pay(invoice, name, paid + timedelta(draw.randrange(1, 9)), amount)
    for _ in range(rows // 20):
        pay(f"INV-{90000 + draw.randrange(9999)}", draw.company(), draw.day(), draw.amount())
    left = Side("invoices.csv", ("invoice_no", "customer", "issued", "due", "amount", "currency"), lefts, "invoice_no")
    names = ("payment_id", "reference", "payer", "paid_on", "paid_amount", "currency")
    return DataSet(
        "clean keys", left, Side("payments.csv", names, _mixed(draw, rights), "payment_id"), frozenset(truth), True
    )


def free_text(rows: int, seed: int) -> DataSet:
    """A ledger and a bank statement whose remarks hold the reference, written as people write it."""
    draw, lefts, rights, truth = _Draw(seed), [], [], set()

    def book(remark: str, day: date, amount: Decimal) -> str:
        rights.append([f"T{500000 + len(rights)}", day.isoformat(), remark, _money(amount)])
        return str(rights[-1][0])

    for at in range(rows):
        number, name, day, amount = 1000 + at, draw.company(), draw.day(), draw.amount()
        lefts.append([f"D-{at + 1}", f"RE-2026-{number:05d}", name, day.isoformat(), _money(amount)])
        fate = draw.fate(open=0.08, missing=0.02, wrong=0.03, cents=0.04)
        if fate == "open":
            continue
        form = draw.choice(
            ("RE-2026-{n:05d}", "re-2026-{n:05d}", "RE 2026 {n:05d}", "RE2026{n:05d}", "RE-2026/{n:05d}")
        )
        written = "" if fate == "missing" else form.format(n=number)
        remark = draw.choice(("Payment {w} {c}", "{c} invoice {w}", "{w} thank you", "SEPA {c} {w} dated {d}"))
        off = {"cents": draw.choice((-1, 1)) * CENT, "wrong": Decimal(draw.randrange(5, 60))}.get(fate, Decimal(0))
        found = book(
            remark.format(w=written, c=name, d=f"{day:%d.%m.%Y}"), day + timedelta(draw.randrange(0, 40)), amount + off
        )
        if fate != "wrong":
            truth.add((f"D-{at + 1}", found))
    for _ in range(rows // 12):
        book(
            draw.choice(("Card fees March", "Salary run 2026-02", "Rent 2026-03 office", "Tax 4711 office")),
            draw.day(),
            draw.amount(),
        )
    left = Side("ledger.csv", ("entry", "document", "customer", "posted", "amount"), lefts, "entry")
    right = Side("bank.csv", ("transaction", "booked", "remark", "amount"), _mixed(draw, rights), "transaction")
    return DataSet("keys in free text", left, right, frozenset(truth), True)


def amount_date_text(rows: int, seed: int) -> DataSet:
    """No reference at all: amounts, many of them list prices, days and the names of payers as banks shorten them."""
    draw, lefts, rights, truth = _Draw(seed), [], [], set()
    prices = [draw.amount(1000, 60_000) for _ in range(max(12, rows // 60))]

    def book(name: str, day: date, amount: Decimal) -> str:
        rights.append([f"B{300000 + len(rights)}", f"{day:%m/%d/%Y}", name, _money(amount)])
        return str(rights[-1][0])

    for at in range(rows):
        name, day = draw.company(), draw.day()
        amount = draw.choice(prices) if draw.random() < 0.35 else draw.amount()
        lefts.append([f"S{at + 1:06d}", name, day.isoformat(), _money(amount)])
        fate = draw.fate(open=0.1, stranger=0.02, short=0.3)
        if fate == "open":
            continue
        payer = name.rpartition(" ")[0] if fate == "short" else name
        payer = draw.company() if fate == "stranger" else payer.upper()
        truth.add((f"S{at + 1:06d}", book(payer, day + timedelta(draw.randrange(0, 13)), amount)))
    for _ in range(rows // 10):
        book(draw.company().upper(), draw.day(), draw.choice(prices) if draw.random() < 0.35 else draw.amount())
    left = Side("sales.csv", ("sale", "customer", "sold_on", "total"), lefts, "sale")
    right = Side("bank.csv", ("txn", "date", "payer", "credit"), _mixed(draw, rights), "txn")
    return DataSet("amount, date and text", left, right, frozenset(truth), False)


def composite_keys(rows: int, seed: int) -> DataSet:
    """Documents numbered anew in each company and year; the three together name one."""
    draw, lefts, rights, truth = _Draw(seed), [], [], set()
    codes = ("DE01", "FR02", "NL03", "UK04", "US05")
    used: set[tuple[str, int, int]] = set()
    while len(lefts) < rows:
        code, year, number = draw.choice(codes), draw.choice((2024, 2025)), draw.randrange(1, max(40, rows // 6))
        if (code, year, number) in used:
            continue
        used.add((code, year, number))
        amount, at = draw.amount(), len(lefts)
        lefts.append([f"G{at}", code, str(year), str(number), _money(amount), draw.day().isoformat()])
        fate = draw.fate(open=0.08, wrong=0.03, cents=0.05)
        if fate == "open":
            continue
        off = {"cents": draw.choice((-5, -2, 2, 5)) * CENT, "wrong": Decimal(draw.randrange(8, 90))}.get(
            fate, Decimal(0)
        )
        rights.append([f"H{len(rights)}", code.lower(), str(year), f"{number:06d}", _money(amount + off)])
        if fate != "wrong":
            truth.add((f"G{at}", f"H{len(rights) - 1}"))
    for _ in range(rows // 15):
        rights.append(
            [
                f"H{len(rights)}",
                draw.choice(codes).lower(),
                "2026",
                f"{draw.randrange(9999):06d}",
                _money(draw.amount()),
            ]
        )
    left = Side("group_ledger.csv", ("line", "company", "year", "doc_no", "amount", "posted"), lefts, "line")
    right = Side("local_ledger.csv", ("id", "entity", "fiscal_year", "document", "value"), _mixed(draw, rights), "id")
    return DataSet("composite keys", left, right, frozenset(truth), True)


def percent_fees(rows: int, seed: int) -> DataSet:
    """Orders and a payment provider's payouts, each less a fee of 1.2 to 2.9 per cent."""
    draw, lefts, rights, truth = _Draw(seed), [], [], set()
    for at in range(rows):
        order, day, gross = f"#{100000 + at * 7}", draw.day(), draw.amount(1000, 300_000)
        lefts.append(
            [
                order,
                f"{day.isoformat()} {draw.randrange(24):02d}:{draw.randrange(60):02d}:00",
                _money(gross),
                draw.choice(("visa", "mc", "paypal")),
            ]
        )
        fate = draw.fate(open=0.07, refund=0.04)
        if fate == "open":
            continue
        fee = (gross * draw.choice((Decimal("0.012"), Decimal("0.019"), Decimal("0.029")))).quantize(CENT)
        net = (gross * draw.randrange(30, 80) / 100).quantize(CENT) if fate == "refund" else gross - fee
        payout = f"po_{draw.getrandbits(40):010x}"
        rights.append([payout, f"Order {order[1:]}", (day + timedelta(draw.randrange(2, 6))).isoformat(), _money(net)])
        if fate != "refund":
            truth.add((order, payout))
    rights += [
        [f"po_{draw.getrandbits(40):010x}", "Adjustment", draw.day().isoformat(), _money(draw.amount())]
        for _ in range(rows // 25)
    ]
    left = Side("orders.csv", ("order", "created", "gross", "method"), lefts, "order")
    right = Side("payouts.csv", ("payout", "description", "arrived", "net"), _mixed(draw, rights), "payout")
    return DataSet("percent fees", left, right, frozenset(truth), True)


def european(rows: int, seed: int) -> DataSet:
    """Semicolons, decimal commas, days first, Windows letters, euro signs; few prices, so amounts repeat."""
    draw, lefts, rights, truth = _Draw(seed), [], [], set()
    prices = [draw.amount(900, 400_000) for _ in range(max(10, rows // 40))]

    def book(name: str, remark: str | None, day: date, amount: Decimal) -> str:
        number = f"{2026_000_000 + len(rights)}"
        rights.append([number, f"{day:%d.%m.%Y}", name, remark, _german(amount, " €")])
        return number

    for at in range(rows):
        name, day, amount = draw.company(), draw.day(), draw.choice(prices)
        invoice = f"R{at + 1:05d}/26"
        lefts.append([invoice, name, f"{day:%d.%m.%Y}", _german(amount)])
        fate = draw.fate(open=0.08, missing=0.02, skonto=0.03)
        if fate == "open":
            continue
        paid = (amount * 97 / 100).quantize(CENT) if fate == "skonto" else amount
        remark = (
            None if fate == "missing" else draw.choice(("Rechnung {i}", "Rg. {i} vom {d}", "{i}", "KD-NR 8812 {i}"))
        )
        written = (
            remark.format(
                i=draw.choice((invoice, invoice, invoice.replace("/", "-"), invoice.lower())), d=f"{day:%d.%m.%y}"
            )
            if remark
            else None
        )
        found = book(name, written, day + timedelta(draw.randrange(0, 30)), paid)
        if fate != "skonto":
            truth.add((invoice, found))
    for _ in range(rows // 12):
        book(
            draw.company(),
            draw.choice(("Miete März", "Gehalt", None, "Büromaterial 2026")),
            draw.day(),
            draw.choice(prices),
        )
    left = Side("rechnungen.csv", ("Rechnung", "Kunde", "Datum", "Betrag"), lefts, "Rechnung", ";", "utf-8-sig")
    names = ("Umsatznummer", "Buchungstag", "Auftraggeber", "Verwendungszweck", "Betrag")
    return DataSet(
        "European formats",
        left,
        Side("umsätze.csv", names, _mixed(draw, rights), "Umsatznummer", ";", "utf-8-sig"),
        frozenset(truth),
        True,
    )


SHAPES: dict[str, Callable[[int, int], DataSet]] = {
    "clean_keys": clean_keys,
    "free_text": free_text,
    "amount_date_text": amount_date_text,
    "composite_keys": composite_keys,
    "percent_fees": percent_fees,
    "european": european,
}


@dataclass(frozen=True)
class Quality:
    """How well found pairs fit the true ones."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def quality(found: Sequence[tuple[str, str]], truth: frozenset[tuple[str, str]]) -> Quality:
    """Precision and recall of the pairs found, each counted once."""
    pairs = set(found)
    right = len(pairs & truth)
    return Quality(right / len(pairs) if pairs else 0.0, right / len(truth) if truth else 0.0)
