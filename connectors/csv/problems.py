"""The errors of a CSV's content. Each names the physical line (1-based, counted by line ends) where it
lies."""

from __future__ import annotations

from connectors.errors import SourceDataError

_CLOSE_HINT = 'Close the field with a quote, and write a quote inside a quoted field twice ("").'


def ragged(shown: str, line: int, expected: int, found: int) -> SourceDataError:
    fields = f"{found} field" if found == 1 else f"{found} fields"
    return SourceDataError(
        f"Line {line} of {shown} has {fields} where the header has {expected}.",
        code="source.csv_ragged",
        hint="Correct the line, quote fields that contain the delimiter, or set format.ragged to keep.",
    )


def unclosed(shown: str, line: int) -> SourceDataError:
    return SourceDataError(
        f"The quoted field that opens on line {line} of {shown} is never closed.",
        code="source.csv_quote",
        hint=_CLOSE_HINT,
    )


def text_after_quote(shown: str, line: int) -> SourceDataError:
    return SourceDataError(
        f"On line {line} of {shown}, text follows the closing quote of a field.",
        code="source.csv_quote",
        hint=_CLOSE_HINT,
    )


def too_long(shown: str, line: int, limit: int) -> SourceDataError:
    return SourceDataError(
        f"The record that begins on line {line} of {shown} is longer than {limit >> 20} MiB.",
        code="source.csv_record_too_long",
        hint="Look for a quote that is never closed, or line ends that are missing.",
    )


def not_text(shown: str, line: int, offset: int, encoding: str) -> SourceDataError:
    other = "utf-8" if encoding != "utf-8" else "windows-1252"
    return SourceDataError(
        f"Line {line} of {shown} (byte {offset}) is not valid {encoding}.",
        code="source.encoding",
        hint=f"Set format.encoding to the file's real encoding, for example {other}.",
    )


def nul(shown: str, line: int, offset: int) -> SourceDataError:
    return SourceDataError(
        f"Line {line} of {shown} (byte {offset}) holds a NUL character.",
        code="source.encoding",
        hint="The file is damaged, or it is UTF-16 without a mark: then set format.encoding to utf-16.",
    )


def repeated_header(shown: str, line: int, name: str) -> SourceDataError:
    return SourceDataError(
        f"The header on line {line} of {shown} has the name {_clipped(name)} more than once.",
        code="source.csv_header",
        hint="Give each column a name of its own.",
    )


def empty(shown: str) -> SourceDataError:
    return SourceDataError(
        f"{shown} is empty: not even a header is there.",
        code="source.empty_file",
        hint="Export the file again; a file without rows still needs its header.",
    )


def bad_gzip(shown: str) -> SourceDataError:
    return SourceDataError(
        f"{shown} is no complete gzip file.", hint="Copy or compress the file again; it may be cut off."
    )


def not_parsed(shown: str, line: int) -> SourceDataError:
    return SourceDataError(
        f"The part of {shown} that begins on line {line} could not be parsed.",
        hint="Check delimiter and quotes there.",
    )


def _clipped(name: str) -> str:
    return repr(name if len(name) <= 100 else name[:100] + "…")
