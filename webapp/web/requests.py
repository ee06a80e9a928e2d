"""Reading a request: JSON body, limit and offset, request id."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Mapping
from typing import Any

from flask import g, request

from recipe import KallaError, Problem, read_json
from webapp.errors import ServiceError

MOST_LISTED = 1000
MOST_BODY_BYTES = 4 * 1024 * 1024
REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def request_id() -> str:
    """The id of this request: the caller's when it is well-formed, else a new one. It goes into answer and logs."""
    if "request_id" not in g:
        given = request.headers.get(REQUEST_ID_HEADER, "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else _new_id()
    found: str = g.request_id
    return found


def _new_id() -> str:
    # No secret. The system's randomness costs a call into the kernel, which lets other threads run first.
    return uuid.UUID(int=random.getrandbits(128), version=4).hex


def is_api() -> bool:
    """Whether this request is answered in JSON rather than with a page."""
    return request.path.startswith("/api/") or request.path in ("/api", "/health", "/ready", "/metrics")


def json_body(*, optional: bool = False) -> dict[str, Any]:
    """The JSON object of this request, whatever its content type; numbers exact (int or Decimal).

    Args:
        optional: no body at all counts as ``{}``.

    Raises ServiceError: ``request.malformed_json`` (no JSON, no object, not UTF-8, NaN, a member twice),
    ``request.too_large``.
    """
    data = request.get_data(cache=True)
    if len(data) > MOST_BODY_BYTES:
        raise too_large()
    if optional and not data.strip():
        return {}
    try:
        found = read_json(data, "The body")
    except KallaError as error:
        raise ServiceError(error.message, code="request.malformed_json", hint=error.hint) from None
    if not isinstance(found, dict):
        raise ServiceError("The body is no JSON object.", code="request.malformed_json", hint="Send {...}.")
    if _ESCAPED_SURROGATE.search(data):
        _refuse_surrogates(found)
    return found


def _refuse_surrogates(value: object) -> None:
    if isinstance(value, str):
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise ServiceError("A text in the body holds half of a surrogate pair.", code="request.malformed_json")
    elif isinstance(value, Mapping):
        for name, member in value.items():
            _refuse_surrogates(name)
            _refuse_surrogates(member)
    elif isinstance(value, list):
        for item in value:
            _refuse_surrogates(item)


def too_large() -> ServiceError:
    """The answer to a body over the limit."""
    return ServiceError(
        f"The body is larger than {MOST_BODY_BYTES >> 20} MiB.",
        code="request.too_large",
        hint="Upload files through /api/uploads/presign.",
    )


def limit_and_offset() -> tuple[int, int]:
    """The page of a list that the query asks for: limit 1 to 1000 (default 1000), offset from 0.

    Raises ServiceError ``request.invalid_parameter``.
    """
    limit = whole_parameter("limit", MOST_LISTED, least=1, most=MOST_LISTED)
    offset = whole_parameter("offset", 0, least=0)
    return limit, offset


def whole_parameter(name: str, default: int, *, least: int, most: int | None = None, cut: int | None = None) -> int:
    """A whole number from the query.

    Args:
        most: larger numbers are refused.
        cut: larger numbers become this one.

    Raises ServiceError ``request.invalid_parameter``.
    """
    text = request.args.get(name)
    if text is None:
        return default
    number = int(text) if _WHOLE.fullmatch(text) else None
    if number is None or number < least or (most is not None and number > most):
        allowed = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise invalid_parameter(name, f"must be a whole number {allowed}")
    return number if cut is None else min(number, cut)


def invalid_parameter(name: str, rule: str) -> ServiceError:
    """A query parameter breaks its rule; ``rule`` completes the sentence "<name> ..."."""
    problem = Problem(name, rule, "request.invalid_parameter")
    return ServiceError(f"{name} {rule}.", code="request.invalid_parameter", details=[problem])
