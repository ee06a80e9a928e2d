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


# --- hostile files -------------------------------------------------------------------------------------------------


def test_a_bomb_is_stopped_while_it_unpacks() -> None:
    bomb = packed("<row><c t='str'><v>h</v></c></row>" + "<row></row>" * 2_000_000)
    assert len(bomb) < 200_000
    with pytest.raises(WorkbookError) as caught:
        csv_of(bomb, "S", most=1_000_000)
    assert caught.value.code == "workbook.too_large"
    with pytest.raises(WorkbookError) as caught:
        csv_of(bomb, "S", most=10_000)
    assert caught.value.code == "workbook.too_large"


def test_rows_that_refer_to_one_long_text_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    long = f"<si><t>{'x' * 1000}</t></si>"
    wide = "<row>" + '<c t="str"><v>h</v></c>' * 5 + "</row>"
    monkeypatch.setattr("connectors.xlsx.workbook.LONGEST_ROW", 4000)
    text = '<c t="s"><v>0</v></c>'
    held = csv_of(packed(wide + f"<row>{text * 4}</row>" * 50, shared=long), "S")
    assert held.count("x") == 200_000
    inline = f'<c t="str"><v>{"x" * 1000}</v></c>'
    for row in (text * 5, inline * 5):
        with pytest.raises(WorkbookError, match=r"E2 .*row of more than 4,000 characters") as caught:
            csv_of(packed(f"{wide}<row>{row}</row>", shared=long), "S")
        assert caught.value.code == "workbook.bad_cell"


def test_texts_are_looked_up_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows a piece of the part holds: each may refer to 16 MiB of texts."""
    rows = '<row><c t="s"><v>0</v></c></row>' * 100
    with open_workbook(io.BytesIO(packed(rows, shared="<si><t>x</t></si>")), MOST) as book:
        asked: list[int] = []
        shared = book.shared
        monkeypatch.setattr(book, "shared", lambda index: (asked.append(index), shared(index))[1])
        found = book.rows("S")
        next(found)
        assert len(asked) == 1
        assert len(list(found)) == 99


def test_declarations_are_refused() -> None:
    laughs = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><worksheet>&y;</worksheet>'
    out = io.BytesIO(packed(""))
    with zipfile.ZipFile(out, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("xl/s.xml", laughs)
    with pytest.raises(WorkbookError, match="declares types"):
        csv_of(out.getvalue(), "S")


@pytest.mark.parametrize(
    "content, code",
    [
        (b"", "workbook.unreadable"),
        (b"id,name\n1,a\n", "workbook.unreadable"),
        (b"PK\x03\x04" + b"x" * 100, "workbook.unreadable"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "workbook.protected"),
        (packed("<row><c><v>1</v></c></row>")[:-200], "workbook.unreadable"),
        (packed("<row><c><v>1</c></row>"), "workbook.unreadable"),
    ],
)
def test_what_is_no_workbook(content: bytes, code: str) -> None:
    with pytest.raises(WorkbookError) as caught:
        csv_of(content, "S")
    assert caught.value.code == code


ROW = "<row><c t='str'><v>h</v></c></row>"


@pytest.mark.parametrize("encoding", ["utf-7", "nonsense", "hex", "idna", "shift_jis", "undefined"])
def test_encodings_that_no_workbook_has(encoding: str) -> None:
    sheet = f'<?xml version="1.0" encoding="{encoding}"?><worksheet><sheetData>{ROW}</sheetData></worksheet>'
    with pytest.raises(WorkbookError, match="written in") as caught:
        csv_of(replaced(packed(ROW), "xl/s.xml", sheet.encode()), "S")
    assert caught.value.code == "workbook.unreadable"


@pytest.mark.parametrize("encoding", ["UTF-8", "utf-16", "ISO-8859-1"])
def test_encodings_that_workbooks_have(encoding: str) -> None:
    sheet = f'<?xml version="1.0" encoding="{encoding}"?><worksheet><sheetData>{ROW}</sheetData></worksheet>'
    assert csv_of(replaced(packed(ROW), "xl/s.xml", sheet.encode(encoding)), "S") == "h\n"


def replaced(content: bytes, part: str, data: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A workbook with another part in one's place."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name == part else old.read(name), kind if name == part else None)
    return out.getvalue()


def test_parts_that_do_not_unpack() -> None:
    whole = replaced(packed(ROW), "xl/s.xml", ROW.encode() * 50, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        at = file.getinfo("xl/s.xml").header_offset
    packed_at = at + 30 + len("xl/s.xml") + 4 + 5  # behind the part's head and the packer's settings
    with pytest.raises(WorkbookError, match=r"s\.xml is damaged"):
        csv_of(whole[:packed_at] + b"\xff" * 20 + whole[packed_at + 20 :], "S")
    name_at = at + 30
    utf8 = whole[: at + 6] + b"\x00\x08" + whole[at + 8 : name_at] + b"\xff" + whole[name_at + 1 :]
    with pytest.raises(WorkbookError, match=r"s\.xml is damaged"):
        csv_of(utf8, "S")


def long_ended(monkeypatch: pytest.MonkeyPatch, comment: bytes = b"") -> bytes:
    """A workbook with the record that packages of more than 4 GiB have; Java's writers add it to small ones too."""
    out = io.BytesIO(packed(ROW))
    with monkeypatch.context() as patch, zipfile.ZipFile(out, "a") as file:
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
        for i in range(70 if comment else 1):
            info = zipfile.ZipInfo(f"{i}.xml")
            info.comment = comment
            file.writestr(info, b"")
        file.close()
    return out.getvalue()


def test_the_long_record_of_a_package_is_understood_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = long_ended(monkeypatch)
    assert whole[-42:-38] == b"PK\x06\x07"
    assert csv_of(whole, "S") == "h\n"
    large = long_ended(monkeypatch, b"x" * 65_535)
    hidden = large[:-10] + (100).to_bytes(4, "little") + large[-6:]
    with pytest.raises(WorkbookError, match="too many parts"):
        csv_of(hidden, "S")
    elsewhere = whole[:-34] + (0).to_bytes(8, "little") + whole[-26:]
    with pytest.raises(WorkbookError, match="damaged at its end"):
        csv_of(elsewhere, "S")


def test_formats_are_looked_at_once_and_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shape_of(200, "[" * 200_000) is Shape.NUMBER
    seen: list[int] = []
    monkeypatch.setattr(
        "connectors.xlsx.workbook.shape_of", lambda number, code: (seen.append(number), shape_of(number, code))[1]
    )
    styles = '<numFmts><numFmt numFmtId="200" formatCode="yyyy"/></numFmts><cellXfs>'
    styles += '<xf numFmtId="0"/>' + '<xf numFmtId="200"/>' * 50 + "</cellXfs>"
    assert cell('<c s="50"><v>1</v></c>', styles=styles) == "1900-01-01"
    assert seen == [0, 200]


@given(st.data())
def test_a_damaged_workbook_is_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    whole = packed('<row><c t="s"><v>0</v></c></row><row><c><v>1</v></c></row>', shared="<si><t>h</t></si>")
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    try:
        csv_of(damaged, "S")
    except WorkbookError as error:
        assert error.code.startswith("workbook.")
