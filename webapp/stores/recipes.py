"""Stored recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select

from webapp.db.database import Database
from webapp.db.models import Recipe, now
from webapp.db.statements import changed, insert_or_update
from webapp.db.types import clean
from webapp.stores.documents import in_order
from webapp.stores.vault import Vault

SIDES = ("left", "right")


@dataclass(frozen=True)
class RecipeRecord:
    """A stored recipe: ``document`` as in section 1 of the contract, numbers exact, addresses plain."""

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

    def get(self, recipe_id: str) -> RecipeRecord | None:
        """The recipe of that id, None when there is none."""
        with self._database.session() as session:
            row = session.scalar(select(Recipe).where(Recipe.recipe_id == recipe_id))
        return None if row is None else self._record(row)

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
        with self._database.session() as session:
            return session.scalar(select(func.count()).select_from(Recipe)) or 0

    def naming_source(self, alias: str) -> list[str]:
        """Ids of the recipes that take an address from the registered source ``alias``, in order.

        A source of type ``file`` gets its address with the run and counts for no registered one.
        """
        wanted = or_(*(_takes_address_from(side, alias) for side in SIDES))
        with self._database.session() as session:
            return [*session.scalars(select(Recipe.recipe_id).where(wanted).order_by(Recipe.recipe_id))]

    def list(self, limit: int = 1000, offset: int = 0) -> list[RecipeRecord]:
        """Newest first."""
        newest = select(Recipe).order_by(Recipe.created_at.desc(), Recipe.id.desc()).limit(limit).offset(offset)
        with self._database.session() as session:
            return [self._record(row) for row in session.scalars(newest)]

    def _record(self, row: Recipe) -> RecipeRecord:
        document = {
            "recipe_id": row.recipe_id,
            "name": row.name,
            "description": row.description,
            "match_sql": row.match_sql,
            "match_description": row.match_description,
            "sources": _with_addresses(row.sources, self._vault.open),
        }
        return RecipeRecord(in_order(document), row.created_at, row.updated_at)


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
