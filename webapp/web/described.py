"""Descriptions of endpoints, kept beside their views; the OpenAPI document is made from them.

    @blueprint.get("/api/sources/<alias>/preview")
    @describe(
        "First rows of a source",
        tag="Sources",
        query=(Query("limit", schemas.WHOLE),),
        response=schemas.ROWS,
        errors=("source.not_found", "source.unreachable"),
    )
    def preview(alias: str) -> dict[str, object]: ...

``describe`` stands below the route. Method and path come from the route itself, the HTTP status of an error from its
code, and what every endpoint may answer (``auth.required``, ``internal.error`` ...) is added by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from webapp.web.schemas import LIMIT, OFFSET, Schema

View = TypeVar("View", bound=Callable[..., Any])
_MARK = "__kalla_described__"


@dataclass(frozen=True)
class Query:
    """A parameter after the question mark."""

    name: str
    schema: Schema
    description: str = ""
    required: bool = False


@dataclass(frozen=True)
class Described:
    """What one endpoint takes and gives.

    ``request`` and ``response`` are JSON Schemas; ``media`` names the response's content types when it is no JSON;
    ``path`` gives schemas to parts of the path (text by default); ``is_open`` is True where no access token is asked.
    """

    summary: str
    tag: str
    description: str = ""
    request: Schema | None = None
    request_media: str = "application/json"
    response: Schema | None = None
    status: int = 200
    media: tuple[str, ...] = ("application/json",)
    errors: tuple[str, ...] = ()
    query: tuple[Query, ...] = ()
    path: Mapping[str, Schema] = field(default_factory=dict)
    is_open: bool = False


# For endpoints that list: GET /api/sources?limit=50&offset=100
PAGING = (
    Query("limit", LIMIT | {"default": 1000}, "most entries to answer"),
    Query("offset", OFFSET | {"default": 0}, "entries to leave out, newest first"),
)


def describe(
    summary: str,
    *,
    tag: str,
    description: str = "",
    request: Schema | None = None,
    request_media: str = "application/json",
    response: Schema | None = None,
    status: int = 200,
    media: Sequence[str] = ("application/json",),
    errors: Sequence[str] = (),
    query: Sequence[Query] = (),
    path: Mapping[str, Schema] | None = None,
    is_open: bool = False,
) -> Callable[[View], View]:
    """Decorator that keeps the description with the view; the view itself stays as it is."""
    described = Described(
        summary=summary,
        tag=tag,
        description=description,
        request=request,
        request_media=request_media,
        response=response,
        status=status,
        media=tuple(media),
        errors=tuple(errors),
        query=tuple(query),
        path=dict(path or {}),
        is_open=is_open,
    )

    def mark(view: View) -> View:
        setattr(view, _MARK, described)
        return view

    return mark


def description_of(view: Callable[..., Any]) -> Described | None:
    """The description of a view; None when it has none (pages)."""
    found = getattr(view, _MARK, None)
    return found if isinstance(found, Described) else None
