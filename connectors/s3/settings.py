"""How to reach the S3 store: from the environment, never from an address (contract 7)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from connectors.errors import ConnectorError

DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class S3Settings:
    """``endpoint`` None is Amazon's own; without keys the driver looks where Amazon's clients do (profile, role)."""

    endpoint: str | None = None
    public_endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str = DEFAULT_REGION
    path_style: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> S3Settings:
        """``S3_*`` wins over ``AWS_*``, name by name, but keys come as a pair. Raises ConnectorError
        ``settings.invalid``."""
        read = _Reader(os.environ if environment is None else environment)
        endpoint = _endpoint(read, "S3_ENDPOINT") or _endpoint(read, "AWS_ENDPOINT_URL")
        access, secret, token = _keys(read)
        style = read("S3_PATH_STYLE").lower()
        if style not in ("", "true", "false"):
            raise _invalid("S3_PATH_STYLE is neither true nor false.", "Write one of the two, or leave it out.")
        return cls(
            endpoint=endpoint,
            public_endpoint=_endpoint(read, "S3_PUBLIC_ENDPOINT") or endpoint,
            access_key=access,
            secret_key=secret,
            session_token=token,
            region=read("S3_REGION") or read("AWS_REGION") or read("AWS_DEFAULT_REGION") or DEFAULT_REGION,
            # Stores of one's own seldom have a DNS name for each bucket.
            path_style=style == "true" if style else endpoint is not None and ".amazonaws.com" not in endpoint,
        )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __call__(self, name: str) -> str:
        return self._environment.get(name, "").strip()


def _keys(read: _Reader) -> tuple[str | None, str | None, str | None]:
    token = read("AWS_SESSION_TOKEN") or None
    own, amazon = ("S3_ACCESS_KEY", "S3_SECRET_KEY"), ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for names in (own, amazon):
        found = [read(name) for name in names]
        if all(found):
            return found[0], found[1], token if names is amazon else None
        if any(found):
            missing = names[0 if found[1] else 1]
            raise _invalid(f"{missing} is not set.", f"{names[0]} and {names[1]} belong together.")
    return None, None, None


def _endpoint(read: _Reader, name: str) -> str | None:
    text, allow_http = read(name), read("AWS_ALLOW_HTTP").lower() == "true"
    if not text:
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment or parts.path.strip("/"):
        raise _invalid(
            f"{name} is not the address of a server.", "Write https://host or http://host:port, without a user."
        )
    if parts.scheme == "http" and name == "AWS_ENDPOINT_URL" and not allow_http:
        raise _invalid("AWS_ENDPOINT_URL has no encryption.", "Use https, or set AWS_ALLOW_HTTP=true, or S3_ENDPOINT.")
    return text.rstrip("/")


def _invalid(message: str, hint: str) -> ConnectorError:
    return ConnectorError(message, code="settings.invalid", hint=hint)
