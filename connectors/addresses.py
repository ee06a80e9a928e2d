"""From a source of a recipe to the address it names."""

from __future__ import annotations

from typing import TypeVar

from connectors.base import Access
from connectors.errors import ConnectorError, SourceUnreachable
from recipe import RecipeError, SourceBase, parse_uri

Found = TypeVar("Found")


def checked_hosts(host: str, access: Access, shown: str) -> tuple[str, ...]:
    """The numeric addresses that were checked for a host, which are then the only ones that may be called; () where the
    resolver is to be asked. Raises SourceUnreachable for a host that has none; ``shown`` is the source in words."""
    if access.hosts is None:
        return ()
    numeric = tuple(access.hosts.get(host, ()))
    if not numeric:
        raise SourceUnreachable(
            f"The source {shown} names a host that cannot be found.", hint="Check the host in the address."
        )
    return numeric


def address_of(source: SourceBase, kind: type[Found]) -> Found:
    """The source's address, which its type makes one of ``kind``. Raises ConnectorError: no ``uri``, or a malformed
    one."""
    if source.uri is None:
        raise ConnectorError(
            f"The source {source.alias!r} has no address.",
            code="source.invalid_uri",
            hint="Give it a uri, or register a source under this alias.",
        )
    try:
        address = parse_uri(source.type, source.uri)
    except RecipeError as error:
        raise ConnectorError(error.message, code=error.code, hint=error.hint) from None
    if not isinstance(address, kind):
        raise TypeError(f"a source of type {source.type} has a {type(address).__name__}")
    return address
