"""The zip around a workbook and its parts: opened with care, since a small file can unpack to any size.

Parts are parsed as they are unpacked; declarations that XML bombs are made of are refused.
"""

from __future__ import annotations

import lzma
import struct
import xml.parsers.expat as expat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from posixpath import join, normpath
from typing import IO

from connectors.xlsx.errors import WorkbookError, too_large, unreadable

_PIECE = 1 << 16
_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
# Large packages, and those of some programs, have a longer record before that, which a locator between them names.
_LOCATOR, _LOCATOR_SIZE = b"PK\x06\x07", 20
_LONG_END, _LONG_END_SIZE = b"PK\x06\x06", 56
_LARGEST_DIRECTORY = 4 * 1024 * 1024
_OLD = b"\xd0\xcf\x11\xe0"  # Excel before 2007, and files encrypted with a password
_ENCODINGS = ("utf-8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "iso-8859-1")  # those that the parser itself knows
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, ValueError),
)  # what zipfile raises
Attributes = Mapping[str, str]


class Package:
    """The parts of an open workbook. ``most`` bounds what is unpacked from it in all, in bytes."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        _check_outside(file, most)
        try:
            self._zip = zipfile.ZipFile(file)
        except _DAMAGE as error:
            raise unreadable("it is damaged") from error
        self._names = {name.lower(): name for name in self._zip.namelist()}
        self._most = self._left = most

    def __contains__(self, part: str) -> bool:
        return part.lower() in self._names

    def pieces(self, part: str) -> Iterator[bytes]:
        """The unpacked bytes of a part. Raises WorkbookError."""
        try:
            with self._zip.open(self._names[part.lower()]) as stream:
                while piece := stream.read(_PIECE):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise too_large(self._most)
                    yield piece
        except KeyError:
            raise unreadable(f"its part {part} is missing") from None
        except _DAMAGE as error:
            raise unreadable(f"its part {part} is damaged or encrypted") from error

    def parse(self, part: str, start: Callable[[str, Attributes], None], **more: Callable[..., None]) -> Iterator[None]:
        """Feed a part to a parser, pausing after each piece. ``start`` gets every element's plain name and attributes;
        ``end`` and ``text`` may be given too. Raises WorkbookError."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, attributes: start(_plain(name), attributes)
        if "end" in more:
            parser.EndElementHandler = lambda name: more["end"](_plain(name))
        if "text" in more:
            parser.CharacterDataHandler = more["text"]
        parser.StartDoctypeDeclHandler = _refused
        parser.XmlDeclHandler = _check_encoding
        try:
            for piece in self.pieces(part):
                parser.Parse(piece, False)
                yield
            parser.Parse(b"", True)
            yield
        except expat.ExpatError as error:
            raise unreadable(f"its part {part} is no XML, in line {error.lineno}") from None

    def elements(self, part: str) -> list[tuple[str, Attributes]]:
        """Name and attributes of every element of a small part, in order. Raises WorkbookError."""
        found: list[tuple[str, Attributes]] = []
        for _ in self.parse(part, lambda name, attributes: found.append((name, attributes))):
            if len(found) > 1_000_000:
                raise unreadable(f"its part {part} has too many elements")
        return found

    def related(self, part: str) -> dict[str, tuple[str, str]]:
        """What a part refers to: id -> the last word of its kind, and the other part's name. Raises WorkbookError."""
        folder, _, name = part.rpartition("/")
        listed = f"{folder}/_rels/{name}.rels".lstrip("/")
        if listed not in self:
            return {}
        found = {}
        for element, at in self.elements(listed):
            if element == "Relationship" and at.get("TargetMode") != "External":
                target = at.get("Target", "")
                path = target if target.startswith("/") else join(folder, target)
                found[at.get("Id", "")] = (at.get("Type", "").rpartition("/")[2], normpath(path).lstrip("/"))
        return found


def _plain(name: str) -> str:
    return name.rpartition(":")[2]


def _refused(*_: object) -> None:
    raise unreadable("it declares types of its own")


def _check_encoding(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in _ENCODINGS:
        raise unreadable(f"it is written in {encoding[:40]!r}, which workbooks are not")


def _check_outside(file: IO[bytes], most: int) -> None:
    """Raises WorkbookError for what is no zip, and for one whose list of parts alone would fill the memory."""
    size = file.seek(0, 2)
    if size > most:
        raise too_large(most)
    file.seek(0)
    if file.read(4) == _OLD:
        raise WorkbookError(
            "The workbook is protected by a password, or of Excel's old format.",
            code="workbook.protected",
            hint="Open it, save it as .xlsx without a password, and try again.",
        )
    begin = max(0, size - _END_SIZE - _LONGEST_COMMENT - _LOCATOR_SIZE - _LONG_END_SIZE)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise unreadable("it is no zip file")
    if _directory_size(tail, at, begin) > _LARGEST_DIRECTORY:
        raise unreadable("it has too many parts")


def _directory_size(tail: bytes, at: int, begin: int) -> int:
    """The size of the list of parts, by the record that zipfile goes by. ``at`` is the place of the last record in
    ``tail``, ``begin`` that of ``tail`` in the file. Raises WorkbookError."""
    locator = at - _LOCATOR_SIZE
    if locator < 0 or not tail.startswith(_LOCATOR, locator):
        return int(struct.unpack_from("<L", tail, at + 12)[0])
    long_end = locator - _LONG_END_SIZE
    named = struct.unpack_from("<Q", tail, locator + 8)[0]
    if long_end < 0 or not tail.startswith(_LONG_END, long_end) or named != begin + long_end:
        raise unreadable("it is damaged at its end")
    return int(struct.unpack_from("<Q", tail, long_end + 40)[0])
