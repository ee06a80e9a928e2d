"""The runner's HTTP side: a WSGI app over one supervisor (contract 3.1)."""

from __future__ import annotations

import logging
import sqlite3
import traceback
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from pipelines.launch import parse_size
from recipe import KallaError, RecipeError, mask_text, parse_uri
from webapp.errors import ServiceError, SettingsError, error_body, status_of
from webapp.hosts import check_host
from webapp.objects import stored_upload
from webapp.readable import check_files
from webapp.runner.delivery import Delivery
from webapp.runner.jobs import Guards, check_callback
from webapp.runner.journal import Journal, first_free
from webapp.runner.log import note
from webapp.runner.scoped import load_scoped
from webapp.runner.supervisor import Parts, Supervisor
from webapp.settings import Settings
from webapp.signatures import HEADER, verify
from webapp.web.requests import MOST_BODY_BYTES, json_body, too_large

EXTENSION = "kalla_runner"
_ROUTES = Blueprint("runner", __name__)


def create_runner(settings: Settings, **overrides: Any) -> Flask:
    """The runner, at work from here on. ``runner_of(app).close()`` ends it; one process serves it, with threads.

    ``overrides`` replace members of ``supervisor.Parts``, ``journal_folder`` and ``ack_seconds``. Raises SettingsError,
    among others ``runner.journal_in_use`` while another runner uses the same STAGING_PATH.
    """
    guards = overrides.pop("guards", None) or _guards(settings)
    folder = Path(overrides.pop("journal_folder", settings.staging_path / "runner"))
    ack_seconds = float(overrides.pop("ack_seconds", 30.0))
    overrides.setdefault("memory_limit", memory_bytes(settings.memory_limit))
    parts = Parts(guards=guards, **overrides)
    if not settings.callback_secrets:
        note(logging.WARNING, "KALLA_CALLBACK_SECRET is not set: unsigned jobs are accepted, callbacks go unsigned.")
    delivery = Delivery(settings, lambda url: check_callback(url, settings, guards))
    journal = first_free(folder) if settings.nats_url else Journal(folder)
    supervisor = Supervisor(settings, journal, delivery, parts)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    app.extensions[EXTENSION] = _Service(settings, guards, supervisor)
    app.register_blueprint(_ROUTES)
    _register_failures(app)
    supervisor.start()
    if settings.nats_url:
        # Imported here: a runner without NATS_URL should not pay for the client at its start.
        from webapp.runner.nats import StreamConsumer

        consumer = StreamConsumer(settings, supervisor, ack_seconds)
        supervisor.attach(consumer)
        consumer.start()
    return app


def runner_of(app: Flask) -> Supervisor:
    """What does the work behind ``app``: ``close()`` it before the process ends."""
    return _service(app).supervisor


@dataclass(frozen=True)
class _Service:
    settings: Settings
    guards: Guards
    supervisor: Supervisor


def _service(app: Flask | None = None) -> _Service:
    found = (app or current_app).extensions[EXTENSION]
    assert isinstance(found, _Service), "create_runner puts it there"
    return found


def _guards(settings: Settings) -> Guards:
    return Guards(
        lambda host, port, code: check_host(host, port, settings, code),
        lambda uri: found.address if (found := stored_upload(settings, uri)) else None,
        lambda kind, uri: check_files(settings, parse_uri(kind, uri)),
    )


def memory_bytes(text: str | None) -> int | None:
    """Bytes of KALLA_MEMORY_LIMIT such as ``2GiB``. Raises SettingsError ``settings.invalid``."""
    if text is None:
        return None
    try:
        return parse_size(text)
    except RecipeError as error:
        raise SettingsError(f"KALLA_MEMORY_LIMIT is {text!r}.", hint=error.hint) from error


# --- endpoints ---------------------------------------------------------------------------------------------------


@_ROUTES.before_request
def _verify() -> None:
    """The app signs what it sends to these endpoints; health and metrics are everybody's (contract 3.5).

    No browser has business here: what a page of some site sends names its origin, and is refused.
    """
    if "Origin" in request.headers:
        raise ServiceError("The runner takes no calls from web pages.", code="auth.origin_refused")
    if request.path.startswith("/api/") and request.url_rule is not None:
        verify(request.headers.get(HEADER), _service().settings.callback_secrets, request.get_data())


@_ROUTES.get("/health")
def health() -> Response:
    return jsonify(status="ok")


@_ROUTES.get("/ready")
def ready() -> Response:
    if not _service().supervisor.ready:
        raise ServiceError("The runner takes no jobs at the moment.", code="runner.not_ready")
    return jsonify(status="ready")


@_ROUTES.get("/metrics")
def metrics() -> Response:
    return Response(_service().supervisor.metrics_text(), content_type=CONTENT_TYPE_LATEST)


@_ROUTES.post("/api/jobs")
def submit() -> tuple[Response, int]:
    run_id = _service().supervisor.submit(json_body())
    return jsonify(run_id=run_id, status="accepted"), 202


@_ROUTES.get("/api/jobs/<run_id>")
def status(run_id: str) -> Response:
    return jsonify(_service().supervisor.status(run_id))


@_ROUTES.post("/api/jobs/<run_id>/cancel")
def cancel(run_id: str) -> tuple[Response, int]:
    return jsonify(run_id=_service().supervisor.cancel(run_id), status="cancelled"), 202


@_ROUTES.post("/api/sources/<path:alias>/load-scoped")
def scoped(alias: str) -> Response:
    service = _service()
    return jsonify(load_scoped(alias, json_body(), service.settings, service.guards))


# --- errors ------------------------------------------------------------------------------------------------------


def _register_failures(app: Flask) -> None:
    app.register_error_handler(KallaError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(sqlite3.Error, _journal)
    app.register_error_handler(Exception, _unforeseen)


def _known(error: KallaError) -> Response:
    answer = jsonify(_masked(error_body(error)))
    answer.status_code = error.status if isinstance(error, ServiceError) else status_of(error.code)
    answer.headers.extend(error.headers if isinstance(error, ServiceError) else {})
    return answer


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict):
        return {name: _masked(member) for name, member in value.items()}
    return [_masked(member) for member in value] if isinstance(value, list) else value


def _http(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        return _known(too_large())
    if isinstance(error, MethodNotAllowed):
        allowed = {"Allow": ", ".join(error.valid_methods or ())}
        return _known(ServiceError("This path knows other methods.", code="route.method_not_allowed", headers=allowed))
    if isinstance(error, NotFound):
        return _known(ServiceError("There is nothing at this path.", code="route.not_found"))
    if (error.code or 500) < 500:
        return _known(ServiceError("The request cannot be read.", code="request.malformed", status=error.code))
    return _unforeseen(error)


def _journal(error: sqlite3.Error) -> Response:
    note(logging.ERROR, "The journal cannot be used.", reason=error)
    return _known(ServiceError("The runner's journal cannot be used right now.", code="storage.unreachable"))


def _unforeseen(error: Exception) -> Response:
    number = uuid.uuid4().hex
    frames = traceback.format_tb(error.__traceback__)
    note(logging.ERROR, "A request failed unforeseen.", number=number, reason=repr(error), trace="".join(frames))
    return _known(ServiceError(f"Something went wrong. The log says more under {number}."))
