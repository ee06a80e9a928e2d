"""Workbooks that mean harm or are damaged: refused or read, in bounded memory."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import WorkbookError, open_workbook
from connectors.xlsx.values import Shape, shape_of
from tests.connectors.test_xlsx import MOST, cell, csv_of, packed


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
