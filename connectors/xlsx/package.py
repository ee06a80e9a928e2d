"""The zip around a workbook and its parts: opened with care, since a small file can unpack to any size.

Parts are parsed as they are unpacked; declarations that XML bombs are made of are refused.
"""

from __future__ import annotations

import struct
import xml.parsers.expat as expat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from posixpath import join, normpath
from typing import IO

from connectors.xlsx.errors import WorkbookError, too_large, unreadable

_PIECE = 1 << 16
_END = b"PK\x05\x06"
_END_SIZE, _LONGEST_COMMENT = 22, 65_535
_LARGEST_DIRECTORY = 4 * 1024 * 1024
_OLD = b"\xd0\xcf\x11\xe0"  # Excel before 2007, and files encrypted with a password
Attributes = Mapping[str, str]


class Package:
    """The parts of an open workbook. ``most`` bounds what is unpacked from it in all, in bytes."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        _check_outside(file, most)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
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
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
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
    file.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise unreadable("it is no zip file")
    (directory,) = struct.unpack_from("<L", tail, at + 12)
    if directory > _LARGEST_DIRECTORY:
        raise unreadable("it has too many parts")
