"""Counts that the database keeps: the same as counting anew, after whatever was done to the rows."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable

from sqlalchemy import func, select, text

from tests.webapp.stores.test_runs import REPORT, new
from webapp.db import Database
from webapp.db.migrate import upgrade
from webapp.db.models import STATUSES, Recipe, Run, Source
from webapp.stores.counts import Counts, counts
from webapp.stores.recipes import RecipeStore
from webapp.stores.runs import RunStore
from webapp.stores.sources import SourceStore

DOCUMENT = {
    "recipe_id": "r",
    "name": "R",
    "match_sql": "SELECT 1",
    "sources": {
        side: {"alias": side, "type": "csv", "uri": "/x.csv", "primary_key": ["a"]} for side in ("left", "right")
    },
}


def counted_anew(database: Database) -> Counts:
    with database.session() as session:
        sources, recipes = (session.scalar(select(func.count()).select_from(table)) or 0 for table in (Source, Recipe))
        by_status = dict(session.execute(select(Run.status, func.count()).group_by(Run.status)).all())
    return Counts(sources, recipes, {status: by_status.get(status, 0) for status in STATUSES})


def test_nothing_yet(database: Database) -> None:
    assert counts(database) == Counts(0, 0, dict.fromkeys(STATUSES, 0))


def test_whatever_is_done_the_counts_are_those_of_the_rows(
    database: Database, runs: RunStore, recipes: RecipeStore, sources: SourceStore
) -> None:
    chance = random.Random(7)
    ids: list[str] = []
    steps: list[Callable[[], object]] = [
        lambda: ids.append(new(runs)),
        lambda: runs.mark_submitted(chance.choice(ids)),
        lambda: runs.record_progress(chance.choice(ids), "matching"),
        lambda: runs.complete(chance.choice(ids), REPORT),
        lambda: runs.fail(chance.choice(ids), "no"),
        lambda: runs.cancel(chance.choice(ids)),
        lambda: recipes.put({**DOCUMENT, "recipe_id": f"r{chance.randrange(5)}"}),
        lambda: recipes.delete(f"r{chance.randrange(5)}"),
        lambda: sources.put(f"s{chance.randrange(5)}", "/x", "csv"),
        lambda: sources.delete(f"s{chance.randrange(5)}"),
    ]
    steps[0]()
    for _ in range(200):
        chance.choice(steps)()
    found = counts(database)
    assert found == counted_anew(database)
    assert found.runs == runs.count() == len(ids)
    assert {status: runs.count(status=status) for status in STATUSES} == found.runs_by_status


def test_a_change_that_is_taken_back_counts_nothing(database: Database, runs: RunStore) -> None:
    new(runs)
    with database.session() as session:
        session.execute(text("DELETE FROM runs"))
        session.rollback()
    assert counts(database).runs == 1
    with database.session() as session:
        session.execute(text("UPDATE runs SET status = 'failed'"))
        session.execute(text("UPDATE runs SET error_message = 'x'"))
    assert counts(database).runs_by_status["failed"] == 1


def test_threads_that_move_runs_at_once_are_all_counted(database: Database, runs: RunStore) -> None:
    ids = [new(runs) for _ in range(24)]
    failures: list[BaseException] = []

    def move(mine: list[str]) -> None:
        try:
            for run_id in mine:
                runs.mark_submitted(run_id)
                runs.record_progress(run_id, "staging")
                runs.cancel(run_id)
                new(runs)
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=move, args=(ids[n::6],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert counts(database) == counted_anew(database)
    assert counts(database).runs_by_status["cancelled"] == 24


def test_rows_from_before_are_counted(address: str, open_database: Callable[[str], Database]) -> None:
    database = open_database(address)
    with database.session(writes=True) as session:
        upgrade(session.connection(), "0001")
    with database.session() as session:
        session.add(Source(alias="bank", uri="x", source_type="postgres"))
        for status in ("failed", "completed", "completed"):
            session.add(
                Run(
                    id=uuid.uuid4(), recipe_id="r", recipe_name="R", recipe_snapshot={}, left_source="l",
                    right_source="r", status=status,
                )
            )  # fmt: skip
    database.migrate()
    found = counts(database)
    assert (found.sources, found.recipes, found.runs) == (1, 0, 3)
    assert found == counted_anew(database)


def test_a_table_emptied_at_once_is_counted(database: Database, runs: RunStore) -> None:
    new(runs)
    with database.session() as session:
        session.execute(text("DELETE FROM runs" if database.is_sqlite else "TRUNCATE runs CASCADE"))
    assert counts(database).runs == 0
