"""The app: one WSGI application made from settings."""

from __future__ import annotations

import logging

from flask import Flask, Response, g, request
from werkzeug.wrappers import Response as AnyResponse

from webapp.api import ai, audit, chat, evidence, health, openapi, recipes, runs, sources, uploads, worker
from webapp.context import EXTENSION, Kalla
from webapp.db import Database
from webapp.dispatch import Dispatcher, HttpDispatcher, NatsDispatcher
from webapp.errors import SettingsError
from webapp.objects import ObjectStore, Uploads
from webapp.pages import blueprint as pages
from webapp.services import ACTOR
from webapp.settings import Settings
from webapp.stores.audit import AuditStore
from webapp.stores.chat import ChatStore
from webapp.stores.recipes import RecipeStore
from webapp.stores.runs import RunStore
from webapp.stores.sources import SourceStore
from webapp.stores.vault import Vault
from webapp.web import authentication, chat_limit, failures, headers, logs, metrics, origins
from webapp.web.answers import ExactJson
from webapp.web.requests import MOST_BODY_BYTES, too_large

_LOG = logging.getLogger("webapp.app")
_LEAST_SECRET = 16  # short ones can be guessed by trying
_STREAMED = ("uploads.receive", "uploads.workbook")  # their bodies have a limit of their own
_BLUEPRINTS = (health, sources, recipes, runs, evidence, uploads, chat, ai, worker, audit, openapi)


def create_app(settings: Settings, *, database: Database | None = None, dispatcher: Dispatcher | None = None) -> Flask:
    """The app, its database brought up to date. Nothing is seeded and no process started.

    Args:
        database: in place of the one that the settings name.
        dispatcher: the way to the runner, in place of the one that the settings name; in embedded mode the caller
            gives it, or settings with the ``worker_url`` of the runner it started.

    Raises SettingsError when the settings are not safe or not complete, ServiceError ``database.unavailable``.
    """
    logs.configure(settings)
    check_settings(settings)
    parts = _parts(settings, database, dispatcher)
    parts.database.migrate()
    # Assets belong to the pages' blueprint.
    app = Flask("webapp", static_folder=None)
    app.json = ExactJson(app)
    app.url_map.strict_slashes = False
    app.extensions[EXTENSION] = parts
    _register(app, parts)
    app.before_request(lambda: _before(settings))
    app.after_request(lambda response: _after(response, settings))
    return app


def check_settings(settings: Settings) -> None:
    """Refuse to listen to other machines without protection. Raises SettingsError."""
    if settings.is_loopback:
        if not settings.callback_secrets and (settings.worker_url or settings.nats_url):
            _LOG.warning("KALLA_CALLBACK_SECRET is not set: reports of the runner are believed unsigned")
        return
    needed = {"KALLA_ACCESS_TOKEN": settings.access_token, "KALLA_SECRET_KEY": settings.secret_key}
    if settings.worker_url or settings.nats_url:
        needed["KALLA_CALLBACK_SECRET"] = ",".join(settings.callback_secrets)
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise SettingsError(
            f"Listening at {settings.bind_host} needs {' and '.join(missing)}.",
            hint="Set a long random value for each, or listen at 127.0.0.1 only.",
        )
    short = [name for name, value in needed.items() if _shortest(name, value or "") < _LEAST_SECRET]
    if short:
        raise SettingsError(
            f"Listening at {settings.bind_host} needs a longer {' and '.join(short)}.",
            hint=f"Each needs {_LEAST_SECRET} characters or more; openssl rand -hex 32 makes a good one.",
        )


def _shortest(name: str, value: str) -> int:
    """The length of a secret; of the shorter one where a variable may hold the previous one after a comma."""
    parts = [value] if name == "KALLA_ACCESS_TOKEN" else [part.strip() for part in value.split(",")]
    return min((len(part) for part in parts if part), default=0)


def _parts(settings: Settings, database: Database | None, dispatcher: Dispatcher | None) -> Kalla:
    found = database or Database(settings.database_url)
    vault = Vault.for_settings(settings)
    return Kalla(
        settings=settings,
        database=found,
        sources=SourceStore(found, vault),
        recipes=RecipeStore(found, vault),
        runs=RunStore(found, vault),
        audit=AuditStore(found, vault),
        chats=ChatStore(found),
        objects=_uploads(settings),
        dispatcher=dispatcher or _dispatcher(settings),
    )


def _uploads(settings: Settings) -> Uploads:
    if not settings.store:
        return ObjectStore(settings)
    # Imported here: it brings Arrow with it, which an app without a store should not wait for.
    from webapp.bucket_uploads import BucketUploads, make_buckets

    make_buckets(settings)
    return BucketUploads(settings)


def _dispatcher(settings: Settings) -> Dispatcher:
    if settings.nats_url:
        return NatsDispatcher(settings.nats_url, settings.callback_secrets, settings.worker_url)
    if settings.worker_url:
        return HttpDispatcher(settings.worker_url, settings.callback_secrets)
    raise SettingsError(
        "There is no runner to give runs to.", hint="Set WORKER_URL or NATS_URL, or start the app with kalla serve."
    )


def _register(app: Flask, parts: Kalla) -> None:
    failures.register(app)
    origins.register(app, parts.settings)
    headers.register(app)
    authentication.register(app, parts.database)
    metrics.register(app, parts)
    chat_limit.register(app, parts)
    for area in _BLUEPRINTS:
        app.register_blueprint(area.blueprint)
    app.register_blueprint(pages)


def _before(settings: Settings) -> AnyResponse | None:
    """What every request passes before its view, in this order."""
    logs.start_clock()
    g.actor = "anonymous"
    ACTOR.set("anonymous")
    origins.check_host_header(settings)
    preflight = origins.answer_preflight(settings)
    if preflight is not None:
        return preflight
    _limit_body(settings)
    origins.check_origin(settings)
    refused = authentication.check_access(settings)
    if refused is not None:
        return refused
    origins.check_form(settings)
    return None


def _limit_body(settings: Settings) -> None:
    """JSON and forms have 4 MiB; uploads, by link or by the form of a page, what the settings allow."""
    if request.endpoint in _STREAMED:
        return
    is_page = request.blueprint == "pages" and request.mimetype == "multipart/form-data"
    most = settings.max_upload_bytes + MOST_BODY_BYTES if is_page else MOST_BODY_BYTES
    request.max_content_length = most + 1  # a chunked body is cut there without a word; ``json_body`` notices
    if (request.content_length or 0) > most:
        raise too_large()


def _after(response: Response, settings: Settings) -> Response:
    headers.add_headers(response)
    origins.allow_origin(response, settings)
    origins.keep_form_cookie(response)
    metrics.count_request(response)
    logs.log_request(response)
    return response
