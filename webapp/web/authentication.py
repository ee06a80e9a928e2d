"""Access: a token asked once by the login page (then a signed session cookie), or sent as bearer token.

Without KALLA_ACCESS_TOKEN, which only the loopback address allows, everything is open to this machine.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import quote

from flask import Blueprint, Flask, Response, current_app, g, redirect, render_template, request, url_for
from itsdangerous import BadSignature, TimestampSigner
from werkzeug.wrappers import Response as AnyResponse

from webapp.context import kalla
from webapp.db import Database
from webapp.errors import ServiceError
from webapp.keys import signing_key
from webapp.services import ACTOR
from webapp.settings import Settings
from webapp.stores.rate_events import RateEvents
from webapp.web.described import description_of
from webapp.web.limits import RateLimit
from webapp.web.origins import is_https
from webapp.web.requests import is_api

SESSION_COOKIE = "kalla_session"
SESSION_SECONDS = 12 * 3600
_ATTEMPTS, _WITHIN_SECONDS = 10, 60.0
_LIMIT = "kalla_login_limit"
_ENDED = "kalla_ended_sessions"

blueprint = Blueprint("access", __name__)


def register(app: Flask, database: Database) -> None:
    """The login pages, the count of failed attempts, and the sessions that were ended."""
    events = RateEvents(database)
    app.extensions[_LIMIT] = RateLimit(events, "login.refused", _ATTEMPTS, _WITHIN_SECONDS)
    # Ids of sessions that were signed out, for as long as their cookies would last.
    app.extensions[_ENDED] = RateLimit(events, "session.ended", 1, SESSION_SECONDS)
    app.register_blueprint(blueprint)


def check_access(settings: Settings) -> AnyResponse | None:
    """Let the request pass, or send a person to the login page.

    Raises ServiceError ``auth.required`` for the API, ``auth.too_many_attempts`` after many wrong tokens.
    """
    if settings.access_token is None:
        _let_in("local")
        return None
    who = _caller(settings, settings.access_token)
    if who is not None:
        _let_in(who)
        return None
    if _is_open():
        return None
    _count_wrong_bearer()
    if is_api():
        raise ServiceError(
            "An access token is needed.",
            code="auth.required",
            hint="Send Authorization: Bearer <KALLA_ACCESS_TOKEN>.",
            headers={"WWW-Authenticate": 'Bearer realm="Kalla"'},
        )
    wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return redirect(f"{url_for('access.login')}?next={quote(wanted)}", 303)


def _let_in(who: str) -> None:
    g.actor = who
    ACTOR.set(who)


def _is_open() -> bool:
    """Health, the runner's signed callbacks, the login page and what it is drawn with."""
    if request.path == "/health" or request.path.startswith("/api/worker/"):
        return True
    endpoint = request.endpoint or ""
    if endpoint.startswith("access.") or endpoint.rpartition(".")[2] == "static":
        return True
    view = current_app.view_functions.get(endpoint)
    described = description_of(view) if view is not None else None
    return described is not None and described.is_open


def _caller(settings: Settings, token: str) -> str | None:
    given = _bearer()
    if given is not None:
        return "token" if _same(given, token) else None
    return "session" if _session(settings) is not None else None


def _session(settings: Settings) -> str | None:
    """The id of the session that the cookie of this request holds; None without one that still counts."""
    cookie = request.cookies.get(SESSION_COOKIE)
    if cookie is None:
        return None
    try:
        found = _signer(settings).unsign(cookie, max_age=SESSION_SECONDS).decode()
    except BadSignature:
        return None
    return None if _ended().wait(found) else found


def _bearer() -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def _signer(settings: Settings) -> TimestampSigner:
    return TimestampSigner(signing_key(settings, "session"), salt="kalla.session")


def _limit() -> RateLimit:
    return _window(_LIMIT)


def _ended() -> RateLimit:
    return _window(_ENDED)


def _window(name: str) -> RateLimit:
    found = current_app.extensions[name]
    assert isinstance(found, RateLimit)
    return found


def _address() -> str:
    return request.remote_addr or ""


def _count_wrong_bearer() -> None:
    if _bearer() is not None:
        _count_attempt()


def _count_attempt() -> None:
    wait = _limit().take(_address())
    if wait:
        raise ServiceError(
            "There were too many attempts with a wrong token.",
            code="auth.too_many_attempts",
            hint=f"Wait {wait} seconds.",
            headers={"Retry-After": str(wait)},
        )


# --- pages ---------------------------------------------------------------------------------------------


@blueprint.get("/login")
def login() -> AnyResponse | str:
    """The page that asks for the token."""
    settings = kalla().settings
    onward = _local_path(request.args.get("next"))
    # Only the session counts: this page is open, and must not tell whether a bearer token is right.
    if settings.access_token is None or _session(settings):
        return redirect(onward, 303)
    return _page(onward, "")


@blueprint.post("/login")
def enter() -> AnyResponse | tuple[str, int]:
    """Compare the token and begin a session."""
    settings = kalla().settings
    onward = _local_path(request.form.get("next"))
    if settings.access_token is None:
        return redirect(onward, 303)
    _count_attempt()  # before the comparison: many at once have to share the places
    if not _same(request.form.get("token", ""), settings.access_token):
        kalla().audit.record("anonymous", "login.refused", _address())
        return _page(onward, "This is not the access token."), 401
    _limit().forget(_address())
    kalla().audit.record("session", "login", _address())
    response = redirect(onward, 303)
    response.set_cookie(
        SESSION_COOKIE,
        _signer(settings).sign(secrets.token_hex(16)).decode(),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="Strict",
        secure=is_https(),
        path="/",
    )
    return response


@blueprint.post("/logout")
def leave() -> Response | AnyResponse:
    """End the session of this browser, so that nobody goes on with a copy of its cookie."""
    found = _session(kalla().settings)
    if found is not None:
        _ended().record(found)
        kalla().audit.record("session", "logout", _address())
    response = redirect(url_for("access.login"), 303)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="Strict", secure=is_https(), path="/")
    return response


def _page(onward: str, message: str) -> str:
    return render_template("login.html", next=onward, message=message)


def _local_path(text: str | None) -> str:
    """A path of this app, for going on to; anything else becomes the first page."""
    path = text or "/"
    plain = all(" " < c < "\x7f" and c != "\\" for c in path)
    return path if path.startswith("/") and not path.startswith("//") and plain else "/"
