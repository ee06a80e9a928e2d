"""The way to the runner: over HTTP, or through NATS JetStream when NATS_URL is set (contract 3.1, 3.5, 3.6).

Whatever goes wrong there is told as a ServiceError: ``run.dispatch_failed`` when the runner answered and did not take
the job, ``runner.unreachable`` when there was no answer that makes sense.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from recipe import mask_text, write_json
from webapp.errors import ServiceError
from webapp.signatures import HEADER, sign

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
LOAD_SECONDS = 60.0
MOST_ANSWER_BYTES = 64 * 1024 * 1024

STREAM = "KALLA_JOBS"
SUBJECT = "kalla.jobs"
CONSUMER = "kalla-runners"

_NO_ANSWER = "Check that the runner is up, then run it again."


class Dispatcher(Protocol):
    """What the app asks of a runner. All raise ServiceError when it cannot be asked."""

    def submit(self, job: Mapping[str, Any]) -> None:
        """Hand over a job (contract 3.2). When it returns, the runner or the stream has the job for sure."""

    def cancel(self, run_id: str) -> None:
        """Stop a job; one that the runner does not know or that has ended is left alone."""

    def status(self, run_id: str) -> dict[str, Any] | None:
        """``{run_id, status, stage, progress}`` of a job; None when the runner does not know it."""

    def load_scoped(self, alias: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The rows object of a source; the runner's own refusals come back with their codes."""


@dataclass(frozen=True)
class _Answer:
    status: int
    body: dict[str, Any]
    retry_after: str | None = None

    @property
    def code(self) -> str:
        return str(self.body.get("code", ""))

    @property
    def sentence(self) -> str:
        """The runner's own words, or what its status says."""
        said = self.body.get("error")
        return mask_text(said) if isinstance(said, str) and said else f"The runner answered with status {self.status}."


class HttpDispatcher:
    """Speaks to ``kalla runner``. Signed, with time limits; redirects are not followed and proxies not used."""

    def __init__(
        self,
        base_url: str,
        secrets: Sequence[str] = (),
        seconds: float = ANSWER_SECONDS,
        load_seconds: float = LOAD_SECONDS,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServiceError("WORKER_URL is not an http address.", code="settings.invalid")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._secrets = tuple(secrets)
        self._seconds, self._load_seconds = seconds, load_seconds

    def submit(self, job: Mapping[str, Any]) -> None:
        body = write_json(dict(job)).encode()
        try:
            answer = self._ask("POST", "/api/jobs", body)
        except ServiceError:
            # The runner may have the job already. The same id with the same payload is taken once, so asking again
            # settles it.
            answer = self._ask("POST", "/api/jobs", body)
        if answer.status not in (200, 202):
            raise _refused(answer)

    def cancel(self, run_id: str) -> None:
        answer = self._ask("POST", f"/api/jobs/{quote(run_id, safe='')}/cancel", b"{}")
        if answer.status not in (200, 202, 404, 409):
            raise ServiceError(answer.sentence, code="runner.unreachable")

    def status(self, run_id: str) -> dict[str, Any] | None:
        answer = self._ask("GET", f"/api/jobs/{quote(run_id, safe='')}")
        if answer.status == 404 and answer.code in ("job.not_found", ""):
            return None
        if answer.status != 200:
            raise ServiceError(answer.sentence, code="runner.unreachable")
        return answer.body

    def load_scoped(self, alias: str, body: Mapping[str, Any]) -> dict[str, Any]:
        path = f"/api/sources/{quote(alias, safe='')}/load-scoped"
        answer = self._ask("POST", path, write_json(dict(body)).encode(), self._load_seconds)
        if answer.status == 200:
            return answer.body
        if answer.status < 500 or answer.code.startswith(("source.", "upload.", "storage.")):
            if answer.code and not answer.code.startswith(("callback.", "route.")):
                raise ServiceError(answer.sentence, code=answer.code, status=answer.status, details=_details(answer))
        raise ServiceError(answer.sentence, code="runner.unreachable")

    def _ask(self, method: str, path: str, body: bytes = b"", seconds: float | None = None) -> _Answer:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._secrets:
            headers[HEADER] = sign(self._secrets[0], body)
        connection = self._connection(self._seconds if seconds is None else seconds)
        try:
            connection.request(method, self._prefix + path, body or None, headers)
            response = connection.getresponse()
            data = response.read(MOST_ANSWER_BYTES + 1)
        except TimeoutError:
            raise ServiceError(
                "The runner did not answer in time.", code="runner.unreachable", hint=_NO_ANSWER
            ) from None
        except (OSError, http.client.HTTPException) as error:
            log.warning("runner unreachable: %s", type(error).__name__)
            raise ServiceError("The runner cannot be reached.", code="runner.unreachable", hint=_NO_ANSWER) from None
        finally:
            connection.close()
        return _Answer(response.status, _object(response.status, data), response.headers.get("Retry-After"))

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=seconds, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=seconds)


