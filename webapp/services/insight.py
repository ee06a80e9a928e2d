"""What inference may know of the two sources: a bounded number of rows of each, and how they hang together.

Reading and analysing takes a second; what was found is kept in memory for the conversations at work, and found again
when it is gone or a file has changed.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recipe import CsvFormat, Kind, parse_filters, write_json
from webapp.context import Kalla
from webapp.inference import Analysis, Table, analyse, settled_format
from webapp.services.addresses import Opened, open_source

MOST_ROWS = 20_000
KEPT = 6
_SECONDS = 600.0


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
    return _KEPT.get(app, left, right)


class _Kept:
    """The latest insights of this process. Two threads that ask for the same one read it once each at worst."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[str, ...], tuple[float, Any]] = OrderedDict()

    def get(self, app: Kalla, left: SourceRef, right: SourceRef | None) -> Insight:
        one = self._table(app, left)
        if right is None:
            return Insight(one, None, None)
        other = self._table(app, right)
        key = ("analysis", *_key(app, left), *_key(app, right))
        found = self._known(key)
        if found is None or found.left is not one or found.right is not other:
            found = self._keep(key, Insight(one, other, analyse(one, other)))
        insight: Insight = found
        return insight

    def _table(self, app: Kalla, ref: SourceRef) -> Table:
        key = ("table", *_key(app, ref))
        found = self._known(key)
        table: Table = found if found is not None else self._keep(key, _read(app, ref))
        return table

    def _known(self, key: tuple[str, ...]) -> Any:
        with self._lock:
            kept = self._found.get(key)
            if kept is None or time.monotonic() - kept[0] > _SECONDS:
                return None
            self._found.move_to_end(key)
            return kept[1]

    def _keep(self, key: tuple[str, ...], value: Any) -> Any:
        with self._lock:
            self._found[key] = (time.monotonic(), value)
            self._found.move_to_end(key)
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
        return value


_KEPT = _Kept()


def _key(app: Kalla, ref: SourceRef) -> tuple[str, ...]:
    """What the rows depend on: address, filters, and of a local file its size and time."""
    opened = open_source(app, ref.type, ref.uri, ref.alias)
    path = opened.local or _local_path(ref.uri)
    state = ""
    if path is not None:
        try:
            found = os.stat(path)
        except OSError:
            found = None
        state = "" if found is None else f"{found.st_size}:{found.st_mtime_ns}"
    return (str(app.settings.staging_path), ref.type, ref.uri, write_json(list(ref.filters)), state)


def _local_path(uri: str) -> str | None:
    return uri.removeprefix("file://") if uri.startswith(("/", "file://")) else None


def _read(app: Kalla, ref: SourceRef) -> Table:
    opened = open_source(app, ref.type, ref.uri, ref.alias)
    filters = parse_filters(list(ref.filters), "conditions").filters
    with opened.told():
        found = opened.connector.preview(MOST_ROWS, filters)
        given = _format(opened, ref)
    kinds = tuple(Kind.TEXT if opened.is_csv else column.kind for column in found.columns)
    columns = [[row[at] for row in found.rows] for at in range(len(found.columns))]
    form = settled_format(columns, given) if opened.is_csv else given
    is_whole = len(found.rows) == found.total_rows
    return Table(tuple(c.name for c in found.columns), kinds, found.rows, form, found.total_rows, is_whole)


def _format(opened: Opened, ref: SourceRef) -> CsvFormat:
    path = opened.local or _local_path(ref.uri)
    if not opened.is_csv or path is None:
        return CsvFormat()
    from connectors import sniff_format

    return sniff_format(path)
