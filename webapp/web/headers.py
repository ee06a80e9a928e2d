"""Headers of every answer that tell browsers what is not allowed."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from webapp.context import kalla
from webapp.web.origins import is_https
from webapp.web.requests import REQUEST_ID_HEADER, is_api, request_id

_FIXED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_POLICY = (
    "default-src 'none'; script-src 'self'{nonce}; style-src 'self'{nonce}; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'{uploads}; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"


def csp_nonce() -> str:
    """The nonce that lets this page carry one inline script or style: ``<style nonce="{{ csp_nonce() }}">``."""
    nonce: str = g.setdefault("csp_nonce", secrets.token_urlsafe(16))
    return nonce


def add_headers(response: Response) -> None:
    """Security headers, request id, and how long the answer may be kept."""
    for name, value in _FIXED.items():
        response.headers.setdefault(name, value)
    response.headers[REQUEST_ID_HEADER] = request_id()
    nonce = f" 'nonce-{g.csp_nonce}'" if "csp_nonce" in g else ""
    html = response.mimetype == "text/html"
    policy = _POLICY.format(nonce=nonce, uploads=_uploads()) if html else _API_POLICY
    response.headers.setdefault("Content-Security-Policy", policy)
    if is_https():
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if is_api():
        response.headers.setdefault("Cache-Control", "no-store")
    elif (request.endpoint or "").rpartition(".")[2] != "static":
        response.headers.setdefault("Cache-Control", "private, no-store")


def _uploads() -> str:
    """Where pages may send files besides the app itself: the object store, as browsers know it."""
    settings = kalla().settings
    if settings.store == "gs":
        return " https://storage.googleapis.com"
    if settings.store != "s3" or not settings.s3_public_endpoint:
        return ""
    parts = urlsplit(settings.s3_public_endpoint)
    return f" {parts.scheme}://{parts.netloc} {parts.scheme}://{settings.uploads_bucket}.{parts.netloc}"


def register(app: Flask) -> None:
    """Offer ``csp_nonce()`` to templates."""
    app.jinja_env.globals["csp_nonce"] = csp_nonce
