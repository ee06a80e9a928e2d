"""From an address to the server it names and what is asked there; secrets stay out of every repr."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace

from connectors.addresses import checked_hosts
from connectors.base import Access
from connectors.errors import ConnectorError
from recipe import ElasticsearchAddress

_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_API_KEY = re.compile(r"[\x21-\x7e]+")
_INDEX = re.compile(r"""[^\s/\\?"<>|#_+-][^\s/\\?"<>|#]*""")
_PARAMETERS = ("api_key", "id")


@dataclass(frozen=True)
class Place:
    """A server, an index expression, and how to be let in. ``numeric`` are the addresses that were checked for the
    host; empty leaves them to the resolver. ``id_column`` is the column that shows documents' ids, if any."""

    host: str
    port: int
    tls: bool
    index: str
    id_column: str | None = None
    numeric: tuple[str, ...] = ()
    authorization: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def shown(self) -> str:
        """Index and server, for messages; no secrets."""
        return f"{self.index!r} (at {self.netloc})"

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def place_of(address: ElasticsearchAddress, access: Access) -> Place:
    """Raises ConnectorError ``source.invalid_uri``; SourceUnreachable for a host that was not found when it was
    checked."""
    parameters = dict(address.params)
    for name in parameters:
        if name not in _PARAMETERS:
            raise _invalid(f"has a parameter {name!r}", f"Parameters are index, tls, {' and '.join(_PARAMETERS)}.")
    if not _HOST.fullmatch(address.host):
        raise _invalid("has a host of other characters than a host has", "Write its name in ASCII, or its number.")
    authorization, secrets = _authorization(address, parameters.get("api_key"))
    place = Place(
        host=address.host,
        port=address.port,
        tls=address.tls,
        index=_index(address.index),
        id_column=parameters.get("id"),
        authorization=authorization,
        secrets=secrets,
    )
    return replace(place, numeric=checked_hosts(place.host, access, place.shown))


def _index(text: str) -> str:
    """An index, alias or data stream, a pattern with ``*``, or several with commas; ``-name`` leaves one out again."""
    parts = text.split(",")
    for i, part in enumerate(parts):
        name = part.removeprefix("-") if i else part
        if not _INDEX.fullmatch(name) or name in (".", ".."):
            raise _invalid(
                f"names an index {part!r} that no index can be called",
                "Write a name, a pattern such as ledger-*, or several with commas.",
            )
    return text


def _authorization(address: ElasticsearchAddress, api_key: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The value of the header, and every form in which its secret could come back in a message."""
    if api_key is not None and (address.user or address.password):
        raise _invalid("gives a user and an api_key", "Give one of the two.")
    if api_key is not None:
        if not _API_KEY.fullmatch(api_key):
            raise _invalid("has an api_key with blanks or other odd characters", "Write it as it was handed out.")
        encoded = base64.b64encode(api_key.encode()).decode() if ":" in api_key else api_key
        return f"ApiKey {encoded}", (api_key, encoded, api_key.partition(":")[2])
    if not address.user and not address.password:
        return None, ()
    if not address.user or not address.password:
        raise _invalid("gives a user or a password alone", "Write user:password@host, or neither.")
    encoded = base64.b64encode(f"{address.user}:{address.password}".encode()).decode()
    return f"Basic {encoded}", (address.password, encoded)


def _invalid(what: str, hint: str) -> ConnectorError:
    return ConnectorError(f"The address {what}.", code="source.invalid_uri", hint=hint)
