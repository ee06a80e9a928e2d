"""An exact, slow reader of CSV records over bytes: for headers, samples, and blocks that need a close
look."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One record. ``start`` and ``end`` are its place in the data, the line end included."""

    start: int
    end: int
    fields: tuple[bytes, ...]


class MalformedRecord(ValueError):
    """A quoted field at ``offset`` is not closed (``unclosed``), or text follows its closing quote."""

    def __init__(self, offset: int, unclosed: bool) -> None:
        super().__init__(offset, unclosed)
        self.offset = offset
        self.unclosed = unclosed


@functools.lru_cache(maxsize=8)
def _field(delimiter: bytes) -> re.Pattern[bytes]:
    mark = re.escape(delimiter)
    return re.compile(rb'(?:"((?:[^"]++|"")*+)"|(?!")([^' + mark + rb"\r\n]*+))(" + mark + rb"|\r\n?|\n|\Z)")


def records(data: bytes, delimiter: bytes, start: int = 0) -> Iterator[Record]:
    """The records from ``start`` on; blank lines are no records. The last one may lack its line end.

    Raises MalformedRecord.
    """
    pattern = _field(delimiter)
    at = begin = start
    fields: list[bytes] = []
    while at < len(data) or fields:
        if not fields and data[at] in b"\r\n":
            at = begin = at + 1
            continue
        found = pattern.match(data, at)
        if found is None:
            closed = re.compile(rb'"(?:[^"]++|"")*+"').match(data, at)
            raise MalformedRecord(at, unclosed=closed is None)
        quoted, plain, end = found.groups()
        fields.append(plain if quoted is None else quoted.replace(b'""', b'"'))
        at = found.end()
        if end != delimiter:
            yield Record(begin, at, tuple(fields))
            fields = []
            begin = at


def line_ends(data: bytes) -> int:
    """How many line ends (``\\n``, ``\\r``, or both as one) the data has, inside quotes too."""
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
