"""A database file against a CSV, from recipe to evidence and again: exact to the cent, nothing left beside the file."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import call

SQL = (
    "SELECT l.ref, r.id FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.amount, 0.01)"
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Invoices R0 to R299 in a database, payments 100 to 349 in a file; every tenth is off by five cents."""
    connection = sqlite3.connect(tmp_path / "books.db")
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("CREATE TABLE invoices (ref text PRIMARY KEY, amount decimal(12,2), issued date)")
    rows = [(f"R{i}", f"{i}.10", f"2026-03-{i % 28 + 1:02d}") for i in range(300)]
    connection.executemany("INSERT INTO invoices VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    paid = [f"P{i},R{i},{i}.{'15' if i % 10 == 0 else '11'}" for i in range(100, 350)]
    (tmp_path / "payments.csv").write_text("\n".join(["id,ref,amount", *paid]))
    uri = "sqlite:books.db?table=invoices"
    filters = [{"column": "issued", "op": "gte", "value": "2026-03-01"}]
    document = {
        "recipe_id": "books",
        "name": "Books",
        "match_sql": SQL,
        "sources": {
            "left": {"alias": "ledger", "type": "sqlite", "uri": uri, "primary_key": ["ref"], "filters": filters},
            "right": {"alias": "bank", "type": "csv", "uri": "payments.csv", "primary_key": ["id"]},
        },
    }
    (tmp_path / "recipe.json").write_text(json.dumps(document))
    return tmp_path / "recipe.json"


def done(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capfd.readouterr()
    status = call([*map(str, arguments), "--json"])
    return status, json.loads(capfd.readouterr().out)


def test_a_database_file_is_reconciled_verified_and_replayed(recipe: Path, capfd: pytest.CaptureFixture[str]) -> None:
    evidence = recipe.parent / "evidence"
    status, found = done(capfd, "run", recipe, "--output", evidence, "--partitions", 3)
    assert status == 0, found
    counts = [found[f"{name}_count"] for name in ("matched", "unmatched_left", "unmatched_right")]
    assert counts == [180, 120, 70]
    assert sorted(p.name for p in recipe.parent.iterdir() if p.name.startswith("books")) == ["books.db"]
    manifest = json.loads((evidence / "manifest.json").read_text())
    assert '"sqlite' in json.dumps(manifest["sources"])
    assert done(capfd, "verify", evidence)[1]["ok"] is True
    status, again = done(capfd, "replay", evidence)
    assert (status, again["ok"]) == (0, True), again
    connection = sqlite3.connect(recipe.parent / "books.db")
    connection.execute("UPDATE invoices SET amount = '0.00' WHERE ref = 'R120'")
    connection.commit()
    connection.close()
    status, changed = done(capfd, "replay", evidence)
    assert status == 1 and changed.get("ok") is not True
