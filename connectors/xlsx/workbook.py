"""A workbook's sheets and the rows of one of them. Memory holds a row at a time, and 8 bytes for each shared text.

with open_workbook(file, most=500_000_000) as book:
    print([sheet.name for sheet in book.sheets])
    for row in book.rows("Ledger"):
        ...
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from connectors.xlsx.errors import WorkbookError, bad_cell, unreadable
from connectors.xlsx.package import Attributes, Package
from connectors.xlsx.values import Shape, date_text, number_text, plain_text, shape_of

MOST_COLUMNS = 16_384
LONGEST_TEXT = 1 << 20  # Excel's own limit is 32,767 characters
LONGEST_ROW = 1 << 24  # characters: many cells of a row may refer to one long text
_TRUTH = {"1": "true", "true": "true", "0": "false", "false": "false"}


@dataclass(frozen=True)
class Sheet:
    """``state`` is ``visible``, ``hidden`` or ``veryHidden``, as the workbook calls it."""

    name: str
    state: str
    part: str


@dataclass(frozen=True)
class Cell:
    """``holds`` is what the cell is: a Shape's word, ``text`` or ``boolean``. ``place`` is such as B7."""

    text: str
    holds: str
    place: str


Row = dict[int, Cell]  # by column, from 0; cells that are empty are left out


@dataclass(frozen=True)
class _Stored:
    """A cell as its part of the workbook has it: ``kind`` and ``style`` as there, ``value`` not yet looked up."""

    kind: str
    style: str | None
    value: str
    column: int
    line: int

    @property
    def place(self) -> str:
        return f"{column_name(self.column)}{self.line + 1}"


