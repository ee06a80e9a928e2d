"""Which columns tell the rows of a registered source apart."""

from __future__ import annotations

import threading
from typing import Any

from webapp.context import Kalla
from webapp.services.addresses import open_source
from webapp.services.previews import reaching, stored, turn

_AT_ONCE = 2  # each may hold twice connectors.keys.MOST_BYTES
_WAIT_SECONDS = 20.0
_TURNS = threading.BoundedSemaphore(_AT_ONCE)


def primary_key(app: Kalla, alias: str) -> dict[str, Any]:
    """``{alias, detected_keys, confidence, declared, rows_checked}``, see ``connectors.FoundKey``.

    Raises ServiceError, among others ``source.busy`` (503) while too many others search, ConnectorError.
    """
    from connectors import declared_key, search_key  # they bring Arrow, which the first page should not wait for

    record = stored(app, alias)
    with reaching(app, record):
        opened = open_source(app, record.source_type, record.uri, alias)
        with opened.told():
            found = declared_key(opened.connector)
            if found is None:
                with turn(_TURNS, _WAIT_SECONDS):
                    found = search_key(opened.connector)
    return {
        "alias": alias,
        "detected_keys": list(found.columns),
        "confidence": found.confidence,
        "declared": found.declared,
        "rows_checked": found.rows_checked,
    }
