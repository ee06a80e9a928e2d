"""A range of a CSV cut into blocks of whole records, and the places where a file may be cut into ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from connectors.csv import problems
from connectors.csv.quotes import (
    Positions,
    State,
    as_array,
    first_record_end,
    last_record_end,
    misplaced_close,
    scan,
)
from connectors.csv.stream import CsvStream
from connectors.files import Reader

BLOCK = 4 << 20  # large enough for the parser's full speed, small enough for a few per thread
_FIRST_BLOCK = 1 << 18  # who looks at the first rows only should not wait for a large block of them
MAX_RECORD = 64 << 20
_SCAN_BLOCK = 1 << 18  # stays in the processor's cache
_SEARCH_BLOCK = 1 << 14
_NO_QUOTES: Positions = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Block:
    """Whole records; ``offset`` is their place in the stream. ``data`` holds until the next block is asked
    for."""

    offset: int
    data: memoryview
    quoted: bool


def record_blocks(stream: CsvStream, delimiter: str, start: int, end: int | None) -> Iterator[Block]:
    """The blocks of ``[start, end)``, whose borders are record borders; ``end`` None reads to the end.

    Raises ConnectorError for quotes that never close, text after a closing quote, and endless records.
    """
    mark, offset, kept, reach = ord(delimiter), start, 0, min(_FIRST_BLOCK, BLOCK)
    buffer = bytearray(BLOCK)  # one for all blocks: fresh memory for each would cost more than finding the records
    with stream.open_at(start, end) as reader:
        while True:
            room = reach if end is None else min(reach, end - offset)
            size = kept + _fill(reader, memoryview(buffer)[kept:room])
            last = size < reach
            quotes, inside = _quotes(buffer, size, mark)
            cut = size if last else last_record_end(buffer, size, quotes)
            if cut:
                block = Block(offset, memoryview(buffer)[:cut], quotes.size > 0)
                _check(stream, mark, block, buffer, quotes)
                if last and inside:
                    raise problems.unclosed(stream.file.shown, stream.line_at(offset + int(quotes[-1])))
                yield block
            if last:
                return
            offset, kept = offset + cut, size - cut
            _check_length(stream, offset, kept, quotes, inside)
            if cut or reach == len(buffer):
                buffer = _moved(buffer, cut, kept)
            reach = min(2 * reach, len(buffer))


def _fill(reader: Reader, room: memoryview) -> int:
    """Read until the room is full or the file ends."""
    have = 0
    while have < len(room) and (count := reader.readinto(room[have:])):
        have += count
    return have


def _moved(buffer: bytearray, cut: int, kept: int) -> bytearray:
    """A buffer that begins with the bytes behind the cut: the same one, or twice as large when nothing was
    cut.

    Doubling keeps the work on one long record linear.
    """
    if cut == 0:
        return buffer + bytearray(len(buffer))
    fits = len(buffer) == BLOCK or kept * 2 > BLOCK
    target = buffer if fits else bytearray(BLOCK)
    target[:kept] = buffer[cut : cut + kept]
    return target


def _quotes(buffer: bytearray, size: int, mark: int) -> tuple[Positions, bool]:
    if buffer.find(b'"', 0, size) < 0:  # the common case, at the speed of memchr
        return _NO_QUOTES, False
    found = scan(as_array(buffer)[:size], State(), mark)
    return found.quotes, found.after.inside


def _check(stream: CsvStream, mark: int, block: Block, buffer: bytearray, quotes: Positions) -> None:
    """Refuse what Arrow would accept: text after a closing quote, and NUL."""
    size = len(block.data)
    within = quotes[: int(np.searchsorted(quotes, size))]
    wrong = misplaced_close(as_array(block.data), within, mark) if within.size else None
    if wrong is not None:
        raise problems.text_after_quote(stream.file.shown, stream.line_at(block.offset + wrong))
    place = buffer.find(b"\0", 0, size)
    if place >= 0:
        raise problems.nul(stream.file.shown, stream.line_at(block.offset + place), block.offset + place)


def _check_length(stream: CsvStream, offset: int, kept: int, quotes: Positions, inside: bool) -> None:
    if kept < MAX_RECORD:
        return
    if inside:
        raise problems.unclosed(stream.file.shown, stream.line_at(offset + int(quotes[-1])))
    raise problems.too_long(stream.file.shown, stream.line_at(offset), MAX_RECORD)


def record_borders(stream: CsvStream, delimiter: str, start: int, targets: Sequence[int]) -> list[int]:
    """For each target (ascending offsets) the first record border at or after it, without repeats.

    One pass over the bytes up to the last target: a place cannot tell by itself whether it lies inside
    quotes, but the quotes before it can. Targets behind the last border give nothing.
    """
    mark, at, state = ord(delimiter), start, State()
    borders: list[int] = []
    with stream.open_at(start) as opened:
        reader = _Rereader(opened)
        for target in targets:
            if target <= at:
                continue
            at, state = _advance(reader, mark, at, target - 1, state)
            border = _search(reader, mark, at, state)
            if border is None:
                break
            borders.append(border)
            at, state = border, State()
    return borders


class _Rereader:
    """A reader that takes bytes back, to be read again."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._back = b""

    def read(self, size: int, /) -> bytes:
        if not self._back:
            return self._inner.read(size)
        data, self._back = self._back[:size], self._back[size:]
        return data

    def take_back(self, data: bytes) -> None:
        self._back = data + self._back


def _advance(reader: _Rereader, mark: int, at: int, to: int, state: State) -> tuple[int, State]:
    """Read on to ``to``, keeping track of quotes."""
    while at < to and (data := reader.read(min(_SCAN_BLOCK, to - at))):
        state = scan(as_array(data), state, mark).after
        at += len(data)
    return at, state


def _search(reader: _Rereader, mark: int, at: int, state: State) -> int | None:
    """The first record border from ``at`` on, where reading then stands; None at the end of the file."""
    while data := reader.read(_SEARCH_BLOCK):
        array = as_array(data)
        found = scan(array, state, mark)
        place = first_record_end(array, found.quotes, state.inside)
        if place is not None:
            reader.take_back(data[place:])
            return at + place
        at += len(data)
        state = found.after
    return None
