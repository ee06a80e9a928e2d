"""Hiding secrets in addresses, for messages, logs, manifests and responses."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

MASK = "***"
_DATABASES = ("postgres", "postgresql", "mysql", "mariadb")  # here a user without a password is only a name
_STORES = ("s3", "gs", "file", "sqlite")
_SECRET_NAME = re.compile(r"pass(word|wd|phrase)?$|pwd|secret|token|key|signature|credential|^sig$|^auth$", re.I)
_DSN_SECRET = re.compile(
    r"((?<![\w-])[\w-]*(?:password|passwd|pwd|secret|token)\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&;]+)", re.I
)
_ADDRESS = re.compile(r"(?<![\w+.-])[A-Za-z][\w+.-]*://\S+")


def is_secret_name(name: str) -> bool:
    """Whether a URI parameter of this name holds something to hide."""
    return _SECRET_NAME.search(name) is not None


def mask_uri(uri: str) -> str:
    """``uri`` with every password, key and token replaced by ``***``. Never raises, also for malformed text.

    >>> mask_uri("postgres://kalla:pa%40ss@erp/books?table=t&sslpassword=x")
    'postgres://kalla:***@erp/books?table=t&sslpassword=***'
    """
    head, mark, query = _split_query(uri)
    masked = _mask_userinfo(head) + mark + "&".join(_mask_param(part) for part in query.split("&"))
    return _DSN_SECRET.sub(rf"\g<1>{MASK}", masked)


def mask_text(text: str) -> str:
    """A message with every address and ``password=...`` in it masked.

    >>> mask_text("no answer from postgres://u:p@h/d?table=t, given up")
    'no answer from postgres://u:***@h/d?table=t, given up'
    """
    if "=" not in text and "://" not in text:  # most of what is logged
        return text
    return _DSN_SECRET.sub(rf"\g<1>{MASK}", _ADDRESS.sub(lambda found: mask_uri(found[0]), text))


def _split_query(uri: str) -> tuple[str, str, str]:
    """Cut before the parameters. An unescaped ? inside a password must not end the head too early."""
    head, mark, query = uri.partition("?")
    authority = head.partition("://")[2].partition("/")[0]
    if "@" in query and "@" not in head and re.search(r":(?!\d*$)", authority.partition("]")[2] or authority):
        cut = uri.rfind("@")
        after, mark, query = uri[cut:].partition("?")
        return uri[:cut] + after, mark, query
    return head, mark, query


def _mask_userinfo(head: str) -> str:
    scheme, slashes, rest = head.partition("://")
    if not slashes:
        return re.sub(r"^(?![/.])([^\s:]*):.*@", rf"\1:{MASK}@", head, flags=re.S)
    authority = rest.partition("/")[0]
    if scheme.lower() in _STORES and "@" not in authority and ":" not in authority:
        return head  # an @ in a key or file name is part of the name
    userinfo, at, place = rest.rpartition("@")
    if not at:
        return head
    user, colon, _ = userinfo.partition(":")
    if scheme.lower() not in _STORES and (colon or scheme.lower() in _DATABASES):
        return f"{scheme}://{user}:{MASK}@{place}" if colon else head
    return f"{scheme}://{MASK}@{place}"


def _mask_param(part: str) -> str:
    name, equals, value = part.partition("=")
    plain = unquote_to_bytes(name.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
    return f"{name}={MASK}" if equals and value and is_secret_name(plain) else part
