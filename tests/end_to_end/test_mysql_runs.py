"""Tables of a real MariaDB and a real MySQL, from recipe to evidence and again."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import call
from tests.connectors.mysql_database import SECRET, MysqlDatabase
from tests.helpers import background, document, drive, manifest, read_set, source

pytest_plugins = ("tests.connectors.mysql_fixtures",)

SQL = (
    "SELECT l.ref, r.id FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.amount, 0.01)"
)
INVOICES = "CREATE TABLE invoices (ref varchar(20) PRIMARY KEY, amount decimal(12,2), issued date, paid tinyint(1)) CHARSET latin1"


def fill(database: MysqlDatabase) -> None:
    database.run(INVOICES)
    rows = [(f"R{i}", f"{i}.10", f"2026-03-{i % 28 + 1:02d}", i % 2) for i in range(300)]
    database.insert("invoices", [*rows, ("old", "1.00", "2025-12-31", 0)])
    database.grant("invoices")


@pytest.fixture
def recipe(mysql_database: MysqlDatabase, tmp_path: Path) -> Path:
    """Invoices R0 to R299 in a database, payments 100 to 349 in a file; every tenth is off by five cents."""
    fill(mysql_database)
    paid = [f"P{i},R{i},{i}.{'15' if i % 10 == 0 else '11'}" for i in range(100, 350)]
    (tmp_path / "payments.csv").write_text("\n".join(["id,ref,amount", *paid]))
    filters = [{"column": "issued", "op": "gte", "value": "2026-03-01"}]
    left = source(mysql_database.uri("invoices", reader=True), ["ref"], "mysql", filters=filters)
    made = document(SQL, {**left, "alias": "ledger"}, {**source("payments.csv", ["id"]), "alias": "bank"})
    (tmp_path / "recipe.json").write_text(json.dumps(made))
    return tmp_path / "recipe.json"


def done(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capfd.readouterr()
    status = call([*map(str, arguments), "--json"])
    text = capfd.readouterr().out
    assert SECRET not in text
    return status, json.loads(text)


def test_a_table_is_reconciled_verified_and_replayed(
    recipe: Path, mysql_database: MysqlDatabase, capfd: pytest.CaptureFixture[str]
) -> None:
    evidence = recipe.parent / "evidence"
    status, found = done(capfd, "run", recipe, "--output", evidence, "--partitions", 3)
    assert status == 0, found
    counts = [found[f"{name}_count"] for name in ("matched", "unmatched_left", "unmatched_right")]
    assert counts == [180, 120, 70]
    stated = manifest(evidence)
    assert not [w for w in stated["warnings"] if w["code"] == "run.two_moments"]
    snapshot = stated["sources"]["left"]["snapshot"]
    assert (snapshot["table"], snapshot["engine"]) == ("invoices", "InnoDB")
    assert not [path for path in evidence.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert done(capfd, "verify", evidence)[1]["ok"] is True
    again = ["replay", evidence, "--set", f"left={mysql_database.uri('invoices', reader=True)}"]
    status, same = done(capfd, *again)
    assert (status, same["ok"]) == (0, True), same
    mysql_database.run("UPDATE invoices SET amount = 0 WHERE ref = 'R121'")
    status, changed = done(capfd, *again)
    assert status == 1 and changed.get("ok") is not True


def test_two_tables_of_one_server_are_read_at_two_moments_and_it_says_so(
    mariadb_database: MysqlDatabase, tmp_path: Path
) -> None:
    """Each is whole and of one moment whatever others write."""
    fill(mariadb_database)
    mariadb_database.run("CREATE TABLE payments (id int PRIMARY KEY, ref varchar(20), amount decimal(12,2))")
    mariadb_database.insert("payments", [(i, f"R{i}", f"{i}.10") for i in range(300)])
    written = threading.Event()

    def write(stop: threading.Event) -> None:
        while not stop.is_set():
            for sign in ("+", "-"):
                for table in ("invoices", "payments"):  # all rows in one statement: half of it would show
                    mariadb_database.run(f"UPDATE {table} SET amount = amount {sign} 1000 WHERE ref <> 'old'")
            written.set()

    asked = document(
        SQL,
        {**source(mariadb_database.uri("invoices"), ["ref"], "mysql"), "alias": "ledger"},
        {**source(mariadb_database.uri("payments"), ["id"], "mysql"), "alias": "bank"},
    )
    with background(write):
        assert written.wait(60)
        drive(asked, tmp_path / "evidence")
    stated = manifest(tmp_path / "evidence")
    (warning,) = [w for w in stated["warnings"] if w["code"] == "run.two_moments"]
    assert "'ledger' and 'bank'" in warning["message"]
    base = sum((Decimal(i) + Decimal("0.10") for i in range(300)), Decimal(0))
    for side, more in (("left", 1), ("right", 0)):
        total = Decimal(stated["control_totals"][side]["amount"]["source"]["sum"])
        assert total - base - more in (0, 300_000), (side, total)
    rows = sum(len(read_set(tmp_path / "evidence", name)) for name in ("matched", "unmatched_left"))
    assert rows == 301
