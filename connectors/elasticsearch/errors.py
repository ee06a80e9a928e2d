"""What goes wrong with an index: answers of the server and failures of the connection, each to one error.

Of what a server says, its reason alone is passed on, cut to one line and free of secrets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import urllib3.exceptions as http

from connectors.elasticsearch.place import Place
from connectors.errors import ConnectorError, SourceDataError, SourceDenied, SourceNotFound, SourceUnreachable
from recipe import mask_text

_LONGEST_REASON = 200
_SNAPSHOT_GONE = ("search_context_missing_exception", "no_shard_available_action_exception")
_BUSY = (429, 502, 503, 504)


def answered(place: Place, status: int, body: Any) -> ConnectorError:
    """The error of an answer with a status that is no success."""
    kinds, reason = _causes(body)
    said = f": {plain(reason, place.secrets)}" if reason else ""
    if status == 401:
        return SourceDenied(
            f"The server of {place.shown} refused the user, the password or the API key.",
            hint="Check them in the address; an API key stands there as api_key=.",
        )
    if status == 403:
        return SourceDenied(
            f"Reading {place.shown} is not allowed{said}.",
            hint="The user needs read and view_index_metadata on the index, and monitor on the cluster.",
        )
    if any(kind in _SNAPSHOT_GONE for kind in kinds):
        return SourceUnreachable(
            f"The source {place.shown} can no longer be read as it was when the run began: its point in time ended.",
            hint="Run again; a node that restarts ends every point in time.",
        )
    if "index_not_found_exception" in kinds or status == 404:
        return missing(place)
    if status in _BUSY:
        return SourceUnreachable(
            f"The server of {place.shown} is busy or starting ({status}).", hint="Try again later."
        )
    if 300 <= status < 400:
        return SourceUnreachable(
            f"The server of {place.shown} sends callers elsewhere, which is not followed.",
            hint="Name the server itself in the address, with tls=true for https.",
        )
    return ConnectorError(
        f"The server of {place.shown} refused what was asked ({status}){said}.",
        hint="Check the index, and the server's own log.",
    )


class AnswerTooLarge(ConnectorError):
    """An answer of more bytes than are taken; asking for less may help."""


def missing(place: Place) -> ConnectorError:
    return SourceNotFound(
        f"There is no index {place.shown}.", hint="Check the name in the address; an index must exist and be open."
    )


def incomplete(place: Place, body: Any) -> ConnectorError | None:
    """The error of an answer in which a shard is missing; None where all of them answered."""
    shards = body.get("_shards", {})
    if not body.get("timed_out") and not int(shards.get("failed", 0)):
        return None
    failures = shards.get("failures") or [{}]
    return answered(place, 500, {"error": failures[0].get("reason", {})})


def broken(place: Place, error: http.HTTPError) -> ConnectorError:
    """The error of a connection that failed."""
    if isinstance(error, http.SSLError):
        return SourceUnreachable(
            f"No encrypted connection to {place.shown} came about: {plain(_last(error), place.secrets)}.",
            hint="Check tls and the port; SSL_CERT_FILE names the certificates that are trusted.",
        )
    why = "it did not answer in time" if isinstance(error, http.TimeoutError) else "the connection failed or broke off"
    return SourceUnreachable(
        f"The server of {place.shown} cannot be reached: {why}.",
        hint="Check host, port and tls in the address, and that the server runs. Nothing that was read is used.",
    )


def not_a_search_server(place: Place) -> ConnectorError:
    return ConnectorError(
        f"What answers for {place.shown} is neither Elasticsearch nor OpenSearch.",
        hint="Check host and port in the address, and tls=true for https.",
    )


def unsupported_version(place: Place, product: str, version: str, least: str) -> ConnectorError:
    return ConnectorError(
        f"The server of {place.shown} is {product} {version}, which has no point in time.",
        code="source.unsupported_version",
        hint=f"It needs {least} or newer.",
    )


def unrepresentable(place: Place, column: str, document: str, why: str) -> ConnectorError:
    """A value without an exact form; ``document`` is its index and id."""
    return SourceDataError(
        f"Column {column!r} of {place.shown} holds {why}, in the document {document}.",
        code="source.unrepresentable_value",
        hint="Correct the document, or map the field with another type.",
    )


def plain(text: str, secrets: Iterable[str]) -> str:
    """One short line without secrets and addresses' passwords."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    line = mask_text(" ".join(text.split()))
    return (line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…").rstrip(".")


def _last(error: BaseException) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


def _causes(body: Any) -> tuple[set[str], str]:
    """All kinds of cause in an error's body, and the first reason."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return set(), error if isinstance(error, str) else ""
    kinds: set[str] = set()
    reason = ""
    below = [error, *(f.get("reason") for f in error.get("failed_shards") or ()), *(error.get("root_cause") or ())]
    for cause in [*below, error.get("caused_by")]:
        if isinstance(cause, dict):
            kinds.add(str(cause.get("type")))
            reason = reason or str(cause.get("reason") or "")
    return kinds, reason
