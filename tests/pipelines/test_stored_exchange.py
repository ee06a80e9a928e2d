"""Runs whose machines share no folder: every step is called on a machine of its own, files go through a real store."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import os
import pickle
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from pyarrow import csv

from connectors import ConnectorError, ObjectFolder
from pipelines import run as run_module
from pipelines import steps, stored_exchange
from pipelines.cluster.handshake import greeting, refusal
from pipelines.errors import PipelineError, as_text, from_text, recorded
from pipelines.exchange import sent
from pipelines.locks import lock
from pipelines.options import RunRequest
from pipelines.prepare import Prepared
from pipelines.progress import EVENTS
from pipelines.stored_exchange import StoredExchange, remove_abandoned_objects
from pipelines.workdir import WorkDir
from recipe import KallaError
from tests.cluster.data import SQL, ledger_and_bank, records
from tests.helpers import document, drive, manifest, parts, source
from tests.object_servers import GcsServer, S3Server

GROUPED = (
    "SELECT l.branch, sum(l.amount) AS there, sum(r.amount) AS here FROM left_src l JOIN right_src r ON l.ref = r.ref"
    " AND l.branch = r.branch GROUP BY l.branch"
)


def staging_in(store: S3Server | GcsServer) -> str:
    scheme = "s3" if isinstance(store, S3Server) else "gs"
    return f"{scheme}://{store.bucket()}/staging"


@contextlib.contextmanager
def machine(exchange: StoredExchange) -> Iterator[None]:
    """Inside, this process is a machine that has taken no part in the run; afterwards it is gone."""
    with mock.patch.dict(stored_exchange._known), mock.patch.object(stored_exchange, "_folder", None):
        stored_exchange._known.pop(exchange.address, None)
        try:
            with sent(exchange), recorded(str(exchange.scratch)):
                yield
        finally:
            stored_exchange.remove_own_copies()


def apart(step: Callable[..., Any]) -> Callable[..., Any]:
    """The step, called on a machine of its own."""

    def call(*arguments: Any) -> Any:
        exchange = next(found for a in arguments for found in (a, getattr(a, "exchange", None)) if is_exchange(found))
        with machine(exchange):
            found = step(*arguments)
            return list(found) if inspect.isgenerator(found) else found

    return call


def is_exchange(value: object) -> bool:
    return isinstance(value, StoredExchange)


STEPS = (
    "stage", "with_relations", "match_local", "match_part", "count_keys_of", "find_hot_keys", "keyed_rows",
    "match_bucket", "merge", "route", "left_slices", "assemble", "summarise",
)  # fmt: skip


def drive_apart(recipe: dict[str, Any], output: Path, staging: str, **options: Any) -> dict[str, Any]:
    """As ``drive``, with the exchange of a cluster without a shared folder."""

    def exchange(request: RunRequest, prepared: Prepared, work: WorkDir) -> contextlib.AbstractContextManager[Any]:
        return stored_exchange.stored_exchange(staging, request.run_id, work)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(run_module, "_exchange", exchange))
        for name in STEPS:
            stack.enter_context(mock.patch.object(steps, name, apart(getattr(steps, name))))
        return drive(recipe, output, **options)


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What machines keep lies here: other tests of this machine may look after theirs."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return ledger_and_bank(tmp_path_factory.mktemp("ledger"), 6_000)


@pytest.mark.parametrize("strategy", ["local", "broadcast", "shuffle"])
def test_the_same_evidence_as_through_a_folder(
    strategy: str, store: S3Server | GcsServer, ledger: dict[str, Any], tmp_path: Path, own_temporary_folder: Path
) -> None:
    staging = staging_in(store)
    drive_apart(ledger, tmp_path / "apart", staging, strategy=strategy, partitions=3)
    drive(ledger, tmp_path / "here", strategy=strategy, partitions=3)
    assert parts(tmp_path / "apart") == parts(tmp_path / "here")
    for name in ("counts", "reasons", "control_totals"):
        assert manifest(tmp_path / "apart")[name] == manifest(tmp_path / "here")[name]
    assert manifest(tmp_path / "apart")["counts"]["matched_count"] > 1_000
    assert not list(ObjectFolder.at(staging).entries())
    assert not list(own_temporary_folder.glob("kalla-copies-*"))


@pytest.mark.parametrize(
    ("sql", "left", "right"),
    [
        (GROUPED, 400, 300),
        (SQL, 0, 5),
        (SQL, 5, 0),
        (SQL.replace("l.ref = r.ref AND l.branch = r.branch AND", ""), 60, 50),
    ],
)
def test_statements_and_sides_of_every_kind(
    sql: str, left: int, right: int, s3_store: S3Server, tmp_path: Path
) -> None:
    """Grouped, without a key, and with a side that has no record."""
    given = []
    for name, rows in (("left", left), ("right", right)):
        path = tmp_path / f"{name}.csv"
        csv.write_csv(records(random.Random(rows), rows), path)
        given.append(source(path, ["id"]))
    recipe = document(sql, *given)
    drive_apart(recipe, tmp_path / "apart", staging_in(s3_store))
    drive(recipe, tmp_path / "here")
    assert parts(tmp_path / "apart") == parts(tmp_path / "here")
    assert manifest(tmp_path / "apart")["control_totals"] == manifest(tmp_path / "here")["control_totals"]


def exchange_in(staging: str) -> StoredExchange:
    return StoredExchange(f"{staging}/kalla-scratch-run.one", b"key")


def test_what_is_written_anew_is_brought_anew(store: S3Server | GcsServer) -> None:
    """A step that is tried again elsewhere replaces what its first try left; nobody goes on with the old."""
    exchange = exchange_in(staging_in(store))
    with machine(exchange):
        (exchange.scratch / "one.txt").write_text("first")
        (exchange.scratch / ".half-written").write_text("nothing for others")
    with machine(exchange):
        exchange.bring("one.*", "absent.*")
        assert [p.name for p in exchange.scratch.iterdir()] == ["one.txt"]
        folder = ObjectFolder.at(exchange.address)
        folder.put("scratch/one.txt", b"second")
        exchange.bring("one.txt")
        assert (exchange.scratch / "one.txt").read_text() == "second"
        with mock.patch.object(ObjectFolder, "download", side_effect=AssertionError("it lies here")):
            exchange.bring("one.txt")
        (exchange.scratch / "one.txt").write_text("third")
    assert ObjectFolder.at(exchange.address).read("scratch/one.txt", 10) == b"third"


@pytest.mark.parametrize(("times", "comes"), [(1, True), (2, True), (99, False)])
def test_what_is_replaced_while_it_is_brought_comes_whole_or_not_at_all(
    times: int, comes: bool, s3_store: S3Server
) -> None:
    exchange = exchange_in(staging_in(s3_store))
    folder = ObjectFolder.at(exchange.address)
    folder.put("scratch/one.txt", b"0" * 100)
    real = ObjectFolder.download
    replaced = itertools.count(1)

    def replaced_meanwhile(self: ObjectFolder, name: str, *more: Any) -> None:
        if (number := next(replaced)) <= times:
            folder.put("scratch/one.txt", b"%d" % number * 100)
        real(self, name, *more)

    with machine(exchange), mock.patch.object(ObjectFolder, "download", replaced_meanwhile):
        if comes:
            exchange.bring("one.txt")
            assert (exchange.scratch / "one.txt").read_bytes() == b"%d" % times * 100
            return
        with pytest.raises(PipelineError) as caught:
            exchange.bring("one.txt")
        assert caught.value.code == "run.staging_unreachable" and "changed" in caught.value.message
        assert not list(exchange.scratch.iterdir())


def test_a_failure_is_told_from_machine_to_driver(s3_store: S3Server, tmp_path: Path) -> None:
    with (
        WorkDir(tmp_path / "out", "r1") as work,
        stored_exchange.stored_exchange(staging_in(s3_store), "r1", work) as at,
    ):
        with pytest.raises(ZeroDivisionError), machine(at):
            _ = 1 // 0
        at.news()
        stored_exchange._known[at.address]._looking.join(20)
        assert [path.name for path in work.scratch.iterdir()] == ["failure-unknown.json"]
        with mock.patch.object(ObjectFolder, "entries") as asked:
            at.news()  # soon again
        assert not asked.called
    assert not list(ObjectFolder.at(at.address).entries())


def test_a_store_that_hangs_does_not_hold_the_driver_up(s3_store: S3Server, tmp_path: Path) -> None:
    """It has to end its job on the cluster when the run is cancelled."""
    going_on, asked = threading.Event(), threading.Event()

    def hangs(*_: object) -> Iterator[Any]:
        asked.set()
        going_on.wait(20)
        return iter(())

    with (
        WorkDir(tmp_path / "out", "r1") as work,
        stored_exchange.stored_exchange(staging_in(s3_store), "r1", work) as at,
    ):
        with mock.patch.object(ObjectFolder, "entries", hangs):
            at.news()
            assert asked.wait(20) and not going_on.is_set()
            at.news()
        going_on.set()


def test_progress_that_cannot_be_sent_fails_no_step(store: S3Server | GcsServer) -> None:
    """A store that takes an object once a second refuses a worker's events before anything else."""
    exchange = exchange_in(staging_in(store))
    real, told = ObjectFolder.upload, EVENTS.format("w")

    def upload(folder: ObjectFolder, name: str, path: Path) -> None:
        if told in name:
            raise ConnectorError("too often", code="storage.unreachable", hint="")
        real(folder, name, path)

    with machine(exchange):
        (exchange.scratch / "one.txt").write_text("result")
        (exchange.scratch / told).write_text("event")
        with mock.patch.object(ObjectFolder, "upload", upload):
            exchange.send()
        assert [entry.key for entry in ObjectFolder.at(exchange.address).entries()] == ["scratch/one.txt"]
    assert len(list(ObjectFolder.at(exchange.address).entries())) == 2


