"""Structured logs: one JSON object a line on stderr, secrets masked."""

from __future__ import annotations

import atexit
import json
import logging
import queue
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from flask import Response, g, has_request_context, request

from recipe import mask_text
from webapp.settings import Settings
from webapp.web.requests import request_id

ROOT = "webapp"
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_MOST_WAITING = 10_000  # lines
_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "taskName"}
_ACCESS = logging.getLogger(f"{ROOT}.access")


class JsonLines(logging.Formatter):
    """Time, level, logger, message, request id and whatever ``extra`` gave, masked."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = sorted({s for s in secrets if s}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if has_request_context():
            line["request_id"] = request_id()
        line |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps({name: self._masked(value) for name, value in line.items()}, ensure_ascii=False)

    def _masked(self, value: object) -> object:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        text = mask_text(str(value))
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class _Stderr(logging.StreamHandler[Any]):
    """Writes to whatever ``sys.stderr`` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Ahead(QueueHandler):
    """Formats a record where it is logged, which knows the request, and leaves the line to the thread that writes."""

    def enqueue(self, record: logging.LogRecord) -> None:
        assert isinstance(self.queue, queue.Queue)
        self.queue.put(record)  # the default drops a record when the queue is full


def configure(settings: Settings) -> None:
    """Send the logs of this package to stderr; a second call replaces the first."""
    logger = logging.getLogger(ROOT)
    for handler in [h for h in logger.handlers if isinstance(h, (_Stderr, _Ahead))]:
        logger.removeHandler(handler)
    handler = _Stderr()
    given = (settings.access_token, settings.secret_key, settings.anthropic_api_key, *settings.callback_secrets)
    handler.setFormatter(JsonLines(secret for secret in given if secret))
    logger.addHandler(handler)
    logger.setLevel(_LEVELS[settings.log_level])


def write_behind() -> None:
    """Let one thread write what all threads log, once ``configure`` has been called.

    Writing a line lets another thread run; a server's threads would queue there, holding the handler's lock meanwhile.
    What is waiting when the process ends is written then; a line waits for its place when too many do.
    """
    logger = logging.getLogger(ROOT)
    for writer in [h for h in logger.handlers if isinstance(h, _Stderr)]:
        waiting: queue.Queue[Any] = queue.Queue(_MOST_WAITING)
        ahead = _Ahead(waiting)
        ahead.setFormatter(writer.formatter)
        writer.setFormatter(None)  # lines come formatted
        listener = QueueListener(waiting, writer)
        listener.start()
        atexit.register(listener.stop)
        logger.removeHandler(writer)
        logger.addHandler(ahead)


def start_clock() -> None:
    """Note when the request began."""
    g.began = time.perf_counter()


def elapsed() -> float:
    """Seconds since the request began."""
    return time.perf_counter() - g.get("began", time.perf_counter())


def log_request(response: Response) -> None:
    """One line per answer: method, path without query, status, milliseconds, who."""
    quiet = request.path in ("/health", "/ready", "/metrics") or (request.endpoint or "").endswith("static")
    extra = {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "ms": round(elapsed() * 1000, 1),
        "actor": g.get("actor", "anonymous"),
    }
    _ACCESS.log(logging.DEBUG if quiet else logging.INFO, "request", extra=extra)
