"""Source addresses: what they name, and what is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe import (
    ANY,
    ANY_BELOW,
    Address,
    BigQueryAddress,
    ElasticsearchAddress,
    FileAddress,
    MysqlAddress,
    PostgresAddress,
    RecipeError,
    SqliteAddress,
    file_uri,
    infer_type,
    parse_file_uri,
    parse_table,
    parse_uri,
    place_uri,
    sibling_uri,
)


def postgres(**parts: object) -> PostgresAddress:
    defaults = {
        "user": None,
        "password": None,
        "host": "h",
        "port": None,
        "database": "d",
        "table_schema": None,
    }
    return PostgresAddress(**(defaults | {"table": "t"} | parts))  # type: ignore[arg-type]


POSTGRES = [
    ("postgres://h/d?table=t", postgres()),
    ("POSTGRESQL://h/d?table=t", postgres()),
    ("postgres://u@h/d?table=t", postgres(user="u")),
    ("postgres://u:@h/d?table=t", postgres(user="u", password="")),
    ("postgres://u:p%40s%2Fs%3A%25@h:5433/d?table=t", postgres(user="u", password="p@s/s:%", port=5433)),
    ("postgres://u:p@ss@h/d?table=t", postgres(user="u", password="p@ss")),
    ("postgres://[::1]:5432/d?table=t", postgres(host="::1", port=5432)),
    ("postgres://h:/d?table=t", postgres()),
    ("postgres://h/B%C3%BCcher%20%25?table=t", postgres(database="Bücher %")),
    ("postgres://h/d?table=fin.ledger", postgres(table_schema="fin", table="ledger")),
    ("postgres://h/d?table=My Table", postgres(table="My Table")),
    ("postgres://h/d?table=%22My.Table%22", postgres(table="My.Table")),
    ('postgres://h/d?table="a"."b.c"', postgres(table_schema="a", table="b.c")),
    ("postgres://h/d?table=100%2525", postgres(table="100%25")),
    ("postgres://h/d?table=a+b", postgres(table="a+b")),
    (
        "postgres://h/d?sslmode=require&table=t&options=-c%20search_path%3Dfin",
        postgres(params=(("sslmode", "require"), ("options", "-c search_path=fin"))),
    ),
    ("postgres:///d?host=/run/pg&table=t", postgres(host="/run/pg")),
    ("postgres://postgres:@/d?host=/run/pg&table=t", postgres(user="postgres", password="", host="/run/pg")),
    ("postgres://%2Frun%2Fpg/d?table=t", postgres(host="/run/pg")),
    (
        "postgres://?host=h&port=1&dbname=d&user=u&password=p&table=t",
        postgres(port=1, user="u", password="p"),
    ),
    ("postgres:///d?table=t", postgres(host="")),
]


@pytest.mark.parametrize(("uri", "expected"), POSTGRES)
def test_postgres(uri: str, expected: PostgresAddress):
    assert parse_uri("postgres", uri) == expected


S3_UP = "s3://kalla-uploads/5e55/ab12/Bank%20May.CSV"
OTHERS: list[tuple[str, str, Address]] = [
    ("csv", "/data/a b%20c.csv", FileAddress("file", "", "/data/a b c.csv")),
    ("csv", "file:///data/%C3%BC%25.CSV", FileAddress("file", "", "/data/ü%.CSV")),
    ("csv", "file://localhost/data/a.csv", FileAddress("file", "", "/data/a.csv")),
    ("csv", "file:/data/a.csv.gz", FileAddress("file", "", "/data/a.csv.gz")),
    ("csv", "data/a.Csv.Gz", FileAddress("file", "", "data/a.Csv.Gz")),
    ("csv", "file:a.csv", FileAddress("file", "", "a.csv")),
    ("csv", "/data/a?b#c.csv", FileAddress("file", "", "/data/a?b#c.csv")),
    ("csv", "/data/100%.csv", FileAddress("file", "", "/data/100%.csv")),
    ("csv", "/data/100%2525.csv", FileAddress("file", "", "/data/100%25.csv")),
    ("csv", "s3://bucket/a/b c.csv", FileAddress("s3", "bucket", "a/b c.csv")),
    ("csv", "GS://bucket/a@b.csv", FileAddress("gs", "bucket", "a@b.csv")),
    ("csv_upload", S3_UP, FileAddress("s3", "kalla-uploads", "5e55/ab12/Bank May.CSV")),
    ("s3", "s3://bucket/k", FileAddress("s3", "bucket", "k")),
    ("parquet", "/data/x.PARQUET", FileAddress("file", "", "/data/x.PARQUET")),
    ("parquet", "gs://bucket/x", FileAddress("gs", "bucket", "x")),
    ("elasticsearch", "elasticsearch://h?index=i", ElasticsearchAddress(None, None, "h", 9200, "i")),
    (
        "elasticsearch",
        "elasticsearch://u:p@h:9201/?index=i&tls=TRUE&routing=x",
        ElasticsearchAddress("u", "p", "h", 9201, "i", True, (("routing", "x"),)),
    ),
    ("bigquery", "bigquery://my-project/fin?table=pay", BigQueryAddress("my-project", "fin", "pay")),
    ("sqlite", "sqlite:///data/50%25%3F.db?table=a.b", SqliteAddress("/data/50%?.db", "a.b")),
    ("sqlite", "SQLite://localhost/data/a@b:c.db?table=%22t%22", SqliteAddress("/data/a@b:c.db", '"t"')),
    ("sqlite", "sqlite:books.db?table=t", SqliteAddress("books.db", "t")),
    ("mysql", "mysql://u:p%40@erp/books?table=fin.ledger", MysqlAddress("u", "p@", "erp", 3306, "books", "fin.ledger")),
    (
        "mysql",
        "MariaDB://u@[::1]:3307/b%2Fc?ssl-ca=/etc/ca.pem&ssl-mode=Verify-CA&table=t",
        MysqlAddress("u", None, "::1", 3307, "b/c", "t", "verify-ca", "/etc/ca.pem"),
    ),
    ("bigquery", "bigquery://p/d?table=t&location=EU", BigQueryAddress("p", "d", "t", (("location", "EU"),))),
]


@pytest.mark.parametrize(("kind", "uri", "expected"), OTHERS)
def test_other_types(kind: str, uri: str, expected: Address):
    assert parse_uri(kind, uri) == expected


REFUSED = [
    ("postgres", "postgres://h/d"), ("postgres", "postgres://h/d?table="),
    ("postgres", "postgres://h?table=t"),
    ("postgres", "postgres://h/?table=t"), ("postgres", "mysql://h/d?table=t"),
    ("postgres", "postgres:h/d?table=t"),
    ("postgres", "h/d?table=t"), ("postgres", "postgres://h:0/d?table=t"),
    ("postgres", "postgres://h:70000/d?table=t"),
    ("postgres", "postgres://h:x/d?table=t"), ("postgres", "postgres://u:p#w@h:1:2/d?table=t"),
    ("postgres", "postgres://h1,h2/d?table=t"), ("postgres", "postgres:///d?host=a,b&table=t"),
    ("postgres", "postgres://[::1/d?table=t"), ("postgres", "postgres://[::1]x/d?table=t"),
    ("postgres", "postgres://h/d?table=a.b.c"), ("postgres", "postgres://h/d?table=.a"),
    ("postgres", 'postgres://h/d?table="a'), ("postgres", 'postgres://h/d?table="a"b'),
    ("postgres", "postgres://h/d?table=t&table=u"), ("postgres", "postgres://h/d?table=t&sslmode"),
    ("postgres", "postgres://h/d?table=t&host=evil"), ("postgres", "postgres://h/d?table=t&hostaddr=1.2.3.4"),
    ("postgres", "postgres://h/d?table=t&service=x"), ("postgres", "postgres://u:a/b@h/d?table=t"),
    ("postgres", "postgres://h/d?table=%FF"), ("postgres", "postgres://h/d?table=a%00b"),
    ("postgres", "postgres://h:1/d?table=t&port=2"), ("postgres", "postgres://h/d?table=t&port=x"),
    ("csv", ""), ("csv", "  "), ("csv", " /a.csv"), ("csv", "/a\n.csv"), ("csv", "/a.txt"),
    ("csv", "/a.parquet"),
    ("csv", "http://h/a.csv"), ("csv", "s3://bucket"), ("csv", "s3://bucket/"), ("csv", "s3:bucket/a.csv"),
    ("csv", "s3://k:s@bucket/a.csv"), ("csv", "s3:///a.csv"), ("csv", "file://host/a.csv"),
    ("csv", "/a%FF.csv"),
    ("csv", "/a%00.csv"), ("csv", "/data/.csv/"), ("csv", "s3://b u/a.csv"), ("csv", "\ud800.csv"),
    ("csv_upload", "s3://b/a/x.csv"), ("csv_upload", "s3://b/s/../x.csv"),
    ("csv_upload", "s3://b/s/%2E%2E/x.csv"),
    ("csv_upload", "s3://b/s/u/x.parquet"), ("csv_upload", "s3://b/s/u/x.csv.gz"),
    ("csv_upload", "/s/u/x.csv"),
    ("csv_upload", "s3://b/s/u/v/x.csv"), ("csv_upload", "gs://b/s/u/x.csv"),
    ("s3", "gs://bucket/k"), ("s3", "/bucket/k"), ("s3", "s3://bucket/folder/"), ("parquet", "/"),
    ("parquet", "file:"),
    ("elasticsearch", "elasticsearch://h"), ("elasticsearch", "elasticsearch://?index=i"),
    ("elasticsearch", "elasticsearch://h/x?index=i"), ("elasticsearch", "elasticsearch://h?index=i&tls=yes"),
    ("elasticsearch", "https://h?index=i"),
    ("sqlite", "sqlite:///a.db"), ("sqlite", "sqlite:///a.db?table="), ("sqlite", "/a.db?table=t"),
    ("sqlite", "sqlite://host/a.db?table=t"), ("sqlite", "sqlite:///?table=t"), ("sqlite", "sqlite:///a/?table=t"),
    ("sqlite", "sqlite:///a.db?table=t&mode=rwc"), ("sqlite", "sqlite:///a%00.db?table=t"),
    ("mysql", "mysql://u@h/d"), ("mysql", "mysql://u@h?table=t"), ("mysql", "mysql://h/d?table=t"), ("mysql", "mysql://u@/d?table=t"),
    ("mysql", "mysql://u@%2Ftmp%2Fs/d?table=t"), ("mysql", "mysql://u@h,g/d?table=t"), ("mysql", "postgres://u@h/d?table=t"),
    ("mysql", "mysql://u@h/d?table=t&local_infile=1"), ("mysql", "mysql://u@h/d?table=t&ssl-mode=maybe"),
    ("mysql", "mysql://u@h/d?table=t&ssl-ca=/etc/ca.pem"), ("mysql", "mysql://u@h/d?table=t&password=p"),
    ("bigquery", "bigquery://p?table=t"), ("bigquery", "bigquery:///d?table=t"),
    ("bigquery", "bigquery://p/d"),
    ("bigquery", "bigquery://u:p@p/d?table=t"), ("bigquery", "bigquery://p/d?table=t&access_token=x"),
    ("bigquery", "bigquery://p/d/e?table=t"), ("bigquery", "bigquery://p:1/d?table=t"),
    ("file", "/data/a.csv"), ("csv", "/" + "a" * 9000 + ".csv"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "uri"), REFUSED)
def test_refused(kind: str, uri: str):
    with pytest.raises(RecipeError) as raised:
        parse_uri(kind, uri)
    assert raised.value.code == "source.invalid_uri"
    assert raised.value.hint


def test_unknown_type_lists_the_known_ones():
    with pytest.raises(RecipeError, match=r"postgres, csv_upload.*bigquery") as raised:
        parse_uri("oracle", "x")
    assert raised.value.code == "source.unsupported_type"


def test_an_upload_cannot_be_registered():
    with pytest.raises(RecipeError) as raised:
        parse_uri("csv_upload", S3_UP, registering=True)
    assert raised.value.code == "source.unsupported_type"
    assert "csv_upload" not in raised.value.hint


def test_a_registered_file_has_an_address():
    assert parse_uri("file", "/data/a.parquet", registering=True) == FileAddress("file", "", "/data/a.parquet")


@pytest.mark.parametrize("kind", ["postgres", "elasticsearch"])
def test_messages_and_reprs_hold_no_password(kind: str):
    good = f"{kind}://u:sesame@h:1/{'d' if kind == 'postgres' else ''}?table=t&index=i&sslpassword=sesame"
    assert "sesame" not in repr(parse_uri(kind, good))
    for bad in (
        good.replace(":1/", ":x/"),
        good.replace("table", "t").replace("index", "t"),
        good.replace("@h", "@h,g"),
    ):
        with pytest.raises(RecipeError) as raised:
            parse_uri(kind, bad)
        assert "sesame" not in str(raised.value)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda s: "/" not in s))
def test_names_are_decoded_exactly_once(name: str):
    assert parse_file_uri(f"s3://bucket/x/{quote(name, safe='')}").path == f"x/{name}"
    assert parse_file_uri(f"file:///x/{quote(name)}").path == f"/x/{name}"
    table = f'"{name}"'.replace('"', '""')[1:-1]
    quoted = quote(table, safe="")
    assert parse_uri("postgres", f"postgres://h/{quote(name, safe='')}?table={quoted}") == postgres(
        database=name, table=name
    )


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1))
def test_file_uri_is_the_inverse(name: str):
    path = f"/base/x{name}"
    assert parse_file_uri(file_uri(path)).path == path


@pytest.mark.parametrize(
    ("text", "expected"),
    [("t", (None, "t")), ("s.t", ("s", "t")), ('"a""b".c', ('a"b', "c")), ('a."b.c"', ("a", "b.c"))],
)
def test_tables(text: str, expected: tuple[str | None, str]):
    assert parse_table(text) == expected


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("postgresql://h/d", "postgres"),
        ("elasticsearch://h", "elasticsearch"),
        ("bigquery://p", "bigquery"),
        ("sqlite:a.db", "sqlite"),
        ("mysql://u@h/d", "mysql"),
        ("MARIADB://u@h/d", "mysql"),
        ("s3://bucket/a.csv", "csv"),
        ("s3://bucket/a", "parquet"),
        ("a.csv.gz", "csv"),
        ("/x/a.parquet", "parquet"),
        ("file:///x/a.CSV", "csv"),
    ],
)
def test_inferred_types(uri: str, kind: str):
    assert infer_type(uri) == kind


def test_no_type_for_an_unknown_scheme():
    with pytest.raises(RecipeError) as raised:
        infer_type("ftp://h/a.csv")
    assert raised.value.code == "source.invalid_uri"


@pytest.mark.parametrize(
    ("uri", "path", "glob"),
    [
        ("s3://bucket/d/a.csv", "d/a.csv", ()),
        ("s3://bucket/d/*.csv", "d/*.csv", ("d/", ANY, ".csv")),
        ("s3://bucket/d/2026-*/x%2A*.csv", "d/2026-*/x**.csv", ("d/2026-", ANY, "/x*", ANY, ".csv")),
        ("gs://bucket/d/**/a%20b.csv", "d/**/a b.csv", ("d/", ANY_BELOW, "/a b.csv")),
        ("s3://bucket/d/a%2Ab.csv", "d/a*b.csv", ()),
    ],
)
def test_stars_in_keys_make_patterns_unless_escaped(uri: str, path: str, glob: tuple[str, ...]) -> None:
    found = parse_uri("csv", uri)
    assert isinstance(found, FileAddress)
    assert (found.path, found.glob) == (path, glob)


@pytest.mark.parametrize("uri", ["s3://bucket/*.csv", "s3://bucket//*.csv", "s3://bucket/d/***.csv"])
def test_patterns_that_would_read_a_whole_bucket_are_refused(uri: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_uri("csv", uri)
    assert caught.value.code == "source.invalid_uri"


def test_stars_of_local_names_and_uploads_mean_themselves() -> None:
    local = parse_uri("csv", "/data/a*.csv")
    assert isinstance(local, FileAddress) and local.glob == ()
    with pytest.raises(RecipeError):
        parse_uri("csv_upload", "s3://bucket/s/u/*.csv")


@pytest.mark.parametrize(
    ("uri", "whole"),
    [
        ("postgres://u:p@h/d", "postgres://u:p@h/d?table=any"),
        ("postgresql://h/d?sslmode=require", "postgresql://h/d?sslmode=require&table=any"),
        ("postgres://h/d?t%61ble=x", "postgres://h/d?t%61ble=x"),
        ("elasticsearch://h:9200", "elasticsearch://h:9200?index=*"),
        ("bigquery://p/d?billing=q", "bigquery://p/d?billing=q&table=any"),
        ("sqlite:books.db", "sqlite:books.db?table=any"),
        ("mariadb://u:p@h/d?ssl-mode=required", "mariadb://u:p@h/d?ssl-mode=required&table=any"),
        ("gs://bucket/", "gs://bucket/any.csv"),
        ("data/", "data/any.csv"),
        ("/data/a.csv", "/data/a.csv"),
    ],
)
def test_a_place_becomes_an_address(uri: str, whole: str):
    assert place_uri(uri) == whole
    parse_uri(infer_type(whole), whole)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_a_sibling_is_named_whatever_its_name(name: str):
    found = parse_uri("sqlite", sibling_uri("sqlite:///data/a.db?table=x", name))
    assert found == SqliteAddress("/data/a.db", name)
    other = parse_uri(
        "postgres", sibling_uri("postgres://u:***@h/d?a=b&table=x", f'"{name.replace(chr(34), chr(34) * 2)}"')
    )
    assert isinstance(other, PostgresAddress) and (other.table, other.params) == (name, (("a", "b"),))