def _object(status: int, data: bytes) -> dict[str, Any]:
    """The JSON object of an answer. Refusals may come from something in between that speaks no JSON."""
    try:
        found = json.loads(data) if len(data) <= MOST_ANSWER_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    if status < 300:
        raise ServiceError(
            "The runner's answer cannot be read.",
            code="runner.unreachable",
            hint="Check that WORKER_URL names a Kalla runner.",
        )
    return {}


def _details(answer: _Answer) -> list[dict[str, Any]]:
    found = answer.body.get("details")
    return [d for d in found if isinstance(d, dict)] if isinstance(found, list) else []


_ADVICE = {
    "runner.queue_full": "Its queue is full: try again in a minute.",
    "runner.not_ready": "It is starting or stopping: try again in a minute.",
    "callback.bad_signature": "Give the app and the runner the same KALLA_CALLBACK_SECRET, and check their clocks.",
}


def _refused(answer: _Answer) -> ServiceError:
    """A job that the runner did not take."""
    busy = answer.status in (429, 503)
    advice = _ADVICE.get(answer.code, "Try again in a minute." if busy else "")
    headers = {"Retry-After": answer.retry_after or "60"} if busy else {}
    said = answer.sentence
    if 300 <= answer.status < 400:
        said, advice = "The runner's address answers with a redirect.", "Set WORKER_URL to the runner itself."
    return ServiceError(
        f"The runner did not take the job: {said}",
        code="run.dispatch_failed",
        hint=advice,
        details=_details(answer),
        headers=headers,
    )


class NatsDispatcher:
    """Publishes jobs to JetStream and asks everything else over HTTP, where a runner's address is known."""

    def __init__(
        self, nats_url: str, secrets: Sequence[str] = (), worker_url: str | None = None, seconds: float = ANSWER_SECONDS
    ) -> None:
        self._url, self._secrets, self._seconds = nats_url, tuple(secrets), seconds
        self._http = HttpDispatcher(worker_url, secrets) if worker_url else None

    def submit(self, job: Mapping[str, Any]) -> None:
        body = write_json(dict(job)).encode()
        headers = {"Nats-Msg-Id": str(job["run_id"])}
        if self._secrets:
            headers[HEADER] = sign(self._secrets[0], body)
        # Imported here: an app without NATS_URL should not pay for the client at its start.
        import nats.errors

        try:
            asyncio.run(asyncio.wait_for(_publish(self._url, body, headers, self._seconds), self._seconds))
        except (nats.errors.Error, OSError, TimeoutError) as error:
            log.warning("publishing a job failed: %s", type(error).__name__)
            raise ServiceError(
                "The job queue did not confirm the job.",
                code="run.dispatch_failed",
                hint="Check that NATS is up with JetStream switched on, then run it again.",
            ) from None

    def cancel(self, run_id: str) -> None:
        self._runner().cancel(run_id)

    def status(self, run_id: str) -> dict[str, Any] | None:
        return self._runner().status(run_id)

    def load_scoped(self, alias: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._runner().load_scoped(alias, body)

    def _runner(self) -> HttpDispatcher:
        if self._http is None:
            raise ServiceError(
                "The app knows no runner to ask: jobs go through the queue only.",
                code="runner.unreachable",
                hint="Set WORKER_URL to the runners' address beside NATS_URL.",
            )
        return self._http


async def _publish(url: str, body: bytes, headers: dict[str, str], seconds: float) -> None:
    """One connection a job: jobs are rare, and nothing has to be kept alive between them."""
    from nats.aio.client import Client
    from nats.js.api import RetentionPolicy, StreamConfig
    from nats.js.errors import NotFoundError

    client = Client()
    try:
        await client.connect(
            url,
            connect_timeout=max(1, int(seconds / 2)),
            allow_reconnect=False,
            max_reconnect_attempts=0,
            error_cb=_quiet,
        )
        stream = client.jetstream(timeout=seconds / 2)
        try:
            await stream.stream_info(STREAM)
        except NotFoundError:
            config = StreamConfig(name=STREAM, subjects=[SUBJECT], retention=RetentionPolicy.WORK_QUEUE)
            await stream.add_stream(config)
        await stream.publish(SUBJECT, body, stream=STREAM, headers=headers)
    finally:
        await client.close()


async def _quiet(error: Exception) -> None:
    """The client prints errors by itself, addresses with passwords included; ours are raised."""
