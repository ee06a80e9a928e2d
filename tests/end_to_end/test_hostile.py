"""Statements, names and cells that mean harm: refused with a code, or taken as the plain text they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recipe import KallaError
from tests.end_to_end.cases import HOSTILE
from tests.helpers import beam, document, drive, listing, quote, read_set, request, source, write_csv, write_parquet

FORBIDDEN = "recipe.sql.forbidden"
STATEMENTS = {
    "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id JOIN read_csv('/etc/passwd') x ON TRUE": None,
    "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id JOIN '/etc/passwd' x ON TRUE": None,
    'SELECT * FROM left_src l JOIN right_src r ON l.id = r.id JOIN "/etc/passwd" x ON TRUE': FORBIDDEN,
    "SELECT l.id, (SELECT content FROM read_text('/etc/passwd')) FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "COPY (SELECT * FROM left_src, right_src) TO '{out}'": None,
    "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id; COPY left_src TO '{out}'": None,
    "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id; DROP TABLE left_src": None,
    "ATTACH '{out}' AS x": None,
    "PRAGMA database_list": None,
    "INSTALL httpfs": None,
    "LOAD httpfs": None,
    "SET enable_external_access = true": None,
    "CALL pragma_version()": None,
    "EXPORT DATABASE '{out}'": None,
    "CREATE TABLE x AS SELECT * FROM left_src, right_src": None,
    "INSERT INTO left_src SELECT * FROM right_src": None,
    "WITH x AS (DELETE FROM left_src RETURNING *) SELECT * FROM x, right_src": None,
    "SELECT * INTO x FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "SELECT getenv('HOME') FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "SELECT current_setting('temp_directory') FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "SELECT * FROM duckdb_settings() l JOIN right_src r ON TRUE": None,
    "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id /* ; */ ; -- \n COPY left_src TO '{out}'": None,
    "SELECT query('COPY left_src TO ''{out}''') FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "SELECT * FROM query_table('left_src') l JOIN right_src r ON TRUE": None,
    "SELECT * FROM glob('/etc/*') l JOIN right_src r ON TRUE JOIN left_src s ON TRUE": None,
    "SELECT * FROM information_schema.tables t, left_src l, right_src r": None,
    "SELECT * FROM pg_catalog.pg_class t, left_src l, right_src r": None,
    "SELECT * FROM main.left_src l JOIN right_src r ON l.id = r.id": None,
    "SELECT pg_read_file('/etc/passwd') FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id FOR UPDATE": None,
    "VALUES (1)": None,
    "SELECT 1": None,
    "TABLE left_src": None,
    "": None,
    ";": None,
    "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id AND " + "(" * 3000 + "TRUE" + ")" * 3000: None,
    "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id AND " + "NOT " * 3000 + "TRUE": None,
    "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id AND l.id = '" + "x" * 70_000 + "'": None,
    "SELECT repeat('x', 2000000000) FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "WITH RECURSIVE x AS (SELECT id FROM left_src UNION ALL SELECT id FROM x) SELECT * FROM x, right_src r": None,
    "SELECT * FROM generate_series(1, 1000000000) l, left_src, right_src": None,
    "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id AND random() > 0.5": None,
    "SELECT \x00 FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "SELECT sleep(100) FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "SELECT COLUMNS('.*') FROM left_src l JOIN right_src r ON l.id = r.id": None,
    "SELECT * FROM left_src l JOIN right_src r ON regexp_matches(l.id, '(a+)+$') AND l.id = r.id AND @x = 1": None,
    "SELECT $1 FROM left_src l JOIN right_src r ON l.id = r.id": None,
}


@pytest.fixture
def sides(tmp_path: Path) -> list[dict[str, Any]]:
    columns = {"id": ["1", "2", "x"], "n": ["1", None, "3"]}
    return [source(write_csv(tmp_path / f"{s}.csv", columns), ["id"]) for s in "lr"]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: ascii(s[:60]))
def test_hostile_statements_are_refused_before_anything_is_read(
    statement: str, sides: list[dict[str, Any]], tmp_path: Path
) -> None:
    before = listing(tmp_path)
    with pytest.raises(KallaError) as caught:
        drive(document(statement.replace("{out}", str(tmp_path / "stolen")), *sides), tmp_path / "out")
    codes = [caught.value.code, *(d["code"] for d in caught.value.details)]
    assert any(code.startswith("recipe.") for code in codes), codes
    assert "internal.error" not in codes
    expected = STATEMENTS[statement]
    assert expected is None or expected in codes
    assert "root:" not in str(caught.value)
    assert listing(tmp_path) == before


def test_comments_and_strings_hide_nothing(sides: list[dict[str, Any]], tmp_path: Path) -> None:
    sql = """SELECT l.id, 'COPY x TO ''/tmp/y''; DROP' AS "; DROP TABLE left_src; --" /* ATTACH 'x' */
             FROM left_src l -- ; COPY
             JOIN right_src r ON l.id = r.id AND '--' <> l.id AND '/*' <> r.id;"""
    drive(document(sql, *sides), tmp_path / "out")
    rows = read_set(tmp_path / "out", "matched")
    assert [row["; DROP TABLE left_src; --"] for row in rows] == ["COPY x TO '/tmp/y'; DROP"] * 3


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("strategy", ["local", "broadcast", "shuffle"])
def test_every_hostile_column_name_at_once(kind: str, strategy: str, tmp_path: Path) -> None:
    """As keys, in conditions and in the select list."""
    names = (
        [*HOSTILE, "file_row_number", "x" * 300] if kind == "parquet" else [n for n in HOSTILE if n == n.strip() and n]
    )
    cells = {name: [f"{i}{row}" for row in "abc"] for i, name in enumerate(names)}
    paths = []
    for side in "lr":
        path = tmp_path / f"{side}.{kind}"
        paths.append(
            write_parquet(path, cells, dict.fromkeys(names, pa.string()))
            if kind == "parquet"
            else write_csv(path, cells)
        )
    on = " AND ".join(f"l.{quote(n)} = r.{quote(n)}" for n in names[:25])
    rest = " AND ".join(f"l.{quote(n)} <= r.{quote(n)}" for n in names[25:])
    selected = ", ".join(f"l.{quote(n)}, r.{quote(n)}" for n in names)
    sql = f"SELECT {selected} FROM left_src l JOIN right_src r ON {on} AND {rest}"
    key = [names[0], names[-1]]
    found = drive(document(sql, *(source(p, key) for p in paths)), tmp_path / "out", strategy=strategy, partitions=3)
    assert found["matched_count"] == 3
    row = read_set(tmp_path / "out", "matched")[1]
    assert list(row.values())[4:] == [f"{i}b" for i in range(len(names)) for _ in "lr"]


@pytest.mark.parametrize(
    "name", ["a b.csv", "quote'.csv", 'double".csv', "glob*[x]?.csv", "semi;colon.csv", "percent%41.csv", "ünï😀.csv", "-rf.csv", "$(touch x).csv", "UP.CSV", "a.parquet.csv"],
)  # fmt: skip
def test_hostile_file_names(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "it's [a] *folder*; --"
    folder.mkdir()
    write_csv(folder / "globxx.csv", {"id": ["other"]})
    path = write_csv(folder / name, {"id": ["1", "2"]})
    parquet = write_parquet(
        folder / name.replace(".csv", ".parquet").replace(".CSV", ".PARQUET"), {"id": ["2", "3"]}, {"id": pa.string()}
    )
    before = listing(tmp_path)
    sql = "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id"
    out = tmp_path / "out 'x' [y]*"
    found = drive(document(sql, source(path, ["id"]), source(parquet, ["id"])), out)
    assert (found["matched_count"], found["unmatched_left_count"], found["unmatched_right_count"]) == (1, 1, 1)
    assert {k: v for k, v in listing(tmp_path).items() if not k.startswith(str(out))} == before


CELLS = [
    "=1+1",
    "@SUM(A1)",
    "'; DROP TABLE x; --",
    "\\",
    "\\n",
    "%s%n",
    "{0}",
    "${HOME}",
    "\u202etxt",
    "a\u0000b",
    "\x1f",
    "\x7f",
    "x" * 100_000,
    "\ufeff",
    "😀" * 100,
]


def test_hostile_cells_arrive_as_they_are(tmp_path: Path) -> None:
    columns = {"id": CELLS}
    sides = [source(write_parquet(tmp_path / f"{s}.parquet", columns, {"id": pa.string()}), ["id"]) for s in "lr"]
    for strategy in ("local", "shuffle"):
        out = tmp_path / strategy
        found = beam(
            document("SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id", *sides), out, strategy=strategy
        )
        assert found["matched_count"] == len(CELLS)
        assert [row["id"] for row in read_set(out, "matched")] == CELLS


def test_roots_bound_what_a_run_may_read(sides: list[dict[str, Any]], tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "link.csv").symlink_to(tmp_path / "l.csv")
    inside = source(write_csv(allowed / "in.csv", {"id": ["1"]}), ["id"])
    sql = "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id"
    assert drive(document(sql, inside, inside), tmp_path / "fine", roots=[str(allowed)])["matched_count"] == 1
    for bad in (tmp_path / "l.csv", allowed / "link.csv", allowed / ".." / "l.csv", Path("/etc/passwd.csv")):
        with pytest.raises(KallaError) as caught:
            drive(document(sql, source(bad, ["id"]), inside), tmp_path / "out", roots=[str(allowed)])
        assert caught.value.code == "source.path_forbidden"


def test_a_folder_named_like_a_package_is_not_imported(sides: list[dict[str, Any]], tmp_path: Path) -> None:
    from pipelines.launch import launch

    for package in ("recipe", "udfs", "json"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('hijacked')")
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        sql = "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id"
        assert launch(request(document(sql, *sides), tmp_path / "out"))["status"] == "completed"
    finally:
        os.chdir(here)
