"""Evidence as a workbook for people who live in one. Rows are streamed: memory does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from pipelines.errors import EvidenceError
from pipelines.evidence.cells import Cell, cell_maker, number_pattern
from pipelines.evidence.columns import SIDES, number_texts
from pipelines.evidence.reader import Evidence
from pipelines.matching import REASONS
from pipelines.workdir import SETS

MOST_ROWS = 1_048_575  # a sheet has 2^20 rows, one of them the header
_MOST_COLUMNS = 16_384
_MOST_TEXT = 32_767
_TITLES = dict(zip(SETS, ("Matched", "Unmatched left", "Unmatched right"), strict=True))
_OPTIONS = {
    "constant_memory": True,
    # A text is a text: never a formula, a link or a number.
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def write_set_workbook(evidence: Evidence, set_name: str, path: Path) -> None:
    """One sheet. Raises EvidenceError ``evidence.too_many_rows``, ``evidence.cell_too_long``."""
    _check_size(evidence, [set_name])
    with _workbook(path) as book:
        _write_set(book, evidence, set_name)


def write_whole_workbook(evidence: Evidence, path: Path) -> int:
    """A summary and the three sets; returns the rows of the sets. Raises as ``write_set_workbook``."""
    _check_size(evidence, SETS)
    with _workbook(path) as book:
        _write_summary(book, evidence)
        return sum(_write_set(book, evidence, set_name) for set_name in SETS)


@contextmanager
def _workbook(path: Path) -> Iterator[xlsxwriter.Workbook]:
    book = xlsxwriter.Workbook(str(path), {**_OPTIONS, "tmpdir": str(path.parent)})
    try:
        yield book
    finally:
        book.close()


def _check_size(evidence: Evidence, sets: tuple[str, ...] | list[str]) -> None:
    for set_name in sets:
        rows, columns = evidence.total(set_name), len(evidence.schema(set_name))
        if rows > MOST_ROWS or columns > _MOST_COLUMNS:
            what = f"{rows:,} rows" if rows > MOST_ROWS else f"{columns:,} columns"
            raise EvidenceError(
                f"{set_name} has {what}; a sheet holds {MOST_ROWS:,} rows and {_MOST_COLUMNS:,} columns.",
                code="evidence.too_many_rows" if rows > MOST_ROWS else "evidence.too_many_columns",
                hint="Export it with --format csv or parquet.",
            )


def _write_set(book: xlsxwriter.Workbook, evidence: Evidence, set_name: str) -> int:
    schema = evidence.schema(set_name)
    sheet = book.add_worksheet(_TITLES[set_name])
    numbers = {i: number_texts(evidence, set_name, field.name) for i, field in enumerate(schema)}
    formats = []
    for i, field in enumerate(schema):
        pattern = number_pattern(field.type, numbers[i])
        formats.append(book.add_format({"num_format": pattern}) if pattern else None)
        sheet.set_column(i, i, min(max(len(field.name) + 4, 12), 40))
    sheet.freeze_panes(1, 0)
    last = max(len(schema) - 1, 0)
    sheet.autofilter(0, 0, evidence.total(set_name), last)
    sheet.ignore_errors({"number_stored_as_text": f"A1:{_column_name(last)}{MOST_ROWS + 1}"})
    _write_row(sheet, 0, schema.names, [book.add_format({"bold": True})] * len(schema), set_name)
    makers = [cell_maker(field.type, numbers[i]) for i, field in enumerate(schema)]
    row = 0
    for batch in evidence.batches(set_name):
        columns = [list(map(make, column.to_pylist())) for make, column in zip(makers, batch.columns, strict=True)]
        for cells in zip(*columns, strict=True):
            row += 1
            _write_row(sheet, row, list(cells), formats, set_name)
    return row


def _column_name(place: int) -> str:
    name: str = xlsxwriter.utility.xl_col_to_name(place)
    return name


def _write_row(sheet: Worksheet, row: int, cells: list[Any], formats: list[Format | None], where: str) -> None:
    for place, cell in enumerate(cells):
        if cell is None:
            continue
        if isinstance(cell, float):
            sheet.write_number(row, place, cell, formats[place])
        elif isinstance(cell, (date, datetime)):
            sheet.write_datetime(row, place, cell, formats[place])
        elif sheet.write_string(row, place, cell, formats[place] if row == 0 else None):
            raise EvidenceError(
                f"Row {row:,} of {where} has a cell of {len(cell):,} characters; a sheet holds {_MOST_TEXT:,}.",
                code="evidence.cell_too_long",
                hint="Export it with --format csv or parquet.",
            )


# --- the summary sheet ----------------------------------------------------------------------------------------------


def _write_summary(book: xlsxwriter.Workbook, evidence: Evidence) -> None:
    sheet = book.add_worksheet("Summary")
    bold = book.add_format({"bold": True})
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 6, 22)
    for row, cells in enumerate(summary_rows(evidence)):
        heading = len(cells) == 1 or row == 0
        _write_row(sheet, row, cells, [bold if heading or i == 0 else None for i in range(len(cells))], "Summary")
        if heading and cells:
            sheet.write_string(row, 0, str(cells[0]), bold)


def summary_rows(evidence: Evidence) -> list[list[Cell]]:
    """The whole manifest in words, as rows of cells."""
    stated, counts = evidence.manifest, evidence.counts
    rows: list[list[Cell]] = [[str(evidence.recipe.get("name", stated["recipe_id"]))], []]
    rows.append(["Records", "Read", "Matched", "Unmatched"])
    for side in SIDES:
        names = (f"{side}_record_count", f"matched_{side}_count", f"unmatched_{side}_count")
        rows.append([f"{side.title()}: {stated['sources'][side]['alias']}", *(float(counts[n]) for n in names)])
    rows.append(["Pairs", float(counts["matched_count"])])
    rate = counts["match_rate"]
    rows += [["Match rate (left records)", "–" if rate is None else f"{rate:.2%}"], []]
    rows += _total_rows(stated) + _reason_rows(stated)
    rows += [["Recipe"], ["Id", stated["recipe_id"]], ["SHA-256", stated["recipe_hash"]]]
    rows += [
        ["In words", str(evidence.recipe.get("match_description", ""))],
        ["SQL", stated["match_sql"][:_MOST_TEXT]],
        [],
    ]
    rows.append(["Sources"])
    for side in SIDES:
        source = stated["sources"][side]
        state = ", ".join(f"{k} {v}" for k, v in source["snapshot"].items())
        key = ", ".join(source["primary_key"])
        rows.append(
            [
                side.title(),
                source["alias"],
                source["type"],
                source["uri"][:_MOST_TEXT],
                f"key {key}",
                state[:_MOST_TEXT],
            ]
        )
    rows += [[], ["Run"], ["Id", stated["run_id"]], ["Started", stated["times"]["started_at"]]]
    rows += [["Completed", stated["times"]["completed_at"]]]
    rows += [[f"Version of {name}", version] for name, version in stated["versions"].items()]
    rows += [["SHA-256 of manifest.json", evidence.manifest_sha256], []]
    rows += [["Warnings"], *([w["message"][:_MOST_TEXT]] for w in stated["warnings"])] if stated["warnings"] else []
    return rows


def _total_rows(stated: dict[str, Any]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [["Control totals", "Column", "Read", "Matched", "Unmatched", "Without a number"]]
    make = cell_maker(pa.decimal128(38, 10))
    for side in SIDES:
        for name, total in stated["control_totals"][side].items():
            sums = [make(total[part]["sum"]) for part in ("source", "matched", "unmatched")]
            rows.append([side.title(), name, *sums, float(total["source"]["empty"])])
    return [*rows, []]


def _reason_rows(stated: dict[str, Any]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [["Unmatched because", "Reason", "Records"]]
    for side in SIDES:
        rows += [[side.title(), REASONS.get(reason, reason), float(n)] for reason, n in stated["reasons"][side].items()]
    return [*rows, []]
