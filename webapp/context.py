"""What every service function works with: settings, stores, uploads and the way to the runner."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from webapp.db import Database
from webapp.dispatch import Dispatcher
from webapp.objects import Uploads
from webapp.settings import Settings
from webapp.stores.audit import AuditStore
from webapp.stores.chat import ChatStore
from webapp.stores.recipes import RecipeStore
from webapp.stores.runs import RunStore
from webapp.stores.sources import SourceStore

EXTENSION = "kalla"


@dataclass(frozen=True)
class Kalla:
    """One app's parts. Service functions take it as their first argument, ``app``."""

    settings: Settings
    database: Database
    sources: SourceStore
    recipes: RecipeStore
    runs: RunStore
    audit: AuditStore
    chats: ChatStore
    objects: Uploads
    dispatcher: Dispatcher


def kalla() -> Kalla:
    """The parts of the app that answers the current request."""
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, Kalla), "create_app puts it there"
    return found
