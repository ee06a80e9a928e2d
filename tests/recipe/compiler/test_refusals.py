"""What may not be written: each statement with its code, its place and a word of the message."""

from __future__ import annotations

import logging

import pytest

from recipe.compiler import check_match_sql, compile_match_sql, lowering
from recipe.errors import RecipeError
from tests.recipe.compiler.engine import FUNCTIONS, LEFT, RIGHT

J = " FROM left_src l JOIN right_src r ON l.id = r.id"
_W = len("SELECT l.id" + J + " WHERE ") + 1

# (statement, code without "recipe.sql.", line and column or None, a part of the message)
REFUSED = [
    # --- not one SELECT
    ("", "syntax", None, "empty"),
    (" \n-- only a comment\n", "syntax", None, "empty"),
    (";;", "syntax", None, "empty"),
    ("hello world", "syntax", (1, 1), "must begin with SELECT"),
    ("SELECT * FROM", "syntax", (1, 10), "table name is expected"),
    ("SELECT l.id,, l.ref" + J, "syntax", (1, 12), "near ','"),
    ("SELECT 'abc", "syntax", (1, 8), "not closed"),
    ("SELECT (l.id" + J, "syntax", None, "expected"),
    ("SELECT l.id" + J + " WHERE", "syntax", None, ""),
    ("SELECT 1_000" + J, "syntax", (1, 8), "1_000"),
    ("SELECT l.id FROM left_src l CROSS JOIN right_src r ON true", "syntax", (1, 40), "CROSS JOIN"),
    ("SELECT l.id FROM left_src l LEFT JOIN right_src r", "syntax", (1, 39), "LEFT JOIN needs ON"),
    *[
        (statement, "forbidden", (1, 1), statement.split()[0])
        for statement in (
            "INSERT INTO left_src VALUES (1)", "UPDATE left_src SET id = 1", "DELETE FROM left_src",
            "DROP TABLE left_src", "CREATE TABLE x AS SELECT 1", "CREATE EXTERNAL TABLE x LOCATION '/etc'",
            "COPY left_src TO '/tmp/x'", "COPY (SELECT 1) TO '/tmp/x'", "ATTACH 'x.db'", "DETACH x", "PRAGMA version",
            "SET memory_limit = '1GB'", "RESET x", "INSTALL httpfs", "LOAD httpfs", "EXPLAIN SELECT 1",
            "PREPARE x AS SELECT 1", "EXECUTE x", "CALL pg_sleep(1)", "VALUES (1)", "TABLE left_src", "FROM left_src",
            "EXPORT DATABASE 'x'", "IMPORT DATABASE 'x'", "DO $$ x $$", "SHOW TABLES", "DESCRIBE left_src",
            "TRUNCATE left_src", "ALTER TABLE left_src ADD x int", "MERGE INTO left_src USING right_src ON true",
            "GRANT ALL ON left_src TO x", "BEGIN", "COMMIT", "VACUUM", "USE x", "LISTEN x", "LOCK TABLE left_src",
        )
    ],
    ("SELECT l.id" + J + "; SELECT 1", "forbidden", (1, 62), "several statements"),
    ("SELECT l.id" + J + ";\nDROP TABLE left_src;", "forbidden", (2, 1), "several statements"),
    ("SELECT l.id" + J + " /* x */ ; /* y */ COPY left_src TO 'x'", "forbidden", (1, 79), "several statements"),
    ("SELECT l.id INTO x" + J, "forbidden", (1, 13), "SELECT INTO"),
    ("SELECT l.id" + J + " FOR UPDATE", "forbidden", (1, 61), "FOR UPDATE"),
    ("WITH x AS (DELETE FROM left_src RETURNING *) SELECT l.id" + J, "forbidden", (1, 24), "DELETE"),
    ("WITH x AS (INSERT INTO left_src VALUES (1)) SELECT l.id" + J, "forbidden", (1, 24), "INSERT"),
    ("WITH x AS (SELECT 1) DO $$ x $$", "syntax", (1, 25), "out of place"),
    # --- tables
    ("SELECT * FROM read_csv('/etc/passwd')", "forbidden", (1, 15), "table function read_csv"),
    ("SELECT l.id FROM left_src l JOIN read_csv('/etc/passwd') r ON true", "forbidden", (1, 34), "read_csv"),
    ("SELECT * FROM read_parquet('s3://b/k') p, right_src", "forbidden", (1, 15), "read_parquet"),
    ("SELECT * FROM glob('*')", "forbidden", (1, 15), "glob"),
    ("SELECT * FROM generate_series(1, 10) g", "forbidden", (1, 15), "generate_series"),
    ("SELECT * FROM query('SELECT 1')", "forbidden", (1, 15), "query"),
    ("SELECT * FROM query_table('left_src')", "forbidden", (1, 15), "query_table"),
    ("SELECT * FROM duckdb_settings()", "forbidden", (1, 15), "duckdb_settings"),
    ("SELECT * FROM pragma_database_list()", "forbidden", (1, 15), "pragma_database_list"),
    ("SELECT l.id" + J + " WHERE l.id IN (SELECT x FROM read_json('a'))", "forbidden", (1, 90), "read_json"),
    ("SELECT * FROM 'file.csv'", "forbidden", (1, 15), "is a file"),
    ('SELECT * FROM "/etc/passwd"', "forbidden", (1, 15), "is a file"),
    ('SELECT * FROM "data.parquet" d, right_src', "forbidden", (1, 15), "is a file"),
    ("SELECT * FROM left_src l, 's3://b/k.parquet' r", "forbidden", (1, 27), "is a file"),
    ("SELECT * FROM invoices i\nJOIN payments p ON i.id = p.id", "unknown_table", (1, 15), "left_src and right_src"),
    ("SELECT * FROM information_schema.tables", "unknown_table", (1, 15), "information_schema.tables"),
    ("SELECT * FROM pg_catalog.pg_tables", "unknown_table", (1, 15), "pg_catalog"),
    ("SELECT * FROM sqlite_master", "unknown_table", (1, 15), "sqlite_master"),
    ("SELECT * FROM public.left_src l JOIN right_src r ON true", "unknown_table", (1, 15), "did you mean left_src"),
    ("SELECT * FROM l\u0435ft_src l JOIN right_src r ON true", "unknown_table", (1, 15), "did you mean left_src"),
    ("SELECT * FROM left_srcs l JOIN right_src r ON true", "unknown_table", (1, 15), "did you mean left_src"),
    ('SELECT * FROM "LEFT_SRC" l JOIN right_src r ON true', "unknown_table", (1, 15), "LEFT_SRC"),
    ("SELECT l.id" + J + " JOIN other o ON true", "unknown_table", (1, 66), "other"),
    ("WITH a AS (SELECT * FROM a) SELECT a.id FROM a JOIN right_src r ON true", "unknown_table", (1, 26), "a"),
    ("SELECT x.id" + J, "unknown_table", (1, 8), "called l, r"),
    ("SELECT left_src.id" + J, "unknown_table", (1, 8), "left_src is called l here"),
    ("SELECT x.*" + J, "unknown_table", (1, 8), "called l, r"),
    # --- functions
    *[
        (f"SELECT {call}" + J, "forbidden", (1, 8), word)
        for call, word in (
            ("getenv('HOME')", "getenv"), ("read_text('/etc/passwd')", "read_text"), ("md5(l.ref)", "md5"),
            ("current_setting('x')", "current_setting"), ("set_config('a', 'b', false)", "set_config"),
            ("pg_sleep(1)", "pg_sleep"), ("pg_read_file('x')", "pg_read_file"), ("version()", "version"),
            ("nextval('x')", "nextval"), ("random()", "same result"), ("now()", "same result"),
            ("CURRENT_DATE", "same result"), ("CURRENT_TIMESTAMP", "same result"), ("uuid()", "same result"),
            ("gen_random_uuid()", "same result"), ("FIRST(l.ref)", "same result"), ("CURRENT_USER", "CURRENT_USER"),
            ("list_transform([1], x -> x + 1)", "list_transform"), ("COUNT_IF(l.ok)", "did you mean count"),
            ("tolerence_match(l.amount, r.amount, 1)", "did you mean tolerance_match"), ("ROW(1, 2)", "ROW"),
            ("IF(l.ok, 1, 2)", "IF"), ("TRY_CAST(l.ref AS int)", "TRY_CAST"), ("sqrt(l.qty)", "sqrt"),
            ("to_char(l.day, 'YYYY')", "to_char"), ("query('SELECT 1')", "query"), ("ANY_VALUE(l.ref)", "same result"),
        )
    ],
    ("SELECT l.id" + J + " WHERE l.day > CURRENT_DATE - 30", "forbidden", (1, _W + 8), "same result"),
    ("SELECT l.id" + J + " WHERE l.id = :p", "forbidden", (1, _W + 7), "parameters"),
    ("SELECT l.id" + J + " WHERE l.id = ?", "forbidden", (1, _W + 7), "parameters"),
    ("SELECT l.id" + J + " WHERE l.id = $1", "forbidden", (1, _W + 7), "parameters"),
    ("SELECT l.id" + J + " WHERE l.id = @x", "forbidden", (1, _W + 7), "parameters"),
    # --- arguments
    ("SELECT tolerance_match(l.amount, r.amount)" + J, "wrong_arguments", (1, 8), "takes 3 arguments"),
    ("SELECT normalize_ref(l.ref, l.ok)" + J, "wrong_arguments", (1, 29), "written out"),
    ("SELECT lpad(l.ref, 1000000000, '0')" + J, "wrong_arguments", (1, 8), "0 to 10,000"),
    ("SELECT rpad(l.ref, l.id)" + J, "wrong_arguments", (1, 8), "written out"),
    ("SELECT abs()" + J, "wrong_arguments", (1, 12), "number of arguments"),
    ("SELECT abs(1, 2)" + J, "wrong_arguments", (1, 16), "number of arguments"),
    ("SELECT substring(l.ref)" + J, "wrong_arguments", (1, 8), "SUBSTRING takes 2 to 3"),
    ("SELECT length(l.ref, 'UTF8')" + J, "wrong_arguments", (1, 22), "LENGTH"),
    ("SELECT round(l.amount, l.qty)" + J, "wrong_arguments", (1, 24), "written out"),
    ("SELECT lpad(l.ref, 3, '')" + J, "wrong_arguments", (1, 8), "to fill with"),
    ("SELECT split_part(l.ref, '-', 0)" + J, "wrong_arguments", (1, 8), "other than 0"),
    ("SELECT l.id" + J + " AND l.qty IN ()", "wrong_arguments", (1, 65), "at least one"),
    ("SELECT l.id" + J + " GROUP BY 5", "wrong_arguments", (1, 70), "no such column"),
    ("SELECT l.id" + J + " UNION ALL SELECT 1, 2", "wrong_arguments", (1, 8), "1 and 2"),
    ("SELECT l.id" + J + " WHERE l.id IN (SELECT id, ref FROM left_src)", "wrong_arguments", None, "one column"),
    ("SELECT (SELECT l.id, l.ref)" + J, "wrong_arguments", (1, 16), "one column"),
    ("SELECT ROW_NUMBER()" + J, "wrong_arguments", (1, 8), "needs OVER"),
    ("SELECT STRING_AGG(l.ref, r.ref)" + J, "wrong_arguments", None, "written out"),
    ("SELECT EXTRACT(EPOCH FROM l.ts)" + J, "wrong_arguments", None, "EXTRACT knows"),
    ("SELECT DATE_TRUNC('decade', l.ts)" + J, "wrong_arguments", (1, 8), "DATE_TRUNC knows"),
    ("SELECT l.day + INTERVAL '1 fortnight'" + J, "wrong_arguments", None, "FORTNIGHT"),
    ("SELECT CAST(l.qty AS numeric(50, 2))" + J, "wrong_arguments", None, "numeric(p, s)"),
    ("SELECT l.ref LIKE 'a\\'" + J, "wrong_arguments", (1, 19), "escape"),
    ("SELECT l.ref ~ r.ref" + J, "wrong_arguments", (1, 16), "written out"),
    *[
        (f"SELECT regexp_replace(l.ref, '{pattern}', '')" + J, "wrong_arguments", (1, 30), "regular expression")
        for pattern in ("(?=x)", "(a", r"(a)\1", r"\mword", "a*?", "a++", "[[.x.]]", "***=x", "a\\", "a{1001}", "(a{1,200}){1,200}", "a{" + "9" * 5000 + "}", "[a" * 30000)
    ],
    # --- columns
    ("SELECT l.nope" + J, "unknown_column", (1, 10), "l has no column nope"),
    ("SELECT l.amuont" + J, "unknown_column", (1, 10), "did you mean amount"),
    ('SELECT l."ID"' + J, "unknown_column", (1, 10), "did you mean id"),
    ('SELECT l."mixed case"' + J, "unknown_column", (1, 10), '"Mixed Case"'),
    ("SELECT l.id" + J + "\n  WHERE nope > 1", "unknown_column", (2, 9), "no column nope"),
    ("SELECT id" + J, "ambiguous_column", (1, 8), "l.id or r.id"),
    ("SELECT l.id" + J + " ORDER BY nope", "unknown_column", (1, 70), "nope"),
    # --- kinds
    ("SELECT l.id" + J + " WHERE l.amount", "type_mismatch", (1, _W), "needs a condition"),
    ("SELECT l.id" + J + " AND l.day = r.amount", "type_mismatch", (1, 65), "cannot be compared"),
    ("SELECT l.id" + J + " AND l.ok = r.ref", "type_mismatch", (1, 65), "cannot be compared"),
    ("SELECT l.id" + J + " AND l.day = '31.01.2026'", "type_mismatch", (1, 73), "ISO"),
    ("SELECT l.id" + J + " AND l.amount = 'abc'", "type_mismatch", (1, 76), "not a number"),
    ("SELECT l.id" + J + " AND l.ok = 'maybe'", "type_mismatch", (1, 72), "maybe"),
    ("SELECT l.id" + J + " AND ABS(l.day) > 1", "type_mismatch", (1, 69), "a number is needed"),
    ("SELECT l.id" + J + " AND date_within(l.amount, r.day, 1)", "type_mismatch", (1, 77), "a date is needed"),
    ("SELECT l.ts - r.ts" + J, "type_mismatch", (1, 8), "difference of timestamps"),
    ("SELECT l.day + 1.5" + J, "type_mismatch", (1, 16), "whole number"),
    ("SELECT l.qty + l.ok" + J, "type_mismatch", (1, 16), "boolean"),
    ("SELECT CASE WHEN l.qty THEN 1 END" + J, "type_mismatch", (1, 18), "WHEN"),
    ("SELECT COALESCE(l.day, 1)" + J, "type_mismatch", None, "cannot be compared"),
    ("SELECT 123456789012345678901234567890123456789" + J, "type_mismatch", (1, 8), "38 digits"),
    ("SELECT l.day" + J + " UNION ALL SELECT l.qty" + J, "type_mismatch", (1, 8), "cannot be compared"),
    # --- both sides
    ("SELECT * FROM left_src", "missing_side", None, "right_src is not used"),
    ("SELECT 1", "missing_side", None, "left_src and right_src are not used"),
    ("SELECT l.id FROM left_src l WHERE EXISTS (SELECT 1 FROM right_src r)", "untraceable", (1, 8), "filter of WHERE"),
    ("SELECT l.id, (SELECT MAX(id) FROM right_src) FROM left_src l", "untraceable", (1, 8), "right_src"),
    ("SELECT id FROM left_src UNION ALL SELECT id FROM right_src", "untraceable", (1, 8), "UNION ALL"),
    # --- clauses
    ("SELECT l.id" + J + " LIMIT 1", "untraceable", (1, 61), "LIMIT"),
    ("SELECT l.id" + J + " OFFSET 1", "untraceable", (1, 61), "OFFSET"),
    ("SELECT l.id" + J + " FETCH FIRST 1 ROWS ONLY", "untraceable", (1, 61), "LIMIT"),
    ("SELECT * FROM (SELECT * FROM left_src ORDER BY id LIMIT 3) l, right_src r", "untraceable", (1, 51), "LIMIT"),
    ("SELECT DISTINCT ON (l.id) l.id" + J, "untraceable", None, "DISTINCT ON"),
    ("SELECT l.id" + J + " GROUP BY ROLLUP(l.id)", "untraceable", None, "ROLLUP"),
    ("SELECT l.id" + J + " GROUP BY CUBE(l.id)", "untraceable", None, "CUBE"),
    ("SELECT l.id" + J + " GROUP BY GROUPING SETS ((l.id), ())", "untraceable", None, "GROUPING SETS"),
    ("SELECT l.id" + J + " GROUP BY ALL", "unsupported", (1, 70), "ALL"),
    ("SELECT l.id" + J + " QUALIFY ROW_NUMBER() OVER () = 1", "unsupported", (1, 61), "QUALIFY"),
    ("WITH RECURSIVE x AS (SELECT 1) SELECT l.id" + J, "untraceable", (1, 6), "RECURSIVE"),
    ("SELECT id FROM left_src INTERSECT SELECT id FROM right_src", "untraceable", (1, 25), "INTERSECT"),
    ("SELECT id FROM left_src EXCEPT SELECT id FROM right_src", "untraceable", (1, 25), "EXCEPT"),
    ("SELECT * FROM left_src l, LATERAL (SELECT * FROM right_src) x", "untraceable", None, "LATERAL"),
    ("SELECT * FROM left_src CROSS JOIN UNNEST(ARRAY[1]), right_src", "untraceable", None, "UNNEST"),
    ("SELECT unnest(ARRAY[1])" + J, "untraceable", (1, 8), "UNNEST"),
    ("SELECT * FROM (VALUES (1)) v, left_src, right_src", "untraceable", None, "VALUES"),
    ("SELECT * FROM left_src TABLESAMPLE SYSTEM (10), right_src", "untraceable", (1, 24), "TABLESAMPLE"),
    ("SELECT * FROM left_src PIVOT(sum(qty) FOR ref IN ('a')), right_src", "untraceable", (1, 24), "PIVOT"),
    ("SELECT * FROM left_src l SEMI JOIN right_src r ON l.id = r.id", "untraceable", None, "SEMI"),
    ("SELECT * FROM left_src l ANTI JOIN right_src r ON l.id = r.id", "untraceable", None, "ANTI"),
    ("SELECT * FROM left_src l ASOF JOIN right_src r ON l.id = r.id", "untraceable", None, "ASOF"),
    ("SELECT * FROM left_src l NATURAL JOIN right_src r", "unsupported", None, "NATURAL"),
    ("SELECT * FROM (left_src l JOIN right_src r ON l.id = r.id)", "unsupported", None, "parentheses"),
    ("SELECT * FROM left_src l JOIN right_src l ON true", "unsupported", (1, 31), "two tables are called l"),
    ("SELECT * FROM left_src AS l(a, b), right_src r", "unsupported", None, "rename"),
    ("SELECT * FROM ONLY left_src, right_src", "unsupported", (1, 15), "ONLY"),
    ("WITH left_src AS (SELECT 1) SELECT * FROM right_src, left_src", "unsupported", (1, 6), "is a source"),
    ("WITH a AS (SELECT 1), A AS (SELECT 2) SELECT l.id" + J, "unsupported", (1, 23), "two WITH"),
    ("SELECT SUM(l.qty) OVER w" + J + " WINDOW w AS (PARTITION BY l.id)", "unsupported", None, "named window"),
    ("SELECT l.* EXCEPT (id)" + J, "unsupported", (1, 8), "EXCEPT"),
    ("SELECT l.id" + J + " WHERE SUM(l.qty) > 1", "unsupported", (1, _W), "use HAVING"),
    ("SELECT l.id" + J + " WHERE ROW_NUMBER() OVER () = 1", "unsupported", (1, _W), "sub-query"),
    ("SELECT SUM(SUM(l.qty))" + J, "unsupported", (1, 12), "inside another aggregate"),
    ("SELECT l.id, SUM(l.qty)" + J, "grouping", (1, 10), "GROUP BY"),
    ("SELECT l.id" + J + " GROUP BY l.ref", "grouping", (1, 10), "GROUP BY"),
    # --- expressions
    ("SELECT l.ref[1]" + J, "unsupported", (1, 8), "[]"),
    ("SELECT (l.ref).x" + J, "unsupported", (1, 9), "member access"),
    ("SELECT a.b.c" + J, "unsupported", (1, 8), "table.name"),
    ("SELECT pg_catalog.abs(l.qty)" + J, "unsupported", (1, 8), "member access"),
    ("SELECT l.ref -> 'a'" + J, "unsupported", (1, 8), "->"),
    ("SELECT ARRAY[1]" + J, "unsupported", None, "ARRAY"),
    ("SELECT {'a': 1}" + J, "unsupported", None, "struct"),
    ("SELECT (1, 2)" + J, "unsupported", None, "row of values"),
    ("SELECT l.id" + J + " WHERE l.id = ANY(ARRAY[1])", "unsupported", None, "ANY"),
    ("SELECT l.id" + J + " WHERE l.id = ALL (SELECT 1)", "unsupported", None, "ALL"),
    ("SELECT l.id" + J + " WHERE l.qty BETWEEN SYMMETRIC 3 AND 1", "unsupported", (1, _W), "SYMMETRIC"),
    ('SELECT l.ref COLLATE "C"' + J, "unsupported", (1, 8), "COLLATE"),
    ("SELECT l.ts AT TIME ZONE 'UTC'" + J, "unsupported", (1, 8), "AT TIME ZONE"),
    ("SELECT l.ref SIMILAR TO 'x'" + J, "unsupported", (1, 8), "SIMILAR TO"),
    ("SELECT l.qty ^ 2" + J, "unsupported", (1, 8), "^"),
    ("SELECT l.qty & 1" + J, "unsupported", (1, 8), ""),
    ("SELECT INTERVAL '1 day'" + J, "unsupported", None, "INTERVAL"),
    ("SELECT l.qty OPERATOR(pg_catalog.+) 1" + J, "unsupported", (1, 8), "OPERATOR"),
    ("SELECT l.ref::json" + J, "unsupported", (1, 8), "CAST to JSON"),
    ("SELECT tolerance_match(l.amount, r.amount, t => 1)" + J, "unsupported", None, "t => 1"),
    ("SELECT count(l.*)" + J, "unsupported", None, "select list"),
    ("SELECT NTILE(2) OVER (ORDER BY l.id)" + J, "unsupported", None, "NTILE"),
    ("SELECT l.id" + J + " WHERE (l.id, l.ref) IN ((1, 'a'))", "unsupported", None, "IN takes"),
    # --- size
    ("SELECT " + "(" * 10_000 + "1" + ")" * 10_000, "too_deep", (1, 40), "nested"),
    ("SELECT " + "NOT " * 5_000 + "true", "too_deep", (1, 136), "nested"),
    ("SELECT " + "CASE WHEN true THEN " * 500 + "1" + " END" * 500, "too_deep", None, "nested"),
    ("SELECT 1" + " + 1" * 5_000 + J, "too_deep", None, "too deep"),
    ("SELECT 'a'" + " || 'a'" * 3_000 + J, "too_deep", None, "too deep"),
    ("SELECT l.qty" + "::int" * 3_000 + J, "too_deep", None, "too deep"),
    ("SELECT l.id" + J + " -- " + "x" * 70_000, "too_long", None, "65,536"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "code", "place", "words"), REFUSED, ids=[r[0][:60] or "empty" for r in REFUSED])
