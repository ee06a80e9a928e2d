"""Seeded test data of any size: invoices and payments to Parquet, CSV or PostgreSQL, in bounded memory.

    python -m benchmarks.datasets --rows 1000000 --pattern one_to_one --format parquet --out data --seed 7

writes ``invoices.parquet``, ``payments.parquet`` and ``truth.json``: how many pairs and unmatched rows the recipes
of benchmarks must find. The same arguments give the same rows on every machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from psycopg2 import sql

from benchmarks.mixing import Integers, permuted
from benchmarks.patterns import (
    BANK,
    BLOCK,
    CURRENCIES,
    CURRENCY,
    CUSTOMER,
    CUSTOMERS,
    DAY,
    DELAY,
    FIRST_DAY,
    METHOD,
    PATTERNS,
    STATUS,
    Draft,
    Spec,
    Tally,
    amount_cents,
    batch_numbers,
    entered,
    extra_items,
    extras,
    group_of,
    invoice_ids,
    main_items,
    numbered,
    without_amount,
)

BATCH_ROWS = BLOCK * 4096
MONEY = pa.decimal128(18, 2)
INVOICES = pa.schema(
    [("invoice_id", pa.string()), ("customer_id", pa.string()), ("customer_name", pa.string()),
     ("invoice_date", pa.date32()), ("due_date", pa.date32()), ("amount", MONEY), ("currency", pa.string()),
     ("status", pa.string()), ("description", pa.string()), ("batch_ref", pa.string())]
)  # fmt: skip
PAYMENTS = pa.schema(
    [("payment_id", pa.string()), ("payer_id", pa.string()), ("payer_name", pa.string()),
     ("payment_date", pa.date32()), ("paid_amount", MONEY), ("currency", pa.string()),
     ("payment_method", pa.string()), ("reference_number", pa.string()), ("bank_reference", pa.string()),
     ("notes", pa.string())]
)  # fmt: skip
_NAMES = (
    "Nordwind Logistik", "Grünwald Bakery", "Harbour and Sons", "Lakeside Dental", "Okonkwo Imports", "Atelier Lefèvre",
    "Brightline Media", "Sato Precision", "Oliveira Têxteis", "Fjord Analytics", "Kestrel Foods", "Montblanc Optics",
    "Red River Steel", "Casa Verde", "Lumen Studios", "Baltic Freight", "Pemberton Legal", "Zhang Ceramics",
    "Alpine Seeds", "Quarry Hill Stone",
)  # fmt: skip
CUSTOMER_IDS = pa.array([f"CUST-{i + 1:03d}" for i in range(CUSTOMERS)] + ["STRANGER"])
CUSTOMER_NAMES = pa.array([*_NAMES, "Unknown payer"])
STATUSES = pa.array(["open", "paid", "overdue", "partially_paid"])
METHODS = pa.array(["wire", "ach", "card", "check"])
_CURRENCY_TEXTS = pa.array(CURRENCIES)
Sink = Callable[[str, pa.Schema, Iterator[pa.RecordBatch]], int]


def invoices(spec: Spec, tally: Tally) -> Iterator[pa.RecordBatch]:
    """The left side in batches of bounded size."""
    for start in range(0, spec.rows, BATCH_ROWS):
        rows = entered(spec, np.arange(start, min(start + BATCH_ROWS, spec.rows), dtype=np.int64))
        customers = spec.draw(CUSTOMER, rows, CUSTOMERS)
        days = FIRST_DAY + spec.draw(DAY, rows, 365)
        if spec.pattern == "cross":
            found = group_of(spec, customers, rows, days)
            tally.left_groups += np.bincount(found, minlength=tally.left_groups.size)
        columns = [
            invoice_ids(rows),
            CUSTOMER_IDS.take(pa.array(customers)),
            CUSTOMER_NAMES.take(pa.array(customers)),
            _dates(days),
            _dates(days + 30),
            _money(amount_cents(spec, rows), without_amount(spec, rows)),
            _CURRENCY_TEXTS.take(pa.array(spec.draw(CURRENCY, rows, len(CURRENCIES)))),
            STATUSES.take(pa.array(spec.draw(STATUS, rows, len(STATUSES)))),
            pc.binary_join_element_wise("Delivery ", pc.cast(pa.array(rows + 1), pa.string()), ""),
            numbered("BATCH-", batch_numbers(spec, rows) + 1),
        ]
        yield pa.record_batch(columns, schema=INVOICES)


def payments(spec: Spec, tally: Tally) -> Iterator[pa.RecordBatch]:
    """The right side in batches of bounded size, in the order of the invoices or, shuffled, of a hash."""
    main, total = main_items(spec), main_items(spec) + extra_items(spec)
    step = BATCH_ROWS // (BLOCK if spec.pattern == "batch" else 1)
    done = 0
    for start in range(0, total, step):
        places = np.arange(start, min(start + step, total), dtype=np.int64)
        items = permuted(spec.seed, places, total) if spec.shuffle else places
        for draft in (
            PATTERNS[spec.pattern](spec, items[items < main], tally),
            extras(spec, items[items >= main]),
        ):
            yield _payment_batch(spec, draft, done)
            done += draft.cents.size


def _payment_batch(spec: Spec, draft: Draft, done: int) -> pa.RecordBatch:
    rows = draft.invoice
    customers = spec.draw(CUSTOMER, rows, CUSTOMERS)
    if draft.stranger is not None:
        customers = np.where(draft.stranger, CUSTOMERS, customers)
    days = FIRST_DAY + spec.draw(DAY, rows, 365)
    if spec.pattern != "cross":
        days = days + spec.draw(DELAY, rows, 45)
    numbers = np.arange(done + 1, done + rows.size + 1, dtype=np.int64)
    columns = [
        numbered("PAY-", numbers),
        CUSTOMER_IDS.take(pa.array(customers)),
        CUSTOMER_NAMES.take(pa.array(customers)),
        _dates(days),
        _money(draft.cents, draft.no_cents),
        _CURRENCY_TEXTS.take(pa.array(spec.draw(CURRENCY, rows, len(CURRENCIES)))),
        METHODS.take(pa.array(spec.draw(METHOD, numbers, len(METHODS)))),
        draft.reference,
        numbered("BNK", spec.draw(BANK, numbers, 10**12)),
        pc.binary_join_element_wise("Transfer ", pc.cast(pa.array(numbers), pa.string()), ""),
    ]
    return pa.record_batch(columns, schema=PAYMENTS)


def _dates(days: Integers) -> pa.Array:
    return pa.array(days.astype(np.int32)).cast(pa.date32())


def _money(cents: Integers, missing: Any = None) -> pa.Array:
    """Exact decimals straight from integers: 128-bit little endian words."""
    words = np.empty((cents.size, 2), dtype=np.int64)
    words[:, 0], words[:, 1] = cents, cents >> 63
    whole = pa.Array.from_buffers(MONEY, cents.size, [None, pa.py_buffer(words)])
    return whole if missing is None else pc.if_else(pa.array(missing), pa.scalar(None, MONEY), whole)


def write(spec: Spec, sink: Sink) -> dict[str, Any]:
    """Both sides into ``sink``; the truth about them."""
    tally = Tally()
    left = sink("invoices", INVOICES, invoices(spec, tally))
    right = sink("payments", PAYMENTS, payments(spec, tally))
    if spec.pattern == "cross":
        lefts, rights = tally.left_groups, tally.right_groups
        tally.add("D", (lefts * rights).sum(), lefts[rights > 0].sum(), rights[lefts > 0].sum())
    return {
        "pattern": spec.pattern,
        "seed": spec.seed,
        "shuffle": spec.shuffle,
        "match_rate": spec.match_rate,
        "left_rows": left,
        "right_rows": right,
        "recipes": {
            name: {
                "matched": tally.pairs[name],
                "unmatched_left": left - tally.left[name],
                "unmatched_right": right - tally.right[name],
            }
            for name in sorted(tally.pairs)
        },
    }


def parquet_sink(folder: Path) -> Sink:
    """``<folder>/<name>.parquet``."""

    def sink(name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
        with pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd") as writer:
            return _through(batches, lambda batch: writer.write_batch(batch, row_group_size=BATCH_ROWS))

    return sink


# No text in the data holds a comma, a quote or a line break; NULL is an empty cell.
_PLAIN = {"quoting_style": "none"}


def csv_sink(folder: Path) -> Sink:
    """``<folder>/<name>.csv`` with a header."""

    def sink(name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
        options = pa_csv.WriteOptions(**_PLAIN)
        with pa_csv.CSVWriter(str(folder / f"{name}.csv"), schema, write_options=options) as writer:
            return _through(batches, writer.write_batch)

    return sink


def postgres_sink(uri: str, spec: Spec, *, replace: bool = False) -> Sink:
    """Tables ``invoices`` and ``payments`` through COPY. Existing tables are only replaced when asked to."""

    def sink(name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
        table = sql.Identifier(name)
        with contextlib.closing(psycopg2.connect(uri)) as connection, connection, connection.cursor() as cursor:
            if replace:
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
            cursor.execute(_create_table(name, schema))
            stream = _CopyStream(batches)
            cursor.copy_expert(sql.SQL("COPY {} FROM STDIN WITH (FORMAT csv)").format(table), stream)
            key = sql.SQL("CREATE INDEX ON {} ({})" if spec.pattern == "duplicates" and name == "invoices"
                          else "ALTER TABLE {} ADD PRIMARY KEY ({})")  # fmt: skip
            cursor.execute(key.format(table, sql.Identifier(schema.names[0])))
            cursor.execute(sql.SQL("ANALYZE {}").format(table))
            return stream.rows

    return sink


def _create_table(name: str, schema: pa.Schema) -> sql.Composed:
    types = {pa.string(): "text", pa.date32(): "date", MONEY: "numeric(18, 2)"}
    columns = [sql.SQL("{} {}").format(sql.Identifier(f.name), sql.SQL(types[f.type])) for f in schema]
    return sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(name), sql.SQL(", ").join(columns))


class _CopyStream:
    """What COPY reads: the batches as CSV, made when asked for."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self.rows = 0
        self._batches = batches
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            batch = next(self._batches, None)
            if batch is None:
                return b""
            self.rows += batch.num_rows
            buffer = pa.BufferOutputStream()
            pa_csv.write_csv(batch, buffer, pa_csv.WriteOptions(include_header=False, **_PLAIN))
            self._rest = memoryview(buffer.getvalue())
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return bytes(taken)


