"""Stored recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, or_, select

from webapp.db.database import Database
from webapp.db.models import Recipe, now
from webapp.db.statements import changed, insert_or_update
from webapp.db.types import clean
from webapp.stores.counts import counts
from webapp.stores.documents import in_order
from webapp.stores.vault import Vault

SIDES = ("left", "right")
_MEMBERS = ("recipe_id", "name", "description", "match_sql", "match_description", "sources")
_TABLE = Recipe.__table__
_COLUMNS = [_TABLE.c[name] for name in (*_MEMBERS, "created_at", "updated_at")]
_ONE = select(*_COLUMNS).where(_TABLE.c.recipe_id == bindparam("recipe_id"))
_NAME = select(_TABLE.c.name).where(_TABLE.c.recipe_id == bindparam("recipe_id"))
_ORDER = (_TABLE.c.created_at.desc(), _TABLE.c.id.desc())
_NEWEST = select(*_COLUMNS).order_by(*_ORDER).limit(bindparam("limit")).offset(bindparam("offset"))
_NAMES = select(_TABLE.c.recipe_id, _TABLE.c.name).order_by(*_ORDER).limit(bindparam("limit"))


@dataclass(frozen=True)
class RecipeRecord:
    """A stored recipe: ``document`` as in section 1 of the contract, numbers exact, addresses plain unless the record
    was asked for ``masked``."""

    document: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    def __repr__(self) -> str:
        return f"RecipeRecord(recipe_id={self.document['recipe_id']!r})"


class RecipeStore:
    """Recipes by recipe_id; the addresses in them are sealed in the database."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def get(self, recipe_id: str, *, masked: bool = False) -> RecipeRecord | None:
        """The recipe of that id, None when there is none. ``masked`` addresses are quicker to have, and may be
        shown."""
        with self._database.reading() as connection:
            row = connection.execute(_ONE, {"recipe_id": recipe_id}).one_or_none()
        return None if row is None else self._record(row, masked)

    def has(self, recipe_id: str) -> bool:
        """Whether there is a recipe of that id."""
        with self._database.reading() as connection:
            return connection.execute(_NAME, {"recipe_id": recipe_id}).first() is not None

    def names(self, limit: int) -> list[tuple[str, str]]:
        """Id and name of the newest recipes."""
        with self._database.reading() as connection:
            return [(row[0], row[1]) for row in connection.execute(_NAMES, {"limit": limit})]

    def put(self, document: Mapping[str, Any]) -> None:
        """Insert a checked recipe document, or replace the one of its ``recipe_id``."""
        moment = now()
        given = {
            "name": document["name"],
            "description": document.get("description", ""),
            "match_sql": document["match_sql"],
            "match_description": document.get("match_description", ""),
            "sources": _with_addresses(document["sources"], self._vault.seal),
            "updated_at": moment,
        }
        values = {"recipe_id": document["recipe_id"], "created_at": moment, **given}
        with self._database.session() as session:
            insert_or_update(session, Recipe, values, "recipe_id", lambda _: given)

    def delete(self, recipe_id: str) -> bool:
        """Whether there was one. Its runs stay."""
        with self._database.session() as session:
            return changed(session, delete(Recipe).where(Recipe.recipe_id == recipe_id))

    def count(self) -> int:
        """How many there are."""
        return counts(self._database).recipes

    def naming_source(self, alias: str) -> list[str]:
        """Ids of the recipes that take an address from the registered source ``alias``, in order.

        A source of type ``file`` gets its address with the run and counts for no registered one.
        """
        wanted = or_(*(_takes_address_from(side, alias) for side in SIDES))
        with self._database.session() as session:
            return [*session.scalars(select(Recipe.recipe_id).where(wanted).order_by(Recipe.recipe_id))]

    def list(self, limit: int = 1000, offset: int = 0, *, masked: bool = False) -> list[RecipeRecord]:
        """Newest first. ``masked`` addresses are quicker to have, and may be shown."""
        with self._database.reading() as connection:
            rows = connection.execute(_NEWEST, {"limit": limit, "offset": offset})
            return [self._record(row, masked) for row in rows]

    def _record(self, row: Row[*tuple[Any, ...]], masked: bool) -> RecipeRecord:
        document = dict(zip(_MEMBERS, row, strict=False))
        sources = _with_addresses(document["sources"], self._vault.masked if masked else self._vault.open)
        return RecipeRecord(document | {"sources": in_order(sources)}, row[-2], row[-1])


def _with_addresses(sources: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    return {side: _with_address(source, change) for side, source in sources.items()}


def _with_address(source: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    return {**source, "uri": change(source["uri"])} if source.get("uri") is not None else dict(source)


def _takes_address_from(side: str, alias: str) -> ColumnElement[bool]:
    source = Recipe.sources[side]
    return and_(
        source["alias"].as_string() == clean(alias),
        source["uri"].as_string().is_(None),
        source["type"].as_string() != "file",
    )
