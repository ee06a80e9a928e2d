"""Secrets that come back masked: the app hands out addresses with ``***`` and takes them back as "the one stored".

That holds for the same user, host, port and database only; anything else would send a stored password to a place it
was not meant for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

from recipe import (
    ElasticsearchAddress,
    MysqlAddress,
    PostgresAddress,
    Problem,
    Recipe,
    RecipeError,
    Source,
    mask_uri,
    parse_uri,
    replace_source,
)
from webapp.context import Kalla
from webapp.errors import ServiceError

MASK = "***"
SIDES = ("left", "right")
_POSTGRES_PORT = 5432
Server = PostgresAddress | ElasticsearchAddress | MysqlAddress


def restore(kind: str, uri: str, stored: Iterable[str]) -> str:
    """The address with its masked secrets filled in from ``stored`` addresses, the first fitting one.

    An address without masked secrets comes back as it is. Raises ServiceError ``source.masked_credentials`` when
    nothing fits, RecipeError when the address itself is malformed.
    """
    address = parse_uri(kind, uri)
    if not isinstance(address, Server):
        # A file's name may hold anything; only the very address that was handed out means the stored one.
        return next((known for known in stored if mask_uri(known) == uri), uri) if MASK in uri else uri
    if address.password != MASK and MASK not in dict(address.params).values():
        return uri
    for known in stored:
        if mask_uri(known) == uri:
            return known
        filled = _filled(uri, address, _server(kind, known))
        if filled is not None:
            return filled
    raise ServiceError(
        "The password is masked, and none is stored for this user, host and database.",
        code="source.masked_credentials",
        hint="Type the password in place of ***.",
    )


def with_secrets(app: Kalla, recipe: Recipe) -> tuple[Recipe, list[Problem]]:
    """The recipe with the secrets of both addresses filled in, and a problem for each side where none is stored."""
    problems = []
    for side in SIDES:
        source: Source = getattr(recipe.sources, side)
        if source.uri is None:
            continue
        try:
            uri = restore(source.type, source.uri, _known(app, recipe.recipe_id, side, source))
        except ServiceError as error:
            problems.append(Problem(f"sources.{side}.uri", f"{error.message} {error.hint}".strip(), error.code))
        else:
            recipe = replace_source(recipe, side, source.model_copy(update={"uri": uri}))
    return recipe, problems


def _known(app: Kalla, recipe_id: str, side: str, source: Source) -> Iterator[str]:
    """Stored addresses, the likeliest first: this side of the stored recipe, its other side, the registered source
    of this alias, all other registered sources."""
    record = app.recipes.get(recipe_id)
    sides = {} if record is None else record.document["sources"]
    for name in sorted(sides, key=lambda name: name != side):
        if sides[name].get("uri"):
            yield sides[name]["uri"]
    registered = app.sources.get(source.alias)
    if registered is not None:
        yield registered.uri
    for other in app.sources.list():
        yield other.uri


def _server(kind: str, uri: str) -> Server | None:
    try:
        address = parse_uri(kind, uri)
    except RecipeError:
        return None  # of another type
    return address if isinstance(address, Server) else None


def _filled(uri: str, address: Server, known: Server | None) -> str | None:
    """``uri`` with the secrets of ``known``; None when that is another place or lacks one of them."""
    if known is None or _place(address) != _place(known):
        return None
    secrets = dict(known.params) | ({"password": known.password} if known.password else {})
    head, mark, query = uri.partition("?")
    if address.password == MASK and f"{MASK}@" in unquote(head):
        if "password" not in secrets:
            return None
        userinfo, _, place = head.rpartition("@")
        head = f"{userinfo[: userinfo.rindex(':')]}:{quote(secrets['password'], safe='')}@{place}"
    parts = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if unquote(value) == MASK:
            if unquote(name) not in secrets:
                return None
            part = f"{name}={quote(secrets[unquote(name)], safe='')}"
        parts.append(part)
    return head + mark + "&".join(parts)


def _place(address: Server) -> tuple[object, ...]:
    if isinstance(address, PostgresAddress):
        return ("postgres", address.user, address.host.lower(), address.port or _POSTGRES_PORT, address.database)
    if isinstance(address, MysqlAddress):
        return ("mysql", address.user, address.host.lower(), address.port, address.database)
    return ("elasticsearch", address.user, address.host.lower(), address.port)
