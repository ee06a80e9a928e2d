"""From a source of a recipe to the address it names."""

from __future__ import annotations

from typing import TypeVar

from connectors.errors import ConnectorError
from recipe import RecipeError, SourceBase, parse_uri

Found = TypeVar("Found")


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