def test_a_part_that_is_not_what_was_sent_is_never_committed(
    s3_store: S3Server, ledger: dict[str, Any], tmp_path: Path
) -> None:
    real = steps.summarise

    def tampered(exchange: StoredExchange, *more: Any) -> Any:
        summary = real(exchange, *more)
        ObjectFolder.at(exchange.address).put(f"evidence/{summary.parts[0].path}", b"something else")
        return summary

    with mock.patch.object(steps, "summarise", tampered), pytest.raises(PipelineError) as caught:
        drive_apart(ledger, tmp_path / "out", staging := staging_in(s3_store))
    assert caught.value.code == "run.commit_failed"
    assert not (tmp_path / "out").exists() and not list(ObjectFolder.at(staging).entries())


@pytest.mark.parametrize("name", ["state", "hot", "made", "routed", "summary"])
def test_what_others_write_into_the_store_is_never_unpickled(
    name: str, s3_store: S3Server, ledger: dict[str, Any], tmp_path: Path
) -> None:
    """Nor is what the run itself has sealed under another name."""
    proof = tmp_path / "proof"
    steps_after = {
        "state": "find_hot_keys",
        "hot": "keyed_rows",
        "made": "route",
        "routed": "summarise",
        "summary": None,
    }
    step = steps_after[name]
    hostile = pickle.dumps(Hostile(str(proof)))

    def tamper(exchange: StoredExchange) -> None:
        folder = ObjectFolder.at(exchange.address)
        folder.put(
            f"scratch/{name}.pickle", hostile if name != "made" else folder.read("scratch/state.pickle", 1 << 30)
        )

    def tampered(exchange: Any, *more: Any) -> Any:
        tamper(exchange if is_exchange(exchange) else exchange.exchange)
        return real(exchange, *more)

    real = getattr(steps, step or "read_summary")
    place = steps if step else run_module
    with mock.patch.object(place, step or "read_summary", tampered), pytest.raises(KallaError) as caught:
        drive_apart(ledger, tmp_path / "out", staging_in(s3_store), strategy="shuffle")
    assert caught.value.code == "run.scratch_changed" and f"{name}.pickle" in caught.value.message
    assert not proof.exists() and not (tmp_path / "out").exists()


