"""Secrets never survive masking, whatever the address looks like; everything else does."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe import mask_text, mask_uri, parse_uri


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgres://u:s@h:5432/d?table=a.b&sslmode=require", "postgres://u:***@h:5432/d?table=a.b&sslmode=require"),
        ("mysql://u:s@h/d?table=t&ssl-mode=required", "mysql://u:***@h/d?table=t&ssl-mode=required"),
        ("mariadb://u@h/d?table=t", "mariadb://u@h/d?table=t"),
        ("postgresql://u:@h/d?table=t", "postgresql://u:***@h/d?table=t"),
        ("postgres://u@h/d?table=t", "postgres://u@h/d?table=t"),
        ("postgres://h/d?table=t&password=s&sslpassword=s", "postgres://h/d?table=t&password=***&sslpassword=***"),
        ("postgres://h/d?table=t&pass%77ord=s", "postgres://h/d?table=t&pass%77ord=***"),
        ("postgres://h/d?table=a@b", "postgres://h/d?table=a@b"),
        ("postgres://h:5432/d?table=a@b", "postgres://h:5432/d?table=a@b"),
        ("postgres://u:***@h/d?table=t", "postgres://u:***@h/d?table=t"),
        ("elasticsearch://u:s@h:9200?index=i", "elasticsearch://u:***@h:9200?index=i"),
        ("elasticsearch://s@h:9200?index=i&api_key=s", "elasticsearch://***@h:9200?index=i&api_key=***"),
        ("bigquery://p/d?table=t&access_token=s", "bigquery://p/d?table=t&access_token=***"),
        ("s3://bucket/a@b.csv", "s3://bucket/a@b.csv"),
        ("s3://AKIA:s/s+s@bucket/a.csv", "s3://***@bucket/a.csv"),
        ("s3://AKIA:s@bucket/a.csv", "s3://***@bucket/a.csv"),
        ("https://h/a.csv?X-Amz-Signature=s&X-Amz-Credential=s&x=1",
         "https://h/a.csv?X-Amz-Signature=***&X-Amz-Credential=***&x=1"),
        ("/data/a:b@c.csv", "/data/a:b@c.csv"),
        ("file:///data/a:b@c.csv", "file:///data/a:b@c.csv"),
        ("host=h password=s dbname=d", "host=h password=*** dbname=d"),
        ("host=h password='s s' dbname=d", "host=h password=*** dbname=d"),
        ("", ""),
    ],
)  # fmt: skip
def test_masked(uri: str, expected: str):
    assert mask_uri(uri) == expected


MALFORMED = [
    "postgres://u:{}@h", "postgres://u:{}@h/d?table=t", "postgres://u:a/{}@h/d?table=t", "postgres://u:a@{}@h/d",
    "postgres://[::1]:1/d?password={}&x=a@b", "postgres://h:5432/d?table=a@b&password={}",
    "s3://k:a/{}@bucket/x",
    "postgres://u:a@b/{}@h/d?table=t", "postgres://:{}@", "postgres://h/d?password={}", "x?token={}", "://u:{}@h",
    "postgres://[::1]:1/d?password={}&x=a@b", "postgres://h:5432/d?table=a@b&password={}", "s3://k:a/{}@bucket/x",
    "postgres:///d?password={}", "postgres://u:{}@h,g/d", "elasticsearch://{}@h", "postgres://h/d?a=1;password={}",
]  # fmt: skip


@pytest.mark.parametrize("shape", MALFORMED)
def test_malformed_addresses_keep_their_secret(shape: str):
    assert "open5esame" not in mask_uri(shape.format("open5esame"))


@given(st.text(), st.sampled_from(MALFORMED))
def test_masking_never_raises_and_is_stable(text: str, shape: str):
    for uri in (text, shape.replace("{}", text)):
        assert mask_uri(mask_uri(uri)) == mask_uri(uri)


@given(st.text(min_size=1), st.sampled_from(["postgres", "elasticsearch", "mysql"]))
def test_a_masked_address_still_parses_to_the_same_place(password: str, kind: str):
    secret = quote("§" + password.replace("\x00", ""), safe="", errors="ignore")
    path = "" if kind == "elasticsearch" else "/d"
    uri = f"{kind}://u:{secret}@h:1{path}?table=t{'' if kind == 'mysql' else '&index=i'}"
    masked = mask_uri(uri)
    assert secret not in masked
    left, right = parse_uri(kind, uri), parse_uri(kind, masked)
    assert left.__class__(**{**vars(right), "password": vars(left)["password"]}) == left


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one s3://bucket/a.csv and u@example.org, two", "one s3://bucket/a.csv and u@example.org, two"),
        (
            "FATAL: cannot reach 'postgres://u:s3same@h/d?table=t' or elasticsearch://u:s3same@h:9200?index=i",
            "FATAL: cannot reach 'postgres://u:***@h/d?table=t' or elasticsearch://u:***@h:9200?index=i",
        ),
        (
            'connection "host=h password=s3same port=1" refused',
            'connection "host=h password=*** port=1" refused',
        ),
        ("", ""),
    ],
)
def test_messages(text: str, expected: str):
    assert mask_text(text) == expected


def test_long_texts_are_masked_quickly():
    assert mask_text("a-" * 100_000).startswith("a-")
    assert mask_uri("a-" * 100_000 + "://u:p@h").endswith("://u:***@h")
