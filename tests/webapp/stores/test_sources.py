"""Registered sources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from webapp.db import Database
from webapp.errors import ServiceError
from webapp.stores.sources import SourceStore
from webapp.stores.vault import PREFIX, Vault

URI = "postgres://kalla:swordfish@erp/books?table=fin.ledger"


def test_what_is_put_is_found(sources: SourceStore) -> None:
    before = datetime.now(UTC)
    sources.put("ledger", URI, "postgres")
    found = sources.get("ledger")
    assert found is not None
    assert (found.alias, found.uri, found.source_type, found.status) == ("ledger", URI, "postgres", "connected")
    assert found.created_at.utcoffset() == timedelta(0)
    assert before <= found.created_at <= found.updated_at <= datetime.now(UTC)


@pytest.mark.parametrize("alias", ["nobody", "", "\x00", "\ud800", "x" * 5000])
def test_an_unknown_alias_is_nothing(sources: SourceStore, alias: str) -> None:
    assert sources.get(alias) is None
    assert sources.delete(alias) is False
    sources.set_status(alias, "error")
    assert sources.count() == 0


def test_a_second_put_replaces_and_keeps_the_age(sources: SourceStore) -> None:
    sources.put("bank", URI, "postgres", "error")
    first = sources.get("bank")
    sources.put("bank", "s3://bucket/bank.csv", "csv", "active")
    second = sources.get("bank")
    assert first is not None and second is not None
    assert (second.uri, second.source_type, second.status) == ("s3://bucket/bank.csv", "csv", "active")
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert sources.count() == 1


def test_status_changes_alone(sources: SourceStore) -> None:
    sources.put("bank", URI, "postgres")
    sources.set_status("bank", "error")
    found = sources.get("bank")
    assert found is not None
    assert (found.status, found.uri) == ("error", URI)


def test_newest_first_in_pages(sources: SourceStore) -> None:
    for number in range(5):
        sources.put(f"s{number}", URI, "postgres")
    sources.put("s0", URI, "postgres")  # an update does not make it new
    assert [s.alias for s in sources.list()] == ["s4", "s3", "s2", "s1", "s0"]
    assert [s.alias for s in sources.list(limit=2, offset=1)] == ["s3", "s2"]


def test_deleted_is_gone(sources: SourceStore) -> None:
    sources.put("bank", URI, "postgres")
    assert sources.delete("bank") is True
    assert sources.delete("bank") is False
    assert sources.get("bank") is None


def test_addresses_do_not_lie_open(sources: SourceStore, raw: Callable[[], str]) -> None:
    sources.put("bank", URI, "postgres")
    sources.put("bank", URI + "&x=1", "postgres")
    assert not {word for word in ("swordfish", "erp/books", "fin.ledger") if word in raw()}
    assert PREFIX in raw()
    assert "swordfish" not in repr(sources.list())


def test_another_key_does_not_open_them(sources: SourceStore, database: Database) -> None:
    sources.put("bank", URI, "postgres")
    stranger = SourceStore(database, Vault("another key"))
    for read in (stranger.list, lambda: stranger.get("bank")):
        with pytest.raises(ServiceError, match="KALLA_SECRET_KEY"):
            read()
    stranger.put("bank", URI, "postgres")  # the way out that the hint names
    assert stranger.list()[0].uri == URI
