"""What inference may know of the two sources: a bounded number of rows of each, and how they hang together.

Reading and analysing takes up to a second; what was found is kept for the conversations at work, and found again when
it is gone or a file has changed.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from recipe import CsvFormat, KallaError, Kind, parse_filters, write_json
from webapp.context import Kalla
from webapp.inference import Analysis, Table, analyse, profile, settled_format
from webapp.services.addresses import Opened, open_source
from webapp.services.findings import Findings

log = logging.getLogger(__name__)

MOST_ROWS = 6_000  # of a side; learning a rule from more takes longer than a person waits
MOST_BYTES = 24 << 20  # of a side
PARTS = 8  # places of a long source that rows are read from
_STEP = 512
_TABLES, _PAIRS = Findings("table", 6), Findings("pair", 3)
_AHEAD = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class SourceRef:
    """Where the rows of a side are. ``uri`` may hold a password; ``filters`` are conditions as documents have them."""

    alias: str
    type: str
    uri: str = field(repr=False)
    filters: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Insight:
    """Both sides. ``right`` and ``analysis`` are None while there is no right source."""

    left: Table
    right: Table | None
    analysis: Analysis | None


def for_sources(app: Kalla, left: SourceRef, right: SourceRef | None) -> Insight:
    """What is known of these sources. Raises ServiceError, ConnectorError as reading does."""
    name, one = _table(app, left)
    if right is None:
        return Insight(one, None, None)
    other_name, other = _table(app, right)
    found: Insight = _PAIRS.once(app.settings, (name, other_name), lambda: Insight(one, other, analyse(one, other)))
    return found


def look_ahead(app: Kalla, left: SourceRef, right: SourceRef | None = None) -> None:
    """Begin to find out beside the caller what somebody will ask for in a moment.

    Nothing begins while enough others are looked at. What goes wrong is not kept: whoever asks meets it and says it.
    """
    if not _AHEAD.acquire(blocking=False):
        return

    def work() -> None:
        try:
            found = for_sources(app, left, right)
            profile(found.left)
        except KallaError as error:
            log.info("a source could not be looked at ahead: %s", error.code)
        finally:
            _AHEAD.release()

    try:
        threading.Thread(target=work, name="kalla-look-ahead", daemon=True).start()
    except BaseException:
        _AHEAD.release()  # no thread came to do it
        raise


def _table(app: Kalla, ref: SourceRef) -> tuple[str, Table]:
    """The rows, and a name that no other reading has."""
    found: tuple[str, Table] = _TABLES.once(app.settings, _key(app, ref), lambda: (str(uuid.uuid4()), _read(app, ref)))
    return found


def _key(app: Kalla, ref: SourceRef) -> tuple[str, ...]:
    """What the rows depend on: address, filters, and of a file what tells its state."""
    opened = open_source(app, ref.type, ref.uri, ref.alias)
    file = getattr(opened.connector, "file", None)
    with opened.told():
        state = "" if file is None else write_json(file.identity())
    kind = "csv" if opened.is_csv else ""  # what else tells a type is in the address
    return (kind, ref.uri, write_json(list(ref.filters)), state)


def _read(app: Kalla, ref: SourceRef) -> Table:
    """Up to MOST_ROWS rows and about MOST_BYTES, all of them when they are no more, else spread over the source."""
    opened = open_source(app, ref.type, ref.uri, ref.alias)
    filters = parse_filters(list(ref.filters), "conditions").filters
    with opened.told():
        columns = opened.connector.schema()
        rows, total = _rows(opened.connector, filters)
        given = _format(opened, ref)
    kinds = tuple(Kind.TEXT if opened.is_csv else column.kind for column in columns)
    cells = [[row[at] for row in rows] for at in range(len(columns))]
    form = settled_format(cells, given) if opened.is_csv else given
    if opened.is_sheet:  # a text of it may be written otherwise, and is then a text
        form = form.model_copy(update={"decimal": ".", "thousands": ""})
    is_whole = total is not None and len(rows) == total
    return Table(tuple(c.name for c in columns), kinds, rows, form, total, is_whole)


def _rows(connector: Any, filters: Any) -> tuple[list[list[str | None]], int | None]:
    """Rows as texts, and how many there are: counted where all were read, else as the source estimates it.

    Runs of neighbouring rows at equal distances: lists of two systems are mostly in the order of time, so the same
    places of both hold records that belong together.
    """
    estimated = connector.estimated_rows()
    parts = PARTS if estimated is None or estimated > MOST_ROWS else 1
    rows: list[list[str | None]] = []
    room = MOST_BYTES
    is_cut = False
    with connector.open_snapshot() as snapshot:
        splits = connector.plan_splits(snapshot, parts)
        for number, split in enumerate(splits):
            most = (MOST_ROWS * (number + 1)) // len(splits) - len(rows)
            taken, used, is_more = _first_rows(
                connector.read(snapshot, split, filters), most, room // (len(splits) - number)
            )
            rows += taken
            room -= used
            is_cut = is_cut or is_more
    return rows, (max(estimated or 0, len(rows) + 1) if is_cut else len(rows))


def _first_rows(batches: Iterator[Any], most: int, room: int) -> tuple[list[list[str | None]], int, bool]:
    """Rows of a split, the characters they hold, and whether there are more."""
    from connectors import cell_rows

    rows: list[list[str | None]] = []
    used = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _STEP):
            if len(rows) >= most or used >= room:
                return rows, used, True
            part = batch.slice(start, min(_STEP, most - len(rows)))
            rows += cell_rows(part)
            used += part.nbytes
            if start + part.num_rows < batch.num_rows and len(rows) >= most:
                return rows, used, True
    return rows, used, False


def _format(opened: Opened, ref: SourceRef) -> CsvFormat:
    file = getattr(opened.connector, "file", None)
    if not opened.is_csv or file is None:
        return CsvFormat()
    from connectors import sniff_format

    return sniff_format(file)
