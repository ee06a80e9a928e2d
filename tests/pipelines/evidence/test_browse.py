"""A filtered, searched and sorted page is the one that plain Python finds."""

from __future__ import annotations

import json
import shutil
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import parse_one

from pipelines.evidence import Evidence, EvidenceError, Query, browse, reasons_filter, set_columns, verify
from pipelines.evidence.tables import opened
from recipe import FilterCondition, KallaError
from tests.pipelines.evidence.queries import KINDS, WORDS, expected, make_hostile, split
from tests.pipelines.evidence.samples import csv_recipe, run_recipe


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of column under names that mean something to engines. Not to be changed."""
    return make_hostile(tmp_path_factory.mktemp("hostile"))


def where(column: str, op: str, value: Any) -> FilterCondition:
    return FilterCondition(column=column, op=op, value=value)


def check(folder: Path, set_name: str, query: Query) -> None:
    page = browse(Evidence(folder), set_name, query)
    rows, total = expected(folder, set_name, query)
    assert (page.rows, page.total) == (rows, total)
    assert page.set_rows == Evidence(folder).total(set_name)


# --- against plain Python ---------------------------------------------------------------------------------------------

NAMES = [
    "_row",
    "_reason",
    "_failed",
    "_gap",
    *(n for n in KINDS if n not in ("_row", "_Reason")),
    "_row_src",
    "_Reason_src",
]
TEXT_VALUES = st.one_of(st.sampled_from(WORDS), st.text(max_size=3).filter(lambda t: t.isprintable()))
NUMBERS = st.sampled_from(["0", "10", "-0.25", "0.005", "1e20", "1e40", "-1e40", "25", "7", "15.5", "1e300"]).map(
    Decimal
)
DATES = st.sampled_from(["2026-03-05", "2026-03-01", "2026-03-09"])
MOMENTS = st.sampled_from(
    ["2026-03-05T12:30:00", "2026-03-05", "2026-03-06T12:30:00.500000", "2026-03-04T12:30:00.000007"]
)


def operands(name: str) -> st.SearchStrategy[Any]:
    kind = pa.int64() if name == "_row" else KINDS.get(name, pa.string())
    if pa.types.is_boolean(kind):
        return st.sampled_from(["true", "false"])
    if pa.types.is_date(kind):
        return DATES
    if pa.types.is_timestamp(kind):
        return MOMENTS
    return st.one_of(TEXT_VALUES, NUMBERS) if pa.types.is_string(kind) else NUMBERS


@st.composite
def conditions(draw: st.DrawFn) -> FilterCondition:
    name = draw(st.sampled_from(NAMES))
    kind = KINDS.get(name, pa.string())
    ops = ["eq", "neq", "gt", "gte", "lt", "lte", "between", "in"] + (
        ["like"] if pa.types.is_string(kind) and name != "_row" else []
    )
    op = draw(st.sampled_from(ops))
    if op == "like":
        return where(name, op, draw(st.text("aA%_\\c-1 ", max_size=5)))
    first = draw(operands(name))
    if op not in ("between", "in"):
        return where(name, op, first)
    same = operands(name).filter(lambda value: isinstance(value, type(first)))
    return where(name, op, [first, *draw(st.lists(same, min_size=1, max_size=1 if op == "between" else 4))])


@st.composite
def queries(draw: st.DrawFn) -> Query:
    return Query(
        filters=tuple(draw(st.lists(conditions(), max_size=2))),
        search=draw(st.one_of(st.just(""), st.sampled_from(["acme", "ACME", "5", ".5", "2026-03", "12:30", "tru", "1e", "na", "inf", "ü", "T12", "0Z", "-", "zz\n"]))),
        sort=draw(st.one_of(st.none(), st.sampled_from(NAMES))),
        descending=draw(st.booleans()),
        limit=draw(st.sampled_from([1, 7, 50, 1000])),
        offset=draw(st.sampled_from([0, 3, 60, 290, 1000])),
    )  # fmt: skip


@given(query=queries())
def test_any_query_is_what_plain_python_finds(hostile: Path, query: Query):
    check(hostile, "unmatched_left", query)


@pytest.mark.parametrize("set_name", ["matched", "unmatched_left", "unmatched_right"])
@pytest.mark.parametrize("descending", [False, True])
def test_every_column_of_the_sample_sorts(sample: Path, set_name: str, descending: bool):
    for column in Evidence(sample).schema(set_name).names:
        for offset in (0, 2):
            check(sample, set_name, Query(sort=column, descending=descending, limit=4, offset=offset))


# --- cases of their own -----------------------------------------------------------------------------------------------


def test_evidence_with_hostile_names_verifies(hostile: Path):
    assert verify(hostile).ok


def test_columns_whose_names_differ_in_case_only(tmp_path: Path):
    names = ["id", "Id", "ID"]
    table = pa.table([pa.array([1, 2, 3]), pa.array(["c", "b", "a"]), pa.array([5, 4, 6])], names=names)
    pq.write_table(table, tmp_path / "left.parquet")
    pq.write_table(pa.table({"id": [9]}), tmp_path / "right.parquet")
    recipe = {
        "recipe_id": "t",
        "name": "T",
        "match_sql": 'SELECT l."id" FROM left_src l JOIN right_src r ON l."id" = r.id',
    }
    sources = {
        s: {"alias": s, "type": "parquet", "uri": f"{tmp_path}/{s}.parquet", "primary_key": ["id"]}
        for s in ("left", "right")
    }
    run_recipe(recipe | {"sources": sources}, tmp_path / "out")
    found = Evidence(tmp_path / "out")
    columns = found.schema("unmatched_left").names
    assert [row[6] for row in browse(found, "unmatched_left", Query(sort=columns[6])).rows] == ["a", "b", "c"]
    assert [row[7] for row in browse(found, "unmatched_left", Query(sort=columns[7], descending=True)).rows] == [
        "6",
        "5",
        "4",
    ]
    assert browse(found, "unmatched_left", Query(filters=(where(columns[7], "eq", 4),))).rows[0][5:] == ["2", "b", "4"]


def test_lists_of_row_ids(grouped: Path):
    found = Evidence(grouped)
    assert [c.is_list for c in set_columns(found, "matched")[:3]] == [True, True, False]

    def ids(*filters: FilterCondition, **more: Any) -> list[str | None]:
        return [row[0] for row in browse(found, "matched", Query(filters, **more)).rows]

    assert ids(where("_left_row", "eq", 2)) == ["1 2"]
    assert ids(where("_right_row", "in", [3, 77])) == ["3"]
    assert ids(where("_left_row", "eq", "2.5")) == []
    assert ids(sort="_right_row", descending=True) == ["3", "1 2"]
    assert ids(search="15.5") == ["1 2"]
    with pytest.raises(KallaError) as caught:
        ids(where("_left_row", "gt", 2))
    assert (caught.value.code, caught.value.details[0]["path"]) == ("filter.unknown_op", "conditions[0].op")


def test_texts_that_the_rule_reads_as_numbers_sort_as_numbers(tmp_path: Path):
    amounts = ["10,00", "9,50", "", "1.000,00", "n/a", "-3", "9,5", "abc"]
    left = "id;amount\n" + "".join(f"{i};{a}\n" for i, a in enumerate(amounts, 1))
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND tolerance_match(l.amount, r.amount, 0.01)"
    recipe = csv_recipe(tmp_path, left, "id;amount\n99;1\n", sql)
    document = json.loads(recipe.read_text(encoding="utf-8"))
    for source in document["sources"].values():
        source["format"] = {"delimiter": ";", "decimal": ",", "thousands": "."}
    recipe.write_text(json.dumps(document), encoding="utf-8")
    run_recipe(recipe, tmp_path / "out")
    for descending in (False, True):
        check(tmp_path / "out", "unmatched_left", Query(sort="amount", descending=descending))
    page = browse(Evidence(tmp_path / "out"), "unmatched_left", Query(sort="amount"))
    assert [row[6] for row in page.rows] == ["-3", "9,5", "9,50", "10,00", "1.000,00", "abc", "n/a", None]
    found = browse(Evidence(tmp_path / "out"), "unmatched_left", Query((where("amount", "gte", Decimal("9.5")),)))
    assert [row[0] for row in found.rows] == ["1", "2", "4", "7"]


def test_gaps_sort_by_size(tmp_path: Path):
    left = "id,amount\n" + "".join(f"{i},{i * 3}\n" for i in range(1, 12))
    right = "id,amount\n" + "".join(f"{i},0\n" for i in range(1, 12))
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND tolerance_match(l.amount, r.amount, 1)"
    run_recipe(csv_recipe(tmp_path, left, right, sql), tmp_path / "out")
    page = browse(Evidence(tmp_path / "out"), "unmatched_left", Query(sort="_gap", descending=True, limit=3))
    assert [row[4] for row in page.rows] == ["33.00", "30.00", "27.00"]


def test_reasons(sample: Path):
    found = Evidence(sample)
    total = {r: browse(found, "unmatched_left", Query((reasons_filter([r]),))).total for r in ("no_key", "predicate")}
    assert total == {"no_key": 7, "predicate": 1}
    assert browse(found, "unmatched_left", Query((reasons_filter(["no_key", "predicate"]),))).total == 8


def test_sets_without_rows(tmp_path: Path):
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id"
    run_recipe(csv_recipe(tmp_path, "id\n1\n", "id\n1\n", sql), tmp_path / "out")
    found = Evidence(tmp_path / "out")
    for query in (Query(), Query(search="1"), Query(sort="id", descending=True), Query((where("id", "eq", "1"),))):
        page = browse(found, "unmatched_left", query)
        assert (page.rows, page.total, page.set_rows) == ([], 0, 0)
        assert [c.name for c in page.columns][-1] == "id"


@pytest.mark.parametrize("count", [1, 3, 5])
def test_deep_pages_across_parts(hostile: Path, tmp_path: Path, count: int):
    folder = Path(shutil.copytree(hostile, tmp_path / "evidence"))
    for part in (folder / "unmatched_left").iterdir():
        if part.name != "part-00000.parquet":
            part.unlink()
    shutil.copy(hostile / "unmatched_left" / "part-00001.parquet", folder / "unmatched_left" / "part-00000.parquet")
    split(folder, "unmatched_left", count)
    for limit in (1, 300):  # beyond 200 rows only places are sorted, and rows fetched after
        check(folder, "unmatched_left", Query(sort="Käse ?", descending=True, limit=limit, offset=70))
    check(hostile, "unmatched_left", Query(sort="Käse ?", limit=90, offset=201))


def test_a_search_means_its_characters(hostile: Path):
    for text in ("%", "_", "\\", "'", "'; --", "\ud800", "\x00", "=" * 200):
        page = browse(Evidence(hostile), "unmatched_left", Query(search=text, limit=1000))
        assert all(any(text in (cell or "") for cell in row) for row in page.rows)
    assert browse(Evidence(hostile), "unmatched_left", Query(search="'; --")).total > 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (Query(sort="nothing"), "evidence.unknown_column"),
        (Query((where("nothing", "eq", "1"),)), "filter.unknown_column"),
        (Query((where("id", "eq", "x"),)), "filter.invalid_value"),
        (Query((where("id", "like", "x"),)), "filter.invalid_value"),
        (Query((where("place", "gt", "yesterday"),)), "filter.invalid_value"),
    ],
)
def test_what_does_not_fit_is_refused(hostile: Path, query: Query, code: str):
    with pytest.raises(KallaError) as caught:
        browse(Evidence(hostile), "unmatched_left", query)
    assert caught.value.code == code


def test_unknown_set(hostile: Path):
    with pytest.raises(EvidenceError) as caught:
        browse(Evidence(hostile), "everything", Query(search="x"))
    assert caught.value.code == "evidence.unknown_set"


def test_missing_and_damaged_parts_are_named(mine: Path):
    part = mine / "unmatched_left" / "part-00000.parquet"
    query = Query(search="x")
    found = Evidence(mine)
    found.schema("unmatched_left")  # known before the file goes
    part.unlink()
    with pytest.raises(EvidenceError) as caught:
        browse(found, "unmatched_left", query)
    assert caught.value.code == "evidence.part_missing"
    part.write_bytes(b"PAR1 but nothing else")
    with pytest.raises(EvidenceError) as caught:
        browse(found, "unmatched_left", query)
    assert caught.value.code == "evidence.part_unreadable"


def test_what_takes_too_long_ends(sample: Path):
    started = time.monotonic()
    endless = parse_one(
        "SELECT count(*) FROM range(100000) a, range(100000) b WHERE a.range * b.range = -1", dialect="duckdb"
    )
    with pytest.raises(EvidenceError) as caught, opened(Evidence(sample), ["matched"], seconds=0.2) as tables:
        tables.rows(endless)
    assert caught.value.code == "evidence.too_slow"
    assert time.monotonic() - started < 20


def test_the_engine_reads_nothing_else(sample: Path, tmp_path: Path):
    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")
    for sql in (f"SELECT * FROM read_csv('{tmp_path}/secret.csv')", "SELECT * FROM read_text('/etc/passwd')"):
        with pytest.raises(EvidenceError), opened(Evidence(sample), ["matched"]) as tables:
            tables.rows(parse_one(sql, dialect="duckdb"))


def test_folders_with_signs_of_patterns(sample: Path, tmp_path: Path):
    folder = Path(shutil.copytree(sample, tmp_path / "a[1]*?'x"))
    check(folder, "unmatched_left", Query(sort="amount", descending=True))
