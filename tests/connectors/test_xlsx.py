"""Workbooks as people's programs write them, and as nobody should: sheets, exact values, limits."""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from connectors import SheetTable, WorkbookError, connector_for, open_workbook
from connectors.xlsx.values import Shape, date_text, number_text, shape_of
from connectors.xlsx.workbook import column_name
from recipe import CsvSource
from tests.connectors.contract import read_rows

MOST = 10_000_000
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def bytes_of(content: bytes, sheet: str, most: int = MOST) -> bytes:
    with open_workbook(io.BytesIO(content), most) as book:
        table = SheetTable(book, sheet)
        data = b""
        while piece := table.read(7):
            data += piece
    return data


def csv_of(content: bytes, sheet: str, most: int = MOST) -> str:
    """The CSV of a sheet with quotes only where one needs them."""
    out = io.StringIO()
    found = csv.reader(io.StringIO(bytes_of(content, sheet, most).decode(), newline=""), strict=True)
    csv.writer(out, lineterminator="\n").writerows(found)
    return out.getvalue()


def written(fill: Callable[[Any, Any], None], **options: Any) -> bytes:
    """A workbook of xlsxwriter with one sheet, S."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, options) as book:
        fill(book, book.add_worksheet("S"))
    return out.getvalue()


def packed(sheet: str, *, shared: str = "", styles: str = "", workbook: str = "", **parts: str) -> bytes:
    """A workbook by hand: the rows of one sheet, S, as XML."""
    out = io.BytesIO()
    kind = f"{LINKS}/"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(
            "_rels/.rels",
            f'<Relationships><Relationship Id="a" Type="{kind}officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}">{workbook}<sheets><sheet name="S" r:id="s"/></sheets></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships><Relationship Id="s" Type="{kind}worksheet" Target="/xl/s.xml"/><Relationship Id="t" Type="{kind}sharedStrings"'
            f' Target="t.xml"/><Relationship Id="y" Type="{kind}styles" Target="y.xml"/></Relationships>',
        )
        file.writestr("xl/s.xml", f'<worksheet xmlns="{MAIN}"><sheetData>{sheet}</sheetData></worksheet>')
        file.writestr("xl/t.xml", f'<sst xmlns="{MAIN}">{shared}</sst>')
        file.writestr("xl/y.xml", f'<styleSheet xmlns="{MAIN}">{styles}</styleSheet>')
        for name, content in parts.items():
            file.writestr(name, content)
    return out.getvalue()


def cell(xml: str, **more: str) -> str:
    """What one cell below a header becomes."""
    content = packed(f'<row><c t="str"><v>h</v></c></row><row r="2">{xml}</row>', **more)
    return csv_of(content, "S").removeprefix("h\n").rstrip("\n")


# --- as programs write them ----------------------------------------------------------------------------------------


def test_what_openpyxl_writes() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Ledger"
    sheet.append(["id", "when", "at", "net", "rate", "paid", "note"])
    sheet.append(["007", dt.date(2026, 1, 31), dt.datetime(2026, 1, 31, 12, 0, 1), 18.9, 0.19, True, 'say "hi",\nwell'])
    sheet.append([])
    sheet.append([8, None, None, -1234567.05, None, False, "ünï ✓"])
    sheet["E2"].number_format = "0%"
    book.create_sheet("Notes").sheet_state = "hidden"
    book.create_sheet("Deep").sheet_state = "veryHidden"
    out = io.BytesIO()
    book.save(out)
    with open_workbook(io.BytesIO(out.getvalue()), MOST) as found:
        assert [(s.name, s.state) for s in found.sheets] == [
            ("Ledger", "visible"), ("Notes", "hidden"), ("Deep", "veryHidden"),
        ]  # fmt: skip
        table = SheetTable(found, "Ledger")
        text = table.read(MOST).decode()
    assert text == (
        '"id","when","at","net","rate","paid","note"\n'
        '"007","2026-01-31","2026-01-31T12:00:01","18.9","0.19","true","say ""hi"",\nwell"\n'
        '"8","","","-1234567.05","","false","ünï ✓"\n'
    )
    assert table.rows == 2
    assert table.holds == [["text", "number"], ["date"], ["timestamp"], ["number"], ["percent"], ["boolean"], ["text"]]


def test_what_xlsxwriter_writes() -> None:
    def fill(book: Any, sheet: Any) -> None:
        bold = book.add_format({"bold": True})
        for column, name in enumerate(["a", "b", "c", "d"]):
            sheet.write(3, column + 1, name, bold)  # below empty rows, beside an empty column
        sheet.write_rich_string(4, 1, "one ", bold, "two")
        sheet.write_datetime(
            4, 2, dt.datetime(1904, 1, 2, 3, 4, 5, 678000), book.add_format({"num_format": "dd.mm.yy hh:mm"})
        )
        sheet.write_number(4, 3, 1e-7)
        sheet.write_formula(4, 4, "=1+1", None, 2)
        sheet.write_datetime(5, 2, dt.time(13, 30), book.add_format({"num_format": "hh:mm"}))
        sheet.write_number(5, 3, 1.5, book.add_format({"num_format": "[h]:mm"}))

    expected = "a,b,c,d\none two,1904-01-02T03:04:05.678,0.0000001,2\n,13:30:00,36:00:00,\n"
    for options in ({}, {"constant_memory": True}, {"date_1904": True}):
        assert csv_of(written(fill, **options), "S") == expected


@pytest.mark.parametrize(
    "rows",
    [
        [["Name; Vorname", "Betrag"], ["Meier; Anna", "5"]],
        [["Name; Vorname"], ["Meier; Anna"]],
        [["Name", "a|b\tc"], ["Meier|x\ty", None]],
        [["h", "other"], ["a\rb", "1"], [None, '"\r"'], ["\r\n", "2"]],
        [['"h"'], [" x "], ["'"], ["=1;2"]],
    ],
)
def test_our_reader_finds_the_cells_as_they_were(rows: list[list[str | None]], tmp_path: Path) -> None:
    """Whatever delimiters and ends of lines stand in them."""

    def fill(_: Any, sheet: Any) -> None:
        for i, row in enumerate(rows):
            for j, text in enumerate(row):
                if text is not None:
                    sheet.write_string(i, j, text)

    path = tmp_path / "sheet.csv"
    path.write_bytes(bytes_of(written(fill), "S"))
    source = connector_for(CsvSource(alias="a", uri=str(path), primary_key=("k",)))
    assert [c.name for c in source.schema()] == rows[0]
    assert read_rows(source) == [tuple(row) for row in rows[1:]]


def test_a_sheet_of_many_rows_is_streamed() -> None:
    def fill(_: Any, sheet: Any) -> None:
        for row in range(5000):
            sheet.write_row(row, 0, [f"text {row}", row, row / 8])

    lines = csv_of(written(fill), "S").splitlines()
    assert len(lines) == 5000
    assert lines[4999] == "text 4999,4999,624.875"


# --- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stored, text",
    [
        ("100", "100"), ("100.10", "100.1"), ("18.899999999999999", "18.9"), ("0.30000000000000004", "0.3"), ("-0", "0"),
        ("1.2345678901234567E+16", "12345678901234567"), ("12345678901234567890", "12345678901234567890"),
        ("1E-7", "0.0000001"), ("9999999999.99", "9999999999.99"), ("1.0000000000000002E5", "100000"), (" 7 ", "7"),
    ],
)  # fmt: skip
def test_numbers(stored: str, text: str) -> None:
    assert number_text(stored) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=2))
def test_every_amount_comes_back(amount: Any) -> None:
    """As the double that a workbook holds, in its 17 digits."""
    assert float(number_text(format(float(amount), ".17g"))) == float(amount)
    assert amount == type(amount)(number_text(format(float(amount), ".17g")))


@pytest.mark.parametrize("stored", ["", "x", "NaN", "Infinity", "1E+999", "1e-999", "1_0x"])
def test_what_is_no_number(stored: str) -> None:
    with pytest.raises(ValueError, match="number"):
        number_text(stored)


@pytest.mark.parametrize(
    "code, shape",
    [
        ("General", Shape.NUMBER), ("0.00", Shape.NUMBER), ("0.0%", Shape.PERCENT), ("yyyy-mm-dd", Shape.DATE),
        ("[$-407]d. mmmm yyyy", Shape.DATE), ("dd/mm/yyyy hh:mm", Shape.MOMENT), ("h:mm AM/PM", Shape.TIME), ("mm:ss.0", Shape.TIME),
        ("[hh]:mm", Shape.ELAPSED), ('#,##0 "days"', Shape.NUMBER), ('#,##0.00\\ "€"', Shape.NUMBER), ("[Red]0;[Blue]-0", Shape.NUMBER),
        ("0.00E+00", Shape.NUMBER), ("_-* #,##0.00_-", Shape.NUMBER), ("mmm", Shape.DATE), ("@", Shape.NUMBER),
    ],
)  # fmt: skip
def test_formats(code: str, shape: Shape) -> None:
    assert shape_of(200, code) is shape
    assert [shape_of(n, None) for n in (0, 9, 14, 20, 22, 46)] == [
        Shape.NUMBER, Shape.PERCENT, Shape.DATE, Shape.TIME, Shape.MOMENT, Shape.ELAPSED,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "stored, from_1904, text",
    [
        ("1", False, "1900-01-01"), ("59", False, "1900-02-28"), ("61", False, "1900-03-01"), ("46053", False, "2026-01-31"),
        ("46053.5", False, "2026-01-31T12:00:00"), ("2958465", False, "9999-12-31"), ("0", True, "1904-01-01"),
        ("46053.99999999999", False, "2026-02-01"),
    ],
)  # fmt: skip
def test_dates(stored: str, from_1904: bool, text: str) -> None:
    assert date_text(stored, Shape.DATE, from_1904) == text


@pytest.mark.parametrize("stored", ["60", "-1", "2958466", "x"])
def test_what_is_no_date(stored: str) -> None:
    with pytest.raises(ValueError):
        date_text(stored, Shape.DATE, False)


@pytest.mark.parametrize(
    "xml, text",
    [
        ('<c t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r><rPh><t>no</t></rPh></is></c>', "ab"),
        ('<c t="s"><v>1</v></c>', "x y"),
        ('<c t="str"><f>A1</f><v>_x0041__x005F_</v></c>', "A_"),
        ('<c t="b"><v>1</v></c>', "true"),
        ('<c t="b"><v> true </v></c>', "true"),
        ('<c t="b"><v>0</v></c>', "false"),
        ('<c t="b"><v>false</v></c>', "false"),
        ('<c t="str"><f>A1</f><v></v></c>', ""),
        ("<c><f>A1-A1</f><v>0</v></c>", "0"),
        ('<c t="d"><v>2026-01-31</v></c>', "2026-01-31"),
        ('<c s="0"><v>12</v></c>', "12"),
        ('<c><v/></c><c t="str"><v></v></c>', ""),
    ],
)
def test_cells(xml: str, text: str) -> None:
    assert cell(xml, shared="<si><t>first</t></si><si><r><t>x </t></r><r><t>y</t></r><rPh><t>z</t></rPh></si>") == text


@pytest.mark.parametrize(
    "xml, code, says",
    [
        ('<c t="e"><v>#N/A</v></c>', "workbook.error_cell", "A2 of the sheet 'S' holds the error #N/A"),
        ("<c><f>1+1</f></c>", "workbook.not_calculated", "A2"),
        ('<c t="str"><f>A1</f></c>', "workbook.not_calculated", "A2"),
        ('<c t="b"><v>2</v></c>', "workbook.bad_cell", "neither true nor false"),
        ('<c t="b"><v/></c>', "workbook.bad_cell", "neither true nor false"),
        ('<c r="C2"><v>1</v></c>', "workbook.beside_header", "C2"),
        ('<c s="9"><v>1</v></c>', "workbook.bad_cell", "format"),
        ('<c t="s"><v>9</v></c>', "workbook.bad_cell", "text that is not there"),
        ('<c t="s"><v>-9</v></c>', "workbook.unreadable", "number belongs"),
        ("<c><v>one</v></c>", "workbook.bad_cell", "no number"),
        ('<c r="ÄÖ2"><v>1</v></c>', "workbook.unreadable", "no place"),
        ('<c r="XFE2"><v>1</v></c>', "workbook.bad_cell", "last column"),
    ],
)
def test_cells_that_stop(xml: str, code: str, says: str) -> None:
    with pytest.raises(WorkbookError) as caught:
        cell(xml)
    assert caught.value.code == code and says in caught.value.message and caught.value.hint


def test_zeros_that_programs_put_in_for_results_are_none() -> None:
    """xlsxwriter, and pandas with it, cannot calculate, and leave that to whoever opens the workbook."""

    def fill(_: Any, sheet: Any) -> None:
        sheet.write(0, 0, "h")
        sheet.write_number(1, 0, 0)
        sheet.write_formula(2, 0, "=1+1", None, 2)
        sheet.write_formula(3, 0, "=1+1")

    with pytest.raises(WorkbookError, match="A4") as caught:
        csv_of(written(fill), "S")
    assert caught.value.code == "workbook.not_calculated"


def test_sheets_that_stop() -> None:
    for sheet, code in (("S", "workbook.empty_sheet"), ("T", "workbook.unknown_sheet")):
        with pytest.raises(WorkbookError) as caught:
            csv_of(packed('<row r="1"/>'), sheet)
        assert caught.value.code == code


def test_columns_have_letters() -> None:
    assert [column_name(c) for c in (0, 25, 26, 701, 702, 16383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
