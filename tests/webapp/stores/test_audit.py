"""The audit log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from webapp.stores.audit import AuditStore


def test_entries_come_back_newest_first(audit: AuditStore) -> None:
    for number in range(3):
        audit.record("token", "recipe.saved", f"r{number}", {"n": number, "d": Decimal("1.10")} if number else None)
    found = audit.list()
    assert [(e.actor, e.action, e.subject) for e in found] == [("token", "recipe.saved", f"r{n}") for n in (2, 1, 0)]
    assert [e.details for e in found] == [{"n": 2, "d": Decimal("1.10")}, {"n": 1, "d": Decimal("1.10")}, None]
    assert found[0].created_at.utcoffset() == timedelta(0)
    assert [e.subject for e in audit.list(1, 1)] == ["r1"]


def test_secrets_are_masked_wherever_they_stand(audit: AuditStore, raw: Callable[[], str]) -> None:
    uri = "postgres://kalla:swordfish@erp/books"
    audit.record("me", "source.saved", uri, {"uri": uri, "deep": [{"x": [f"see {uri}"]}], "dsn": "password=swordfish"})
    assert "swordfish" not in raw()
    details = audit.list()[0].details
    assert details is not None
    assert details["deep"][0]["x"] == ["see postgres://kalla:***@erp/books"]


def test_texts_that_no_database_holds_are_kept_readable(audit: AuditStore) -> None:
    audit.record("me", "a\x00b", "\ud800", {"k\x00": "v\x00", "\\u0000": "\\u0000"})
    entry = audit.list()[0]
    assert (entry.action, entry.subject) == ("a\ufffdb", "\ufffd")
    assert entry.details == {"k\ufffd": "v\ufffd", "\\u0000": "\\u0000"}