class Workbook:
    """See ``open_workbook``."""

    def __init__(self, package: Package, texts: IO[bytes]) -> None:
        self._package, self._texts = package, texts
        self._ends: array[int] | None = None
        main = next((part for kind, part in package.related("").values() if kind == "officeDocument"), "")
        if not main or main not in package:
            raise unreadable("there is no workbook in it")
        self._parts = package.related(main)
        self._from_1904 = self.is_to_be_calculated = False
        self.sheets = tuple(self._listed(main))
        self._shapes = self._styles()

    def _listed(self, main: str) -> Iterator[Sheet]:
        for name, at in self._package.elements(main):
            if name == "workbookPr":
                self._from_1904 = at.get("date1904") in ("1", "true")
            elif name == "calcPr":
                self.is_to_be_calculated = at.get("fullCalcOnLoad") in ("1", "true")
            elif name == "sheet":
                link = next((value for key, value in at.items() if key.rpartition(":")[2] == "id"), "")
                kind, part = self._parts.get(link, ("", ""))
                if kind == "worksheet":  # sheets of charts hold no cells
                    yield Sheet(at.get("name", ""), at.get("state", "visible"), part)

    def _part(self, wanted: str) -> str | None:
        return next((part for kind, part in self._parts.values() if kind == wanted and part in self._package), None)

    def _styles(self) -> list[Shape]:
        part = self._part("styles")
        codes: dict[int, str] = {}
        known: dict[int, Shape] = {}
        shapes: list[Shape] = []
        inside = False
        for name, at in self._package.elements(part) if part else ():
            if name == "numFmt":
                codes[_whole(at.get("numFmtId", "0"))] = at.get("formatCode", "")
            elif name in ("cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
                inside = name == "cellXfs"
            elif name == "xf" and inside:
                number = _whole(at.get("numFmtId", "0"))
                if number not in known:
                    known[number] = shape_of(number, codes.get(number))
                shapes.append(known[number])
        return shapes or [Shape.NUMBER]

    def rows(self, name: str) -> Iterator[Row]:
        """The rows of a sheet that hold anything, from the top. Raises WorkbookError, also on the way."""
        sheet = next((one for one in self.sheets if one.name == name), None)
        if sheet is None:
            raise WorkbookError(
                f"There is no sheet {name[:100]!r} in the workbook.",
                code="workbook.unknown_sheet",
                hint=f"Its sheets are {', '.join(repr(one.name) for one in self.sheets[:10])}.",
            )
        if self._ends is None:
            self._ends = self._kept_texts()
        reader = _SheetReader(self, sheet.name)
        parse = self._package.parse(sheet.part, reader.start, end=reader.end, text=reader.text)
        for _ in parse:
            yield from reader.taken()

    def _kept_texts(self) -> array[int]:
        """All shared texts written to disk, and where each ends."""
        ends, part = array("Q"), self._part("sharedStrings")
        if part is None:
            return ends
        reader = _TextReader()
        place = 0
        for _ in self._package.parse(part, reader.start, end=reader.end, text=reader.text):
            for text in reader.taken():
                data = text.encode("utf-8", "replace")
                place += self._texts.write(data)
                ends.append(place)
        self._texts.flush()
        return ends

    def shared(self, index: int) -> str:
        """A shared text by its number. Raises ValueError."""
        assert self._ends is not None
        if not 0 <= index < len(self._ends):
            raise ValueError("refers to a text that is not there")
        start = self._ends[index - 1] if index else 0
        self._texts.seek(start)
        return self._texts.read(self._ends[index] - start).decode()

    def shape(self, style: str | None) -> Shape:
        """How a cell of this style shows its number. Raises ValueError."""
        index = _whole(style or "0")
        if not 0 <= index < len(self._shapes):
            raise ValueError("has a format that the workbook does not define")
        return self._shapes[index]

    def date_text(self, stored: str, shape: Shape) -> str:
        """See ``values.date_text``."""
        return date_text(stored, shape, self._from_1904)


@contextmanager
def open_workbook(file: IO[bytes], most: int) -> Iterator[Workbook]:
    """A workbook in a seekable file.

    ``most`` bounds the file, and what is unpacked from it in all, in bytes. Raises WorkbookError
    ``workbook.unreadable``, ``workbook.protected``, ``workbook.too_large``.
    """
    with tempfile.TemporaryFile() as texts:
        yield Workbook(Package(file, most), texts)


class _TextReader:
    """Collects the texts of ``si`` elements: runs joined, pronunciations left out."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._runs: list[str] | None = None
        self._length = 0
        self._in_text = self._in_sound = False

    def start(self, name: str, _: Attributes) -> None:
        if name == "si":
            self._runs, self._length = [], 0
        elif name == "rPh":
            self._in_sound = True
        elif name == "t":
            self._in_text = not self._in_sound

    def end(self, name: str) -> None:
        if name == "si":
            self._done.append(plain_text("".join(self._runs or ())))
            self._runs = None
        elif name == "rPh":
            self._in_sound = False
        elif name == "t":
            self._in_text = False

    def text(self, data: str) -> None:
        if self._in_text and self._runs is not None:
            self._length += len(data)
            if self._length > LONGEST_TEXT:
                raise unreadable("it holds a text that is too long")
            self._runs.append(data)

    def taken(self) -> Sequence[str]:
        done, self._done = self._done, []
        return done


class _SheetReader:
    """Collects the rows of a sheet's part as they are stored; ``taken`` looks their texts up, a row at a time."""

    def __init__(self, book: Workbook, sheet: str) -> None:
        self._book, self._sheet = book, sheet
        self._done: list[list[_Stored]] = []
        self._row: list[_Stored] = []
        self._line = self._column = -1
        self._at: Attributes = {}
        self._value: list[str] | None = None
        self._length = self._row_length = 0
        self._has_formula = self._is_read = self._in_sound = False

    def taken(self) -> Iterator[Row]:
        done, self._done = self._done, []
        for stored in done:
            row: Row = {}
            length = 0
            for one in stored:
                cell = self._cell(one)
                length = self._checked_length(one.place, length + len(cell.text))
                if cell.text:
                    row[one.column] = cell
            if row:
                yield row

    def start(self, name: str, at: Attributes) -> None:
        if name == "row":
            given = at.get("r")
            self._line = int(given) - 1 if given and given.isdecimal() and len(given) < 10 else self._line + 1
            self._row, self._row_length, self._column = [], 0, -1
        elif name == "c":
            self._at, self._value, self._length, self._has_formula = at, None, 0, False
            self._column = _column_of(at.get("r"), self._column + 1)
            if self._column >= MOST_COLUMNS:
                raise bad_cell(self._sheet, self._place, "stands beyond the last column that a sheet has")
        elif name == "f":
            self._has_formula = True
        elif name == "rPh":
            self._in_sound = True
        elif name in ("v", "t") and not self._in_sound:
            self._value = self._value or []
            self._is_read = True

    def end(self, name: str) -> None:
        if name == "row":
            if self._row:
                self._done.append(self._row)
        elif name == "c":
            self._finish()
        elif name == "rPh":
            self._in_sound = False
        elif name in ("v", "t"):
            self._is_read = False

    def text(self, data: str) -> None:
        if self._is_read and self._value is not None:
            self._length += len(data)
            if self._length > LONGEST_TEXT:
                raise bad_cell(self._sheet, self._place, "holds a text that is too long")
            self._value.append(data)

    @property
    def _place(self) -> str:
        return f"{column_name(self._column)}{self._line + 1}"

    def _checked_length(self, place: str, length: int) -> int:
        if length > LONGEST_ROW:
            raise bad_cell(self._sheet, place, f"stands in a row of more than {LONGEST_ROW:,} characters")
        return length

    def _finish(self) -> None:
        value, kind = "".join(self._value or ()), self._at.get("t", "n")
        if self._has_formula and not self._is_calculated(kind, value):
            raise bad_cell(
                self._sheet, self._place, "holds a formula that was never calculated", "workbook.not_calculated"
            )
        if self._value is not None:
            self._row_length = self._checked_length(self._place, self._row_length + len(value))
            self._row.append(_Stored(kind, self._at.get("s"), value, self._column, self._line))

    def _is_calculated(self, kind: str, value: str) -> bool:
        """Whether a formula's cell has its result. One that is an empty text says so; the 0 of a workbook that asks to
        be calculated when it is opened stands for any result."""
        if kind == "str":
            return self._value is not None
        is_zero = kind == "n" and not value.strip().strip("0.")
        return bool(value.strip()) and not (is_zero and self._book.is_to_be_calculated)

    def _cell(self, one: _Stored) -> Cell:
        try:
            text, holds = self._read(one)
        except ValueError as error:
            raise bad_cell(self._sheet, one.place, str(error)) from None
        return Cell(text, holds, one.place)

    def _read(self, one: _Stored) -> tuple[str, str]:
        """Text and what it is. Raises ValueError, and WorkbookError for a cell that shows an error."""
        kind, value = one.kind, one.value
        if kind == "s":
            return self._book.shared(_whole(value)), "text"
        if kind in ("str", "inlineStr"):
            return plain_text(value), "text"
        if kind == "b":
            if value.strip() not in _TRUTH:
                raise ValueError("is neither true nor false")
            return _TRUTH[value.strip()], "boolean"
        if kind == "e":
            raise bad_cell(self._sheet, one.place, f"holds the error {value[:20]}", "workbook.error_cell")
        if kind == "d":
            return value.strip(), Shape.DATE if len(value.strip()) == 10 else Shape.MOMENT
        if not value.strip():
            return "", "text"
        shape = self._book.shape(one.style)
        if shape in (Shape.NUMBER, Shape.PERCENT):
            return number_text(value), shape
        return self._book.date_text(value, shape), shape


def _whole(text: str) -> int:
    """Raises WorkbookError."""
    if not (text.strip().isascii() and text.strip().isdigit() and len(text) < 12):
        raise unreadable(f"{text[:20]!r} stands where a number belongs")
    return int(text)


def _column_of(place: str | None, following: int) -> int:
    """The column that a place such as AB12 names, from 0; ``following`` where a cell names none."""
    if not place:
        return following
    column = 0
    letters = place.rstrip("0123456789").upper()
    if not 1 <= len(letters) <= 3 or not all("A" <= letter <= "Z" for letter in letters):
        raise unreadable(f"{place[:20]!r} is no place of a cell")
    for letter in letters:
        column = column * 26 + ord(letter) - 64
    return column - 1


def column_name(column: int) -> str:
    """The letters of a column, from 0: 0 is A, 26 is AA."""
    name, column = "", column + 1
    while column > 0:
        column, letter = divmod(column - 1, 26)
        name = chr(65 + letter) + name
    return name
