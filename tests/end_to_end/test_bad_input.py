"""Whatever is wrong with the input has its code and a sentence that says what to do, and nothing is committed."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg2 import sql as pgsql

from pipelines import steps
from pipelines.launch import launch
from pipelines.prepare import prepare
from pipelines.run_state import Made
from recipe import KallaError
from tests.helpers import document, drive, request, source, write_csv, write_parquet
from tests.servers import PostgresServer, free_port

SQL = "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id"
Fails = Callable[..., KallaError]


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Any]:
    return source(write_csv(tmp_path / "good.csv", {"id": ["1", "2"], "amount": ["1.00", "2.00"]}), ["id"])


@pytest.fixture
def fails(good: dict[str, Any], tmp_path: Path) -> Fails:
    """Run with a bad left side; the error. Nothing may be left behind."""

    def run(left: dict[str, Any], sql: str = SQL) -> KallaError:
        before = {p.name for p in tmp_path.iterdir()}
        with pytest.raises(KallaError) as caught:
            drive(document(sql, left, good), tmp_path / "out")
        assert {p.name for p in tmp_path.iterdir()} == before
        error = caught.value
        assert error.message
        assert "Traceback" not in str(error)
        return error

    return run


def of_bytes(path: Path, content: bytes, **more: Any) -> dict[str, Any]:
    path.write_bytes(content)
    return source(path, ["id"], **more)


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "no/such/folder/x.csv"])
def test_missing_file(name: str, fails: Fails, tmp_path: Path) -> None:
    error = fails(source(tmp_path / name, ["id"]))
    assert error.code == "source.not_found"
    assert "none" in error.message or "x.csv" in error.message


@pytest.mark.parametrize("name", ["folder.csv", "folder.parquet"])
def test_a_folder_is_no_file(name: str, fails: Fails, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert fails(source(tmp_path / name, ["id"])).code.startswith("source.")


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may read everything: be nobody for a moment."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_unreadable_file(kind: str, good: dict[str, Any]) -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / f"secret.{kind}"
    asked = request(document(SQL, source(path, ["id"]), good), folder / "out")
    columns = {"id": ["1"]}
    try:
        made = write_csv(path, columns) if kind == "csv" else write_parquet(path, columns, {"id": pa.string()})
        prepare(asked)  # imports whatever is needed while it may be read
        made.chmod(0)
        with ordinary_user(), pytest.raises(KallaError) as caught:
            prepare(asked)
    finally:
        shutil.rmtree(folder)
    assert caught.value.code == "source.access_denied"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.csv", b"", "source.empty_file"),
        ("bom.csv", b"\xef\xbb\xbf", "source.empty_file"),
        ("empty.parquet", b"", "source."),
        ("text.parquet", b"id,amount\n1,2\n" * 50, "source."),
        ("ragged.csv", b"id,amount\n1,2\n3\n", "source.csv_ragged"),
        ("ragged.csv", b"id,amount\n1,2\n3,4,5\n", "source.csv_ragged"),
        ("open.csv", b'id,amount\n1,"2\n3,4\n', "source.csv_quote"),
        ("nul.csv", b"id,amount\n1,\x002\n", "source.encoding"),
        ("twice.csv", b"id,id\n1,2\n", "source.csv_header"),
        ("cut.csv.gz", gzip.compress(b"id,amount\n" + b"1,2\n" * 5000, mtime=0)[:-20], "source."),
    ],
)
def test_bad_content(name: str, content: bytes, code: str, fails: Fails, tmp_path: Path) -> None:
    kind = "csv" if ".csv" in name else "parquet"
    path = tmp_path / name
    path.write_bytes(content)
    error = fails(source(path, ["id"], kind))
    assert error.code.startswith(code), error


def test_ragged_rows_name_their_line(fails: Fails, tmp_path: Path) -> None:
    error = fails(of_bytes(tmp_path / "x.csv", b"id,amount\n" + b"1,2\n" * 70_000 + b"1,2,3\n" + b"1,2\n" * 10))
    assert error.code == "source.csv_ragged"
    assert "70002" in error.message


def test_wrong_encoding(fails: Fails, tmp_path: Path) -> None:
    error = fails(of_bytes(tmp_path / "x.csv", "id,name\n1,Müller\n".encode("latin-1"), format={"encoding": "utf-8"}))
    assert error.code == "source.encoding"
    assert "2" in error.message


def test_truncated_parquet(fails: Fails, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"id": list(range(1000))}, {"id": pa.int64()})
    whole = path.read_bytes()
    for kept in (len(whole) - 5, len(whole) // 2, 6):
        path.write_bytes(whole[:kept])
        assert fails(source(path, ["id"])).code.startswith("source.")


def test_parquet_with_damaged_pages(fails: Fails, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"id": [str(i) for i in range(20_000)]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    whole = bytearray(path.read_bytes())
    whole[2000:4000] = b"\xff" * 2000
    path.write_bytes(whole)
    error = fails(source(path, ["id"]))
    assert error.code.startswith("source."), error


def test_missing_columns_and_their_nearest_names(fails: Fails, tmp_path: Path) -> None:
    left = of_bytes(tmp_path / "x.csv", b"id,amount,Paid On\n1,2,2024-01-01\n")
    error = fails(left, "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id AND l.amout = r.amount")
    assert error.details[0]["code"] == "recipe.sql.unknown_column"
    assert "amount" in error.details[0]["message"]
    error = fails({**left, "primary_key": ["idd"]})
    assert error.details[0]["code"] == "source.column_missing"
    assert "'id'" in error.details[0]["message"]
    assert error.details[0]["path"] == "sources.left.primary_key"


def test_type_mismatch(fails: Fails, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"id": ["1"], "ok": [True]}, {"id": pa.string(), "ok": pa.bool_()})
    error = fails(source(path, ["id"]), "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id AND l.ok > 5")
    assert error.details[0]["code"] == "recipe.sql.type_mismatch"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30, 0.1 + 0.2])
def test_doubles_that_no_decimal_holds_match_each_other(value: float, tmp_path: Path) -> None:
    columns = {"id": [1, 2], "x": [value, 2.5]}
    types = {"id": pa.int64(), "x": pa.float64()}
    sides = [source(write_parquet(tmp_path / f"{s}.parquet", columns, types), ["id"]) for s in "lr"]
    found = drive(document("SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.x = r.x", *sides), tmp_path / "out")
    assert found["matched_count"] == 2


def test_numbers_too_large_for_the_arithmetic(tmp_path: Path) -> None:
    columns = {"id": [1], "x": [1e30]}
    sides = [
        source(write_parquet(tmp_path / f"{s}.parquet", columns, {"id": pa.int64(), "x": pa.float64()}), ["id"])
        for s in "lr"
    ]
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND tolerance_match(l.x, r.x, 0.01)"
    outcome = launch(request(document(sql, *sides), tmp_path / "out"))
    assert outcome["error"]["code"] in ("run.value_out_of_range", "udf.out_of_range")
    assert not (tmp_path / "out").exists()


def test_sums_beyond_38_digits(tmp_path: Path) -> None:
    big = "9" * 28
    path = write_csv(tmp_path / "l.csv", {"id": ["1", "2", "3"], "x": [big, big, "-1"]})
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND tolerance_match(l.x, r.x, 1)"
    found = drive(document(sql, source(path, ["id"]), source(path, ["id"])), tmp_path / "out")
    assert found["matched_count"] == 3
    assert found["control_totals"]["left"]["x"]["source"]["sum"].rstrip("0").rstrip(".") == str(2 * int(big) - 1)


# -- databases ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(run_database: PostgresServer, database: str) -> str:
    run_database.execute(
        database, "CREATE TABLE payments (id text, amount numeric); INSERT INTO payments VALUES ('1', 1)"
    )
    return database


def test_database_faults(run_database: PostgresServer, table: str, fails: Fails) -> None:
    user = f"clerk_{table}"
    run_database.execute(
        table,
        pgsql.SQL("CREATE ROLE {0} LOGIN PASSWORD 'right'; GRANT SELECT ON payments TO {0}").format(
            pgsql.Identifier(user)
        ),
    )
    address = run_database.uri(table, "payments", user=user, password="hunter2")
    wrong = fails(source(address, ["id"], "postgres"))
    assert wrong.code == "source.access_denied"
    assert "hunter2" not in str(wrong) + str(wrong.details)
    down = fails(source(f"postgres://a:hunter2@127.0.0.1:{free_port()}/x?table=payments", ["id"], "postgres"))
    assert down.code == "source.unreachable"
    assert "hunter2" not in str(down) + str(down.details)
    unknown = fails(source(run_database.uri(table, "paymets"), ["id"], "postgres"))
    assert unknown.code == "source.table_not_found"
    assert "payments" in f"{unknown}"
    absent = fails(source(run_database.uri("no_such_database", "payments"), ["id"], "postgres"))
    assert absent.code == "source.not_found"
    column = fails(source(run_database.uri(table, "payments"), ["ident"], "postgres"))
    assert column.details[0]["code"] == "source.column_missing"
    run_database.execute(table, pgsql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(pgsql.Identifier(user)))


# -- resources ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bulky(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bulky")
    chance = np.random.default_rng(7)
    ids = np.arange(300_000)
    texts = pa.array([chance.bytes(20).hex() for _ in range(3000)]).take(pa.array(ids % 3000))
    noise = pa.array(chance.integers(0, 1 << 62, len(ids)))
    pq.write_table(pa.table({"id": ids, "text": texts, "noise": noise}), folder / "l.parquet")
    pq.write_table(pa.table({"id": ids + 7, "noise": noise}), folder / "r.parquet")
    return document(SQL, source(folder / "l.parquet", ["id"]), source(folder / "r.parquet", ["id"]))


_IN_NAMESPACE = """
import json, pickle, subprocess, sys
from pathlib import Path
from pipelines import steps
from pipelines.run_state import Made
from pipelines.launch import launch
from pipelines.prepare import prepare
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + sys.argv[2], "tmpfs", sys.argv[3]], check=True)
outcome = launch(pickle.loads(Path(sys.argv[1]).read_bytes()))
left = sorted(str(p) for p in Path(sys.argv[3]).rglob("*"))
print(json.dumps([outcome, left]))
"""


@pytest.mark.parametrize("strategy", ["local", "shuffle"])
@pytest.mark.parametrize("size", ["1m", "6m"])
def test_full_disk(size: str, strategy: str, bulky: dict[str, Any], tmp_path: Path) -> None:
    """In a mount namespace of its own with a small tmpfs; where that is not allowed, with a limit on file sizes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    asked = tmp_path / "request.pickle"
    asked.write_bytes(pickle.dumps(request(bulky, disk / "out", strategy=strategy)))
    command = [sys.executable, "-c", _IN_NAMESPACE, str(asked), size, str(disk)]
    if (
        shutil.which("unshare")
        and subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode == 0
    ):
        command = ["unshare", "-Urm", *command]
    elif os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets no test mount a small disk")
    else:
        command = ["unshare", "-m", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    outcome, left = json.loads(done.stdout)
    assert outcome["status"] == "failed"
    assert outcome["error"]["code"] == "run.disk_full", outcome["error"]
    assert left == []


def test_file_size_limit_is_no_success(bulky: dict[str, Any], tmp_path: Path) -> None:
    """A quota shows as a failing write in the middle of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        outcome = launch(request(bulky, tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert outcome["status"] == "failed"
    assert outcome["error"]["code"] in ("run.disk_full", "run.killed"), outcome["error"]
    assert not (tmp_path / "out").exists()


def test_memory_limit(bulky: dict[str, Any], tmp_path: Path) -> None:
    outcome = launch(request(bulky, tmp_path / "out", memory_limit=80 << 20))
    assert outcome["error"]["code"] == "run.memory_exceeded"
    assert "--memory-limit" in outcome["error"]["message"]
    assert not (tmp_path / "out").exists()


def test_time_limit(bulky: dict[str, Any], tmp_path: Path) -> None:
    outcome = launch(request(bulky, tmp_path / "out"), timeout=0.3)
    assert outcome["error"]["code"] == "run.timeout"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_source_changed_during_the_run(kind: str, tmp_path: Path, good: dict[str, Any]) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "csv":
        write_csv(path, {"id": ["1", "2"]})
    else:
        write_parquet(path, {"id": ["1", "2"]}, {"id": pa.string()})
    before = steps.merge

    def and_someone_writes(*given: Any) -> Made:
        with path.open("ab") as file:
            file.write(b"3\n")
        return before(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "merge", and_someone_writes)
        with pytest.raises(KallaError) as caught:
            drive(document(SQL, source(path, ["id"]), good), tmp_path / "out")
    assert caught.value.code == "source.changed"
    assert not (tmp_path / "out").exists()