def test_refused_with_code_and_place(
    sql: str, code: str, place: tuple[int, int] | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        plan, problems, _ = check_match_sql(sql, LEFT, RIGHT, FUNCTIONS)
    assert plan is None
    found = [p for p in problems if p.code == f"recipe.sql.{code}"]
    assert found, problems
    assert all(p.path == "match_sql" and "sqlglot" not in p.message and "Token" not in p.message for p in problems)
    assert any(words in p.message for p in found), found
    if place is not None:
        assert any(p.message.startswith(f"line {place[0]}, column {place[1]}: ") for p in found), found
    assert not caplog.records  # nothing of the statement reaches a log


def test_all_problems_are_reported_at_once() -> None:
    sql = "SELECT l.amuont, nofunc(r.ref), r.nope\nFROM left_src l JOIN right_src r ON l.day = r.amount\nLIMIT 3"
    with pytest.raises(RecipeError) as raised:
        compile_match_sql(sql, LEFT, RIGHT, FUNCTIONS)
    codes = sorted(d["code"].removeprefix("recipe.sql.") for d in raised.value.details)
    assert codes == ["forbidden", "type_mismatch", "unknown_column", "unknown_column", "untraceable"]
    assert raised.value.code == "recipe.invalid"


ACCEPTED = [
    "SELECT l.id" + J + ";",
    "SELECT l.id" + J + " ; -- the end",
    "select L.ID from LEFT_SRC as L inner join Right_Src R on l.Id = r.ID",
    "SELECT l.id /* ; DROP TABLE left_src; */" + J + " -- ; COPY left_src TO 'x'",
    "SELECT /*! MAX_EXECUTION_TIME(1) */ /*+ HINT */ l.id" + J,
    "SELECT '; DROP TABLE left_src; --' AS x, 'read_csv(''/etc/passwd'')' AS y" + J,
    'SELECT l.id AS "a""b; DROP", l.ref AS "select"' + J,
    "SELECT left_src.id FROM left_src JOIN right_src ON left_src.id = right_src.id",
    "(SELECT l.id" + J + ")",
    "SELECT l.id" + J + "".join(f" AND l.qty <> {i}" for i in range(2_500)),
    "SELECT l.id" + J + " WHERE " + " OR ".join(f"l.qty = {i}" for i in range(2_500)),
    "SELECT l.id" + J + " WHERE l.qty IN (" + ", ".join(str(i) for i in range(8_000)) + ")",
    "SELECT l.id" + J + " WHERE " + "(" * 30 + "l.ok" + ")" * 30,
    "SELECT l.id" + J + " WHERE l.qty > 0" + " + r.qty" * 55,
]


@pytest.mark.parametrize("sql", ACCEPTED, ids=[s[:60] for s in ACCEPTED])
def test_accepted(sql: str) -> None:
    plan, problems, _ = check_match_sql(sql, LEFT, RIGHT, FUNCTIONS)
    assert not problems
    assert plan is not None
    for tree in (*(c.tree for c in plan.left_only), *(o.tree for o in plan.outputs)):
        assert tree.sql(dialect="duckdb")


@pytest.mark.parametrize("depth", [0, 400])
def test_the_callers_own_depth_gives_an_answer_not_a_crash(depth: int) -> None:
    def at(level: int) -> list[str]:
        if level:
            return at(level - 1)
        sql = "SELECT l.id" + J + " WHERE " + "(" * 31 + "l.ok" + ")" * 31
        return [p.code for p in check_match_sql(sql, LEFT, RIGHT, FUNCTIONS)[1]]

    assert at(depth) in ([], ["recipe.sql.too_deep"])


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("r.qty", "CASE {} WHEN 1 THEN 2 WHEN 3 THEN 4 ELSE 5 END"),
        ("r.qty", "LENGTH(SUBSTRING(l.ref, {}, 2))"),
        ("r.qty", "CAST(CAST({} AS boolean) AS integer)"),
    ],
)
def test_arguments_that_multiply_within_each_other(inner: str, outer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "MAX_TREE_SIZE", 400)
    expression = inner
    for levels in range(9):  # noqa: B007 - how far it went is asserted
        sql = f"SELECT l.id FROM left_src l JOIN right_src r ON l.qty = {expression}"
        _, problems, _ = check_match_sql(sql, LEFT, RIGHT, FUNCTIONS)
        if problems:
            break
        expression = outer.format(expression)
    assert levels >= 2
    assert {problem.code for problem in problems} == {"recipe.sql.too_deep"}