def _through(batches: Iterator[pa.RecordBatch], put: Callable[[pa.RecordBatch], Any]) -> int:
    rows = 0
    for batch in batches:
        if batch.num_rows:
            put(batch)
            rows += batch.num_rows
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints the truth as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.datasets", description="Make benchmark data.")
    parser.add_argument("--rows", type=int, required=True, help="invoices")
    parser.add_argument("--pattern", choices=sorted(PATTERNS), default="one_to_one")
    parser.add_argument("--format", choices=["parquet", "csv", "postgres"], default="parquet")
    parser.add_argument("--out", type=Path, help="folder for the files and truth.json")
    parser.add_argument("--postgres", metavar="URI", help="database for --format postgres")
    parser.add_argument("--replace", action="store_true", help="replace existing tables in the database")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--shuffle", action="store_true", help="order the payments by a hash")
    parser.add_argument("--match-rate", type=float, help="share of exact payments in one_to_one")
    given = parser.parse_args(arguments)
    if (given.format == "postgres") != (given.postgres is not None) or not (given.postgres or given.out):
        parser.error("give --out for files, or --format postgres with --postgres URI")
    if given.rows < 0 or not 0 <= (given.match_rate or 0) <= 1:
        parser.error("--rows must not be negative, --match-rate lies between 0 and 1")
    spec = Spec(given.rows, given.pattern, given.seed, given.shuffle, given.match_rate)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
    sinks = {"parquet": parquet_sink, "csv": csv_sink}
    if given.postgres:
        sink = postgres_sink(given.postgres, spec, replace=given.replace)
    else:
        sink = sinks[given.format](given.out)
    truth = json.dumps(write(spec, sink), indent=2)
    if given.out:
        (given.out / "truth.json").write_text(truth + "\n", encoding="utf-8")
    print(truth)
    return 0


if __name__ == "__main__":
    sys.exit(main())
