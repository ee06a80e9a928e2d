"""Log lines of the runner: one sentence, and named values beside it. Everything is masked."""

from __future__ import annotations

import logging

from recipe import mask_text

_LOG = logging.getLogger(__name__)


def note(level: int, message: str, **values: object) -> None:
    """Write one line; ``values`` become members of the structured line (``web.logs``). None is left out."""
    shown = {name: mask_text(str(value)) for name, value in values.items() if value is not None}
    _LOG.log(level, "%s", mask_text(message), extra=shown)
