"""Every fault as an answer: one JSON shape for the API, a page for people."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, make_response, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RoutingException

from recipe import KallaError, mask_text
from webapp.errors import ServiceError, error_body, status_of
from webapp.web.requests import is_api, request_id, too_large

_LOG = logging.getLogger("webapp.failures")
_PAGE = "error.html"  # of the pages; it is given status, code, message, hint, request_id


def register(app: Flask) -> None:
    """Answer errors of ours, of the routing and unforeseen ones."""
    app.register_error_handler(KallaError, _ours)
    app.register_error_handler(HTTPException, _routing)
    app.register_error_handler(Exception, _unforeseen)


def _ours(error: KallaError) -> Response:
    status = error.status if isinstance(error, ServiceError) else status_of(error.code)
    if status >= 500:
        _LOG.warning("%s", error, extra={"code": error.code})
    response = _answer(error, status)
    response.headers.extend(error.headers if isinstance(error, ServiceError) else {})
    return response


def _routing(error: HTTPException) -> Response | HTTPException:
    if isinstance(error, RoutingException) or error.code is None:
        return error  # a redirect
    response = _answer(_translated(error, error.code), error.code)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _translated(error: HTTPException, status: int) -> ServiceError:
    if status == 404:
        return ServiceError(f"There is nothing at {request.path}.", code="route.not_found")
    if status == 405:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        hint = f"Use {allowed}." if allowed else ""
        return ServiceError(
            f"{request.method} is not possible at {request.path}.", code="route.method_not_allowed", hint=hint
        )
    if status == 413:
        return too_large()
    if status >= 500:
        return _fault()
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Bad request"
    return ServiceError(f"The request cannot be answered: {phrase.lower()}.", code="request.refused", status=status)


def _unforeseen(error: Exception) -> Response:
    _LOG.error("unforeseen fault", exc_info=error, extra={"code": "internal.error"})
    return _answer(_fault(), 500)


def _fault() -> ServiceError:
    return ServiceError(
        "Something went wrong inside Kalla.",
        code="internal.error",
        hint=f"Its log tells what, under the request id {request_id()}.",
        details=[{"path": "request_id", "message": request_id(), "code": "internal.error"}],
    )


def _answer(error: KallaError, status: int) -> Response:
    if is_api() or request.accept_mimetypes.best == "application/json":
        response = make_response(_masked(error_body(error)), status)
    else:
        response = make_response(_page(error, status), status)
    return response


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict):
        return {name: _masked(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value


def _page(error: KallaError, status: int) -> Response:
    shown = {"message": mask_text(error.message), "hint": mask_text(error.hint), "code": error.code}
    try:
        html = render_template(_PAGE, status=status, request_id=request_id(), **shown)
    except Exception:  # noqa: BLE001  # the page may need what just failed; the error must be told all the same
        _LOG.warning("the error page failed", exc_info=True)
        text = f"{shown['message']} {shown['hint']}".strip()
        return current_app.response_class(text + "\n", mimetype="text/plain")
    return current_app.response_class(html, mimetype="text/html")
