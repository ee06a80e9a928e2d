"""Signed requests between app and runner: ``X-Kalla-Signature: t=<seconds>,v1=<hex HMAC-SHA256>`` (contract 3.5)."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Sequence

from webapp.errors import ServiceError

HEADER = "X-Kalla-Signature"
MOST_AGE_SECONDS = 300
_FORM = re.compile(r"t=(?P<time>[0-9]{1,12}),v1=(?P<digest>[0-9a-f]{64})")


def sign(secret: str, body: bytes, now: float | None = None) -> str:
    """The header's value for a body sent at this moment."""
    moment = int(time.time() if now is None else now)
    return f"t={moment},v1={_digest(secret, moment, body)}"


def verify(header: str | None, secrets: Sequence[str], body: bytes, now: float | None = None) -> None:
    """Raises ServiceError ``callback.bad_signature`` unless one of the secrets signed this body within the last five
    minutes. Without secrets everything passes: the services warn of that when they start."""
    if not secrets:
        return
    found = _FORM.fullmatch(header or "")
    moment = time.time() if now is None else now
    if found is not None and abs(moment - int(found["time"])) <= MOST_AGE_SECONDS:
        digests = [_digest(secret, int(found["time"]), body) for secret in secrets]
        # All are compared, so that the time taken does not tell which one fits.
        if any([hmac.compare_digest(digest, found["digest"]) for digest in digests]):
            return
    raise ServiceError("The signature of this call is missing, wrong or too old.", code="callback.bad_signature")


def _digest(secret: str, moment: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
