"""What must hold on every kind of cluster, as functions over a running one: starting one for each would take minutes."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import starmap
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest

from connectors import Bucket, bucket_of
from pipelines import hot
from pipelines.cluster import commands
from pipelines.cluster.local import LocalCluster
from pipelines.cluster.processes import free_port
from pipelines.evidence import SETS, Evidence, verify
from pipelines.launch import Event, launch
from pipelines.stored_exchange import STAGING_UNREACHABLE
from tests.cluster.data import check_against_plain_loops, ledger_and_bank
from tests.clusters import logs_shown, on, options, start_pool
from tests.helpers import document, drive, manifest, parts, read_set, request, source, write_parquet
from tests.object_servers import s3_server, versitygw_program
from tests.servers import postgres_server

SAMPLE = Path(__file__).parents[2] / "docs" / "sample"


@dataclass(frozen=True)
class Ground:
    """A running cluster, and what the runs on it are held against."""

    found: LocalCluster
    folder: Path

    @cached_property
    def large(self) -> dict[str, Any]:
        """A recipe over 200,000 rows with duplicates and NULLs."""
        return ledger_and_bank(self.folder)

    @cached_property
    def large_truth(self) -> Path:
        """What one machine leaves of ``large``, found right by loops over rows."""
        direct = drive(self.large, self.folder / "large", strategy="local")
        assert 50_000 < direct["matched_count"]
        assert set(direct["reasons"]["left"]) == {"no_key", "null_key", "predicate"}
        check_against_plain_loops(self.folder, self.folder / "large")
        return self.folder / "large"

    @cached_property
    def sample_truth(self) -> Path:
        """What one machine leaves of the bundled sample; its documented counts are checked elsewhere."""
        drive(sample(), self.folder / "sample", strategy="local")
        return self.folder / "sample"

    def hold(self, subtests: pytest.Subtests, *scenarios: Callable[[Ground], None]) -> None:
        """Each scenario, told apart in the report; one that fails does not keep the others from being tried."""
        for scenario in scenarios:
            with subtests.test(scenario.__name__), logs_shown(self.found.processes.logs):
                scenario(self)


def sample() -> dict[str, Any]:
    recipe = json.loads((SAMPLE / "invoice-payment-match.json").read_text(encoding="utf-8"))
    for side in recipe["sources"].values():
        side["uri"] = str(SAMPLE / side["uri"])
    found: dict[str, Any] = recipe
    return found


def same_evidence(folder: Path, other: Path) -> None:
    """Byte for byte, set by set, and all that the manifest counts."""
    assert parts(folder) == parts(other)
    for name in ("counts", "reasons", "control_totals"):
        assert manifest(folder)[name] == manifest(other)[name]
    assert verify(folder).ok


@contextlib.contextmanager
def nothing_left_behind(temporary: Path) -> Iterator[None]:
    """Runs of the block have ``temporary`` as their folder for temporary files, and leave it empty."""
    temporary.mkdir()
    with mock.patch.dict(os.environ, TMPDIR=str(temporary)):
        yield
    assert not list(temporary.iterdir())


def sample_is_true(ground: Ground) -> None:
    """The bundled sample: the documented counts, the rows of one machine; ``auto`` takes the cluster that answers."""
    with nothing_left_behind(ground.folder / "tmp"):
        outcome = on(ground.found, sample(), ground.folder / "auto", runner="auto")
    assert outcome["status"] == "completed", outcome
    counts = [outcome[n] for n in ("matched_count", "unmatched_left_count", "unmatched_right_count")]
    assert (counts, outcome["runner"]) == ([7, 8, 8], ground.found.kind)
    assert manifest(ground.folder / "auto")["plan"]["runner"] == ground.found.kind
    same_evidence(ground.folder / "auto", ground.sample_truth)


def large_rows_agree(engine: str, strategy: str) -> Callable[[Ground], None]:
    """200,000 rows: every engine and strategy leaves what one machine leaves."""

    def agree(ground: Ground) -> None:
        output = ground.folder / f"{engine}-{strategy}"
        outcome = on(ground.found, ground.large, output, strategy=strategy, engine=engine)
        assert outcome["status"] == "completed", outcome
        taken = tuple(outcome[name] for name in ("engine", "strategy", "runner"))
        assert taken == (engine, strategy, ground.found.kind)
        same_evidence(output, ground.large_truth)

    agree.__name__ = f"large_rows_agree_{engine}_{strategy}"
    return agree


def a_hot_key_agrees(ground: Ground) -> None:
    """All rows of the left share one key, more than are matched in one place: parts of them meet the right on their own."""
    rows = hot.MOST_ROWS * 9 // 8
    left = {"id": range(rows), "k": [1] * rows, "amount": range(rows)}
    right = {"id": range(4), "k": [1, 1, 1, 2], "amount": [rows - 1, 7, rows, 7]}
    types = {name: pa.int64() for name in left}
    sides = [write_parquet(ground.folder / f"hot-{n}.parquet", t, types) for n, t in (("l", left), ("r", right))]
    recipe = document(
        "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.k = r.k AND tolerance_match(l.amount, r.amount, 0)",
        *(source(path, ["id"]) for path in sides),
    )
    outcome = on(ground.found, recipe, ground.folder / "hot", strategy="shuffle")
    assert (outcome["status"], outcome["runner"]) == ("completed", ground.found.kind), outcome
    found = [(row["_left_row"], row["_right_row"]) for row in read_set(ground.folder / "hot", "matched")]
    assert found == [(8, 2), (rows, 1)]
    drive(recipe, ground.folder / "hot-here", strategy="local")
    same_evidence(ground.folder / "hot", ground.folder / "hot-here")


# Beam SQL has a join of its own, which is a shuffle.
LARGE_ROWS = tuple(
    starmap(
        large_rows_agree,
        [("vectorized", "shuffle"), ("vectorized", "broadcast"), ("vectorized", "local"), ("beam-sql", "shuffle")],
    )
)


def passes_of_beam_sql_agree(ground: Ground) -> None:
    """UNION ALL of three passes, found by Beam SQL on the cluster and united here; some pairs are found more than once,
    some by the last alone."""
    recipe = sample()
    recipe["match_sql"] = (
        "SELECT l.invoice_id, r.payment_id FROM left_src l JOIN right_src r ON l.invoice_id = r.reference_number"
        " AND l.amount = r.paid_amount UNION ALL SELECT l.invoice_id, r.payment_id FROM left_src l JOIN right_src r"
        " ON l.customer_id = r.payer_id AND percent_match(l.amount, r.paid_amount, 1)"
        " UNION ALL SELECT l.invoice_id, r.payment_id FROM left_src l JOIN right_src r ON l.currency = r.currency"
        " AND l.amount = r.paid_amount AND date_within(l.invoice_date, r.payment_date, 60)"
    )
    outputs = [ground.folder / name for name in ("passes", "passes-here")]
    with nothing_left_behind(ground.folder / "tmp-passes"):
        outcome = on(ground.found, recipe, outputs[0], engine="beam-sql")
    assert outcome["status"] == "completed", outcome
    assert (outcome["engine"], outcome["runner"]) == ("beam-sql", ground.found.kind)
    drive(recipe, outputs[1])
    same_evidence(*outputs)
    pairs = Counter((*row["_left_row"], *row["_right_row"]) for row in read_set(outputs[0], "matched"))
    assert {1, 3} <= set(pairs.values()), pairs


@contextlib.contextmanager
def object_store(ground: Ground) -> Iterator[tuple[Bucket, dict[str, Any]]]:
    """A bucket of a store that this process has the keys of, and the settings of a pool that has them too."""
    try:
        versitygw_program()
    except RuntimeError as error:
        pytest.skip(str(error))
    with s3_server() as store, mock.patch.dict(os.environ, store.environment()):
        port = free_port()
        pool = start_pool(ground.found, f"pool-with-keys-{port}", port, commands.worker_pool(port))
        yield bucket_of("s3", store.bucket()), {"worker_pool": pool}


def an_object_store_is_all_they_share(ground: Ground) -> None:
    """Sources, scratch data, the pairs that Beam SQL finds, and evidence in a store, which workers with its keys
    reach."""
    with object_store(ground) as (bucket, pool):
        output = f"s3://{bucket.name}/out"
        where: dict[str, Any] = {"exchange": f"s3://{bucket.name}/staging", "engine": "beam-sql"}
        outcome = on(ground.found, _stored_sample(bucket), output, pool, **where)
        assert (outcome["status"], outcome["runner"]) == ("completed", ground.found.kind), outcome
        assert verify(output).ok
        for name in SETS:
            stored, here = (Evidence(place).parts(name) for place in (output, ground.sample_truth))
            assert [part.sha256 for part in stored] == [part.sha256 for part in here]
        assert not list(bucket.listed("staging"))


def large_rows_go_through_a_store(ground: Ground) -> None:
    with object_store(ground) as (bucket, pool):
        output, staging = ground.folder / "stored", f"s3://{bucket.name}/staging"
        outcome = on(ground.found, ground.large, output, pool, exchange=staging, strategy="shuffle")
        assert (outcome["status"], outcome["runner"]) == ("completed", ground.found.kind), outcome
        same_evidence(output, ground.large_truth)
        assert not list(bucket.listed("staging"))


def workers_without_keys_are_refused(ground: Ground) -> None:
    """Where sources lie in the store, and where scratch data would."""
    with object_store(ground) as (bucket, _):
        output = f"s3://{bucket.name}/out"
        places = {
            "source.access_denied": {"staging": str(ground.folder / "shared")},
            STAGING_UNREACHABLE: {"exchange": f"s3://{bucket.name}/staging"},
        }
        for code, place in places.items():
            refused = on(ground.found, _stored_sample(bucket), output, **place)
            assert refused["status"] == "failed" and refused["error"]["code"] == code, refused
        assert not list(bucket.listed("out")) and not list(bucket.listed("staging"))


def _stored_sample(bucket: Bucket) -> dict[str, Any]:
    recipe = sample()
    for side in recipe["sources"].values():
        path = Path(side["uri"])
        bucket.upload(f"in/{path.name}", path)
        side["uri"] = f"s3://{bucket.name}/in/{path.name}"
    return recipe


def two_runs_at_once(ground: Ground) -> None:
    """Two runs at the same time do not disturb each other; where the cluster has room for one, the other waits.

    One has Beam SQL find the pairs of the sample, the other our own engine."""
    outputs = {engine: ground.folder / f"at-once-{engine}" for engine in ("vectorized", "beam-sql")}
    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(lambda engine: on(ground.found, sample(), outputs[engine], engine=engine), outputs)
    for outcome, engine in zip(outcomes, outputs, strict=True):
        assert (outcome["status"], outcome["engine"]) == ("completed", engine), outcome
        same_evidence(outputs[engine], ground.sample_truth)


def postgres_is_read_at_one_moment(ground: Ground) -> None:
    """Both tables under the snapshot that the driver holds: rows that go while the workers read are in it."""
    with postgres_server() as server:
        name = server.create_database()
        server.execute(name, (SAMPLE / "seed.sql").read_text(encoding="utf-8"))
        recipe = sample()
        for side, table, key in (("left", "invoices", "invoice_id"), ("right", "payments", "payment_id")):
            recipe["sources"][side] = source(server.uri(name, table), [key], "postgres")
        asked = request(recipe, ground.folder / "postgres", runner=ground.found.kind, cluster=options(ground.found))
        emptied: list[bool] = []

        def after_planning(event: Event) -> None:
            if event["event"] == "staged" and not emptied:
                server.execute(name, "DELETE FROM payments")
                emptied.append(True)

        outcome = launch(asked, after_planning, timeout=600)
    assert outcome["status"] == "completed", outcome
    assert emptied and (outcome["matched_count"], outcome["right_record_count"]) == (7, 15)


def no_jar_has_travelled(ground: Ground) -> None:
    """After all those jobs Flink keeps nothing of theirs that is as large as a jar."""
    kept = [p for p in (ground.found.processes.logs.parent / "blobs").rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in kept) < 1 << 20
