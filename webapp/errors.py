"""Errors of the services: what the engine raises, with the HTTP status that says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from recipe import KallaError, Problem


class ServiceError(KallaError):
    """A request that cannot be answered. ``status`` is the HTTP status, ``headers`` go with the answer."""

    default_code: ClassVar[str] = "internal.error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        hint: str = "",
        details: Iterable[Problem | Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, details=details)
        self.status = status or status_of(self.code)
        self.headers = dict(headers or {})


class SettingsError(KallaError):
    """The service cannot start with these settings."""

    default_code: ClassVar[str] = "settings.invalid"


# code -> status; a code ending in ``.`` stands for all that begin with it. The longest fitting entry counts.
STATUS: Mapping[str, int] = {
    "internal.": 500,
    "request.": 400,
    "request.too_large": 413,
    "route.not_found": 404,
    "route.method_not_allowed": 405,
    "auth.required": 401,
    "auth.": 403,
    "auth.too_many_attempts": 429,
    "callback.": 400,
    "callback.bad_signature": 401,
    "database.unavailable": 503,
    "storage.": 502,
    "storage.full": 507,
    "runner.unreachable": 502,
    "runner.not_ready": 503,
    "runner.queue_full": 503,
    "source.": 400,
    "source.not_found": 404,
    "source.table_not_found": 404,
    "source.in_use": 409,
    "source.busy": 503,
    "source.unreachable": 502,
    "source.access_denied": 502,
    "recipe.": 400,
    "recipe.not_found": 404,
    "filter.": 400,
    "run.": 400,
    "run.not_found": 404,
    "run.final": 409,
    "run.dispatch_failed": 502,
    "upload.": 400,
    "upload.not_found": 404,
    "upload.too_large": 413,
    "upload.no_space": 503,
    "workbook.": 400,
    "workbook.too_large": 413,
    "workbook.unknown_sheet": 404,
    "evidence.": 400,
    "evidence.not_found": 404,
    "evidence.unknown_set": 404,
    "evidence.not_ready": 409,
    "evidence.unknown_row": 404,
    "evidence.too_slow": 503,
    "evidence.memory_exceeded": 503,
    "evidence.no_space": 503,
    "evidence.rule_unreadable": 409,
    "evidence.part_missing": 500,
    "evidence.part_unreadable": 500,
    "evidence.unreadable": 500,
    "chat.": 400,
    "chat.session_not_found": 404,
    "chat.card_answered": 409,
    "chat.busy": 409,
    "chat.session_full": 409,
    "chat.too_many_messages": 429,
    "chat.too_many_turns": 503,
    "ai.": 400,
    "ai.not_configured": 503,
    "ai.model_failed": 502,
    "job.": 400,
    "job.not_found": 404,
    "job.conflict": 409,
    "job.final": 409,
}


def status_of(code: str) -> int:
    """The HTTP status of an error code; 500 for one nobody listed."""
    fitting = [key for key in STATUS if key == code or (key.endswith(".") and code.startswith(key))]
    return STATUS[max(fitting, key=len)] if fitting else 500


def error_body(error: KallaError) -> dict[str, Any]:
    """The one JSON shape of every error on both services (contract 2.1)."""
    body: dict[str, Any] = {"error": error.message + (f" {error.hint}" if error.hint else ""), "code": error.code}
    if error.details:
        body["details"] = error.details
    return body
