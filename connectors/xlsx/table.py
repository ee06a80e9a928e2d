"""A sheet as a CSV: the first row that holds anything is the header, rows without any value are left out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.xlsx.errors import WorkbookError, bad_cell
from connectors.xlsx.workbook import Cell, Row, Workbook

_BLOCK = 1 << 18


@dataclass
class SheetTable:
    """A sheet on its way to a CSV: ``read`` gives its bytes as a file does. What was met on the way stands in
    ``holds``: for each column of ``header`` the kinds of its cells, in the order in which they came."""

    book: Workbook
    sheet: str
    header: list[str] = field(default_factory=list)
    holds: list[list[str]] = field(default_factory=list)
    rows: int = 0

    def __post_init__(self) -> None:
        self._blocks = self._encoded()
        self._rest = b""

    def read(self, size: int) -> bytes:
        """The next bytes, b"" at the end. Raises WorkbookError."""
        while len(self._rest) < size:
            block = next(self._blocks, None)
            if block is None:
                break
            self._rest += block
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _encoded(self) -> Iterator[bytes]:
        text = io.StringIO()
        # A quoted text is what it is also to a reader that looks for the delimiter, or takes CR for a line's end.
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for cells in self._lines():
            writer.writerow(cells)
            if text.tell() >= _BLOCK:
                yield _taken(text)
        yield _taken(text)

    def _lines(self) -> Iterator[list[str]]:
        first = 0
        for row in self.book.rows(self.sheet):
            if not self.header:
                first, last = min(row), max(row)
                self.header = [row[c].text if c in row else "" for c in range(first, last + 1)]
                self.holds = [[] for _ in self.header]
                yield self.header
            else:
                yield self._line(row, first)
        if not self.header:
            raise WorkbookError(
                f"The sheet {self.sheet!r} is empty.",
                code="workbook.empty_sheet",
                hint="Choose another sheet; its first row must hold the names of the columns.",
            )

    def _line(self, row: Row, first: int) -> list[str]:
        self.rows += 1
        line = [""] * len(self.header)
        for column, cell in row.items():
            if not 0 <= column - first < len(line):
                raise bad_cell(
                    self.sheet,
                    cell.place,
                    "stands beside the columns that the first row names",
                    "workbook.beside_header",
                )
            line[column - first] = cell.text
            self._note(self.holds[column - first], cell)
        return line

    @staticmethod
    def _note(kinds: list[str], cell: Cell) -> None:
        if cell.holds not in kinds:
            kinds.append(str(cell.holds))


def _taken(text: io.StringIO) -> bytes:
    data = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return data