class Hostile:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return open, (self._path, "w")


@pytest.mark.parametrize("gone", ["candidates-1.", "candidates-", "nearest_r.", "routed-00000.", "staged-l-00001."])
def test_scratch_data_that_is_gone_is_missed(
    gone: str, s3_store: S3Server, ledger: dict[str, Any], tmp_path: Path
) -> None:
    """Deleted by a rule of the bucket or another driver, or not listed: rows would be unmatched, or say a wrong why."""
    real = ObjectFolder.entries

    def most(folder: ObjectFolder, prefix: str = "") -> Iterator[Any]:
        return (entry for entry in real(folder, prefix) if f"scratch/{gone}" not in entry.key)

    with mock.patch.object(ObjectFolder, "entries", most), pytest.raises(KallaError) as caught:
        drive_apart(ledger, tmp_path / "out", staging_in(s3_store), strategy="shuffle", partitions=3)
    assert caught.value.code == "run.scratch_missing" and gone in caught.value.message
    assert not (tmp_path / "out").exists()


def test_a_name_in_the_store_leads_to_no_other_folder(s3_store: S3Server) -> None:
    exchange = exchange_in(staging_in(s3_store))
    put = ObjectFolder.at(exchange.address).bucket.put
    prefix = ObjectFolder.at(exchange.address).prefix
    put(f"{prefix}scratch/one-/two.txt", b"x")
    put(f"{prefix}scratch/one-1.txt", b"x")
    with machine(exchange):
        exchange.bring("one-*.txt")
        assert [path.name for path in exchange.scratch.iterdir()] == ["one-1.txt"]


