"""Who may send a request: the Host header, the Origin of changing requests, tokens of page forms.

A browser sends ``Origin`` with every changing request to another site, so what has none is a program or a plain
same-site form; forms carry a token besides.
"""

from __future__ import annotations

import hmac
import re
import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from webapp.errors import ServiceError
from webapp.keys import signing_key
from webapp.settings import LOOPBACK, Settings
from webapp.web.requests import is_api

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"
_COOKIE = "kalla_form"
_COOKIE_FORM = re.compile(r"[0-9a-f]{32}")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def is_https() -> bool:
    """Whether the browser speaks https with us, perhaps through a proxy in front."""
    return request.is_secure or request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https"


def browser_address() -> str:
    """Scheme and host under which the caller reaches the app, perhaps through a proxy that speaks https."""
    origin = request.headers.get("Origin", "")
    through_tls = is_https() or (origin.startswith("https://") and _is_own(origin))
    return f"{'https' if through_tls else 'http'}://{request.host}"


def check_host_header(settings: Settings) -> None:
    """On the loopback address only its own names are answered, so that no web page can reach the app by pointing a
    name of its own here (DNS rebinding). Raises ServiceError ``auth.host_refused``."""
    if not settings.is_loopback:
        return
    known = {*LOOPBACK, *(urlsplit(origin).hostname for origin in settings.allowed_origins)}
    if _host_name(request.host) not in known:
        raise ServiceError(
            "This address is not one of the app's.",
            code="auth.host_refused",
            hint="Open http://localhost, or name the address in KALLA_ALLOWED_ORIGINS.",
        )


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def check_origin(settings: Settings) -> None:
    """Raises ServiceError ``auth.origin_refused`` for a changing request that another site sent."""
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    crossing = request.headers.get("Sec-Fetch-Site") == "cross-site"
    if (origin is None and not crossing) or (origin is not None and is_known_origin(origin, settings)):
        return
    raise ServiceError(
        "This call comes from another site.",
        code="auth.origin_refused",
        hint="Name the site in KALLA_ALLOWED_ORIGINS if it may use this app.",
    )


def is_known_origin(origin: str, settings: Settings) -> bool:
    """Whether an Origin is the app itself, as the Host header names it, or one that the settings allow."""
    if origin.rstrip("/").lower() in {known.rstrip("/").lower() for known in settings.allowed_origins}:
        return True
    return _is_own(origin)


def _is_own(origin: str) -> bool:
    scheme, mark, place = origin.lower().partition("://")
    if not mark or scheme not in _DEFAULT_PORTS:
        return False
    ending = f":{_DEFAULT_PORTS[scheme]}"
    return place.removesuffix(ending) == request.host.lower().removesuffix(ending)


def answer_preflight(settings: Settings) -> Response | None:
    """The answer to a browser that asks whether an allowed site may call; None when it does not ask."""
    origin = request.headers.get("Origin", "")
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not asks or not is_known_origin(origin, settings):
        return None
    response = Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
    response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, X-Request-Id"
    response.headers["Access-Control-Max-Age"] = "600"
    return response


def allow_origin(response: Response, settings: Settings) -> None:
    """Let the browser hand the answer to a site named in KALLA_ALLOWED_ORIGINS. Cookies never cross sites."""
    origin = request.headers.get("Origin")
    if settings.allowed_origins:
        response.vary.add("Origin")
    if origin is not None and is_known_origin(origin, settings):
        response.headers["Access-Control-Allow-Origin"] = origin


# --- tokens of page forms ------------------------------------------------------------------------------


def csrf_token(settings: Settings) -> str:
    """The token for forms of this page. It belongs to a cookie of the same browser, which is set with the answer."""
    seed = request.cookies.get(_COOKIE, "")
    if not _COOKIE_FORM.fullmatch(seed):
        seed = g.setdefault("form_seed", secrets.token_hex(16))
    return _form_token(settings, seed)


def check_form(settings: Settings) -> None:
    """Raises ServiceError ``auth.form_refused`` for a changing request to a page without the token of a form."""
    if request.method in SAFE_METHODS or is_api() or request.endpoint is None:
        return  # the API reads JSON whatever the content type says; there the Origin decides
    seed = request.cookies.get(_COOKIE, "")
    given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    fits = hmac.compare_digest(given.encode(), _form_token(settings, seed).encode())
    if not fits or not _COOKIE_FORM.fullmatch(seed):
        raise ServiceError(
            "This form is out of date.", code="auth.form_refused", hint="Load the page again and repeat the step."
        )


def _form_token(settings: Settings, seed: str) -> str:
    return hmac.new(signing_key(settings, "form"), seed.encode(), "sha256").hexdigest()


def keep_form_cookie(response: Response) -> None:
    """Give the browser the cookie that its form tokens belong to, when this answer holds a form."""
    if "form_seed" in g:
        response.set_cookie(_COOKIE, g.form_seed, httponly=True, samesite="Strict", secure=is_https(), path="/")


def register(app: Flask, settings: Settings) -> None:
    """Offer ``csrf_token()`` and ``csrf_field`` to templates."""

    def token() -> str:
        return csrf_token(settings)

    app.jinja_env.globals.update(csrf_token=token, csrf_field=CSRF_FIELD)
