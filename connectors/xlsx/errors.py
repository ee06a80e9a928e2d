"""What can be wrong with a workbook; codes ``workbook.*``."""

from __future__ import annotations

from typing import ClassVar

from connectors.errors import SourceDataError


class WorkbookError(SourceDataError):
    """A workbook, a sheet or a cell that cannot be taken over as it is."""

    default_code: ClassVar[str] = "workbook.unreadable"


def unreadable(why: str) -> WorkbookError:
    return WorkbookError(f"The file is no workbook that can be read: {why}.", hint="Save it again as .xlsx.")


def too_large(most: int) -> WorkbookError:
    return WorkbookError(
        f"The workbook is larger than {most:,} bytes, packed or unpacked.",
        code="workbook.too_large",
        hint="Export the sheet as CSV, or raise KALLA_MAX_WORKBOOK_BYTES.",
    )


def bad_cell(sheet: str, cell: str, why: str, code: str = "workbook.bad_cell") -> WorkbookError:
    return WorkbookError(
        f"Cell {cell} of the sheet {sheet!r} {why}.",
        code=code,
        hint="Correct the cell, save the workbook and try again.",
    )