def test_a_store_that_goes_away_is_named(ledger: dict[str, Any], tmp_path: Path, s3_store: S3Server) -> None:
    """Also in the text of a worker's exception: there is no file by which it could tell."""
    real = steps.merge

    def cut_off(*given: Any) -> Any:
        with mock.patch.dict(os.environ, {"S3_SECRET_KEY": "another"}):
            return real(*given)

    with mock.patch.object(steps, "merge", cut_off), pytest.raises(KallaError) as caught:
        drive_apart(ledger, tmp_path / "out", staging_in(s3_store))
    error = caught.value
    assert error.code == "run.staging_unreachable" and "S3_ENDPOINT" in error.hint
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))
    found = from_text(f"java.lang.RuntimeException: {error}\n\tat x")
    assert found is not None and (found.code, found.message) == (error.code, error.message)


def test_the_pool_takes_what_reaches_the_store_and_nothing_else(store: S3Server | GcsServer) -> None:
    exchange = exchange_in(staging_in(store))
    told = greeting(exchange)
    assert refusal(told) is None
    wrong: tuple[dict[str, str], ...] = (
        {"token": "another"}, {"store": told["store"] + "x"}, {"store": "s3://bucket-that-is-not-there/x"},
        {"store": "ftp://x/y"}, {"store": "/etc/passwd"}, {"store": "s3://x/../y"},
    )  # fmt: skip
    for change in wrong:
        refused = refusal(told | change)
        assert refused is not None and refused.code == "run.staging_unreachable"
        assert "S3_ENDPOINT" in as_text(refused)
    assert [entry.key for entry in ObjectFolder.at(exchange.address).entries()] == ["shared-with-workers"]


@pytest.mark.parametrize("name", ["", "/a%2520b"])
def test_what_a_killed_driver_left_goes_with_a_later_run(name: str, store: S3Server | GcsServer) -> None:
    staging = staging_in(store) + name
    folder = ObjectFolder.at(staging)
    left = ("kalla-scratch-a.1/scratch/x", "kalla-scratch-b.1/scratch/y", "notes/kalla-scratch-a.1", "zzz")
    for name in left:
        folder.put(name, b"x")
    remove_abandoned_objects(staging, "a")  # the same run, started again
    assert {entry.key for entry in folder.entries()} == {*left[1:]}
    with mock.patch.object(stored_exchange, "_DEAD", timedelta(0)):
        remove_abandoned_objects(staging, "c")
    assert {entry.key for entry in folder.entries()} == {*left[2:]}


def test_copies_of_dead_workers_go_and_those_of_living_ones_stay(
    own_temporary_folder: Path, s3_store: S3Server
) -> None:
    dead, alive = (own_temporary_folder / f"kalla-copies-{name}" for name in ("dead", "alive"))
    for folder in (dead, alive):
        folder.mkdir()
    os.close(lock(dead))
    held = lock(alive)
    with machine(exchange := exchange_in(staging_in(s3_store))):
        assert exchange.scratch.is_relative_to(own_temporary_folder)
        assert not dead.exists() and alive.exists()
    os.close(held)
    stored_exchange.remove_abandoned_copies()
    assert not list(own_temporary_folder.glob("kalla-copies-*"))


def test_a_run_on_this_machine_needs_a_folder(s3_store: S3Server, ledger: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PipelineError) as caught:
        drive(ledger, tmp_path / "out", exchange=staging_in(s3_store))
    assert caught.value.code == "run.staging_denied" and "--staging" in caught.value.hint
    with pytest.raises(ConnectorError) as named:
        drive(ledger, tmp_path / "out", exchange="s3a://bucket/folder")
    assert named.value.code == "storage.invalid_address"
    drive(ledger, tmp_path / "out", exchange=staging_in(s3_store), runner="auto")  # no cluster: as without
    assert (tmp_path / "out").exists()
