"""Workbooks: their sheets, and one of them turned into an uploaded CSV. The workbook itself is not kept."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from typing import Any

from recipe import KallaError
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.objects import SUFFIXES, Upload, check_filename, check_session
from webapp.services import invalid_body, note
from webapp.services.previews import turn
from webapp.services.uploads import look

SUFFIX = ".xlsx"
_LONGEST_STEM, _LONGEST_SHEET = 120, 40
_BLOCK = 1 << 20
_AT_ONCE = 2  # each keeps a core busy for as long as it is large
_WAIT_SECONDS = 20.0
_TURNS = threading.BoundedSemaphore(_AT_ONCE)


def is_workbook(filename: str) -> bool:
    """Whether a file of this name is taken for a workbook."""
    return filename.lower().endswith(SUFFIX)


def take_workbook(
    app: Kalla, filename: str, session_id: str, sheet: str | None, read: Callable[[int], bytes]
) -> dict[str, Any]:
    """``{filename, sheets, sheet, upload}`` of a workbook that ``read`` gives.

    Each sheet is ``{name, state}``. ``sheet`` is the one that was turned into a CSV: the one that was asked for, else
    the only visible one; None, with ``upload`` None, where there is a choice. ``upload`` is ``{upload_id, filename,
    s3_uri, columns, row_count, sample, holds}``, ``holds`` the kinds of each column's cells.

    Raises ServiceError ``request.invalid_body``, ``upload.*``, ``source.busy``; WorkbookError ``workbook.*``.
    """
    from connectors import open_workbook  # brings Arrow, which the first page should not wait for

    _check(filename, session_id)
    with tempfile.TemporaryFile() as file, turn(_TURNS, _WAIT_SECONDS):
        most = app.settings.max_workbook_bytes
        _receive(file, read, most)
        with open_workbook(file, most) as book:
            sheets = [{"name": one.name, "state": one.state} for one in book.sheets]
            visible = [one.name for one in book.sheets if one.state == "visible"]
            chosen = sheet or (visible[0] if len(visible) == 1 else None)
            upload = None if chosen is None else _as_upload(app, book, chosen, filename, session_id)
    return {"filename": filename, "sheets": sheets, "sheet": chosen, "upload": upload}


def _check(filename: str, session_id: str) -> None:
    if not check_session(session_id):
        raise invalid_body(("session_id", "must be 1 to 64 letters, digits, '_' or '-'"))
    if not is_workbook(filename):
        raise ServiceError(
            "Only workbooks are taken here.",
            code="upload.unsupported_type",
            hint=f"The name must end in {SUFFIX}; files ending in {' or '.join(SUFFIXES)} have a link of their own.",
        )
    check_filename(_csv_name(filename, ""))


def _receive(file: Any, read: Callable[[int], bytes], most: int) -> None:
    size = 0
    while block := read(_BLOCK):
        size += len(block)
        if size > most:
            raise ServiceError(
                f"The workbook is larger than {most:,} bytes.",
                code="upload.too_large",
                hint="Export the sheet as CSV, or raise KALLA_MAX_WORKBOOK_BYTES.",
            )
        file.write(block)


def _as_upload(app: Kalla, book: Any, sheet: str, filename: str, session_id: str) -> dict[str, Any]:
    from connectors import SheetTable

    table = SheetTable(book, sheet)
    upload = Upload.new(session_id, _csv_name(filename, sheet), is_sheet=True)
    app.objects.write(upload, table.read, None)
    try:
        found = look(app, upload)
    except KallaError:
        _forget(app, upload)
        raise
    note(app, "upload.workbook", upload.upload_id, filename=filename, sheet=sheet, row_count=found["row_count"])
    uri = upload.uri(app.settings.uploads_bucket)
    return {"upload_id": upload.upload_id, "filename": upload.filename, "s3_uri": uri, **found, "holds": table.holds}


def _forget(app: Kalla, upload: Upload) -> None:
    """A CSV that cannot be read, such as one with a name twice in its header, is no upload."""
    for kept in app.objects.kept():
        if kept.upload == upload:
            app.objects.remove(kept)


def _csv_name(filename: str, sheet: str) -> str:
    """``Ledger 2026.xlsx`` and its sheet ``March`` -> ``Ledger 2026 - March.csv``."""
    stem = filename[: -len(SUFFIX)][:_LONGEST_STEM]
    kept = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "-" for c in sheet)[:_LONGEST_SHEET].strip()
    return f"{stem} - {kept}.csv" if kept else f"{stem}.csv"
