"""How often one address may speak to the conversation: a turn may cost money at the model's provider."""

from __future__ import annotations

from flask import Flask, current_app, request

from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.stores.rate_events import RateEvents
from webapp.web.limits import RateLimit

_LIMIT = "kalla_chat_limit"


def register(app: Flask, parts: Kalla) -> None:
    """The count of an app."""
    app.extensions[_LIMIT] = RateLimit(RateEvents(parts.database), "chat", parts.settings.chat_per_minute, 60.0)


def check_rate() -> None:
    """Count this request. Raises ServiceError ``chat.too_many_messages`` with Retry-After."""
    limit = current_app.extensions[_LIMIT]
    assert isinstance(limit, RateLimit)
    seconds = limit.take(request.remote_addr or "")
    if seconds:
        raise ServiceError(
            "Too many messages came within a minute.",
            code="chat.too_many_messages",
            hint=f"Try again in {seconds} seconds.",
            headers={"Retry-After": str(seconds)},
        )
