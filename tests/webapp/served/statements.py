"""Two files as banks and ledgers give them out, with known truth: semicolons, decimal commas, references inside free
text, equal amounts, small differences, and records that have no partner."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

NAMES = ("Müller GmbH", "Schäfer & Söhne", "Café Königs", "Weiß KG", "Bäckerei Jürgens", "Nord-Ost Handel")
FORMS = ("Rechnung {}", "RG {} Kd. {} vielen Dank", "{}", "Zahlung zu {} / Kunde {}", "SEPA {} DANKE")


@dataclass(frozen=True)
class Truth:
    """The files, and how many records of each kind they hold. ``rounded`` pairs are 0.01 or 0.02 apart."""

    bank: Path
    ledger: Path
    pairs: int
    rounded: int
    bank_only: int
    ledger_only: int


def amount(cents: int) -> str:
    """``123456`` -> ``1.234,56``."""
    whole = f"{abs(cents) // 100:,}".replace(",", ".")
    return f"{'-' if cents < 0 else ''}{whole},{abs(cents) % 100:02d}"


def write_statements(folder: Path, pairs: int = 300, rounded: int = 24, alone: int = 12, seed: int = 7) -> Truth:
    """``bank.csv`` and ``ledger.csv``; ``alone`` records on each side have no partner."""
    chance = random.Random(seed)
    bank, ledger = [], []
    for number in range(pairs + alone):
        reference, day = f"RE-2026-{10_000 + number}", date(2026, 1, 3) + timedelta(chance.randrange(80))
        cents = 5000 if number % 6 == 0 else chance.randrange(1_000, 900_000)
        customer, account = chance.choice(NAMES), chance.randrange(1000, 9999)
        ledger.append([reference, day.strftime("%d.%m.%Y"), customer, amount(cents)])
        if number >= pairs:
            continue
        paid = cents + (chance.choice((-2, -1, 1, 2)) if number < rounded else 0)
        booked = day + timedelta(chance.randrange(6))
        text = chance.choice(FORMS).format(reference, account)
        bank.append([booked.strftime("%d.%m.%Y"), customer.upper(), text, amount(paid)])
    for _ in range(alone):
        booked = date(2026, 1, 3) + timedelta(chance.randrange(80))
        bank.append(
            [booked.strftime("%d.%m.%Y"), "BANK", "Entgelt Kontoführung", amount(-chance.randrange(100, 9_000))]
        )
    chance.shuffle(bank)
    numbered = [[f"U{1000 + at}", *row] for at, row in enumerate(bank)]
    bank_path = _write(
        folder / "bank.csv", ["Umsatz", "Buchungstag", "Auftraggeber", "Verwendungszweck", "Betrag"], numbered
    )
    ledger_path = _write(folder / "ledger.csv", ["Rechnung", "Datum", "Kunde", "Offen"], ledger)
    return Truth(bank_path, ledger_path, pairs, rounded, alone, alone)


def _write(path: Path, heads: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(heads)
        writer.writerows(rows)
    return path
