"""Pages of long lists: where one is, and the links to before and after, everything else in the URL kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import request, url_for

PAGE = 50


@dataclass(frozen=True)
class Pages:
    """``first`` and ``last`` count from 1; ``before`` and ``after`` are links or None."""

    first: int
    last: int
    total: int
    before: str | None
    after: str | None


def here(**changed: Any) -> str:
    """This page's address with some parameters of its query changed; None or "" takes one away."""
    assert request.endpoint is not None, "only pages ask"
    anchor = changed.pop("_anchor", None)
    query = {**request.args.to_dict(), **changed}
    kept = {name: value for name, value in query.items() if value not in (None, "") and name != "done"}
    # The query is not given to url_for, which takes some names (_scheme, endpoint) for its own.
    path = url_for(request.endpoint, **(request.view_args or {}))
    return path + (f"?{urlencode(kept)}" if kept else "") + (f"#{anchor}" if anchor else "")


def number(name: str, default: int = 0) -> int:
    """A whole number of the query; anything else counts as the default."""
    text = request.args.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default


def pages(offset: int, shown: int, total: int, anchor: str | None = None) -> Pages:
    """The links around the rows shown; ``anchor`` names the place of the page that they lead to."""
    last = offset + shown
    before = here(offset=max(offset - PAGE, 0) or None, _anchor=anchor) if offset else None
    after = here(offset=last, _anchor=anchor) if shown and last < total else None
    return Pages(offset + 1 if shown else 0, last, total, before, after)
