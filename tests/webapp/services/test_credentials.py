"""Secrets that come back masked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe import mask_uri, parse_uri
from webapp.errors import ServiceError
from webapp.services.credentials import restore

PG = "postgres://u:p%40:w@erp/books?table=t"


@pytest.mark.parametrize(
    ("kind", "uri", "known", "expected"),
    [
        ("postgres", PG, [], PG),
        ("mysql", "mysql://u:***@ERP:3306/books?table=x&ssl-mode=required", ["mysql://u:p%40@erp/books?table=t"], "mysql://u:p%40@ERP:3306/books?table=x&ssl-mode=required"),
        ("postgres", "postgres://erp/books?table=t", [PG], "postgres://erp/books?table=t"),
        ("postgres", mask_uri(PG), [PG], PG),
        ("postgres", "postgresql://u:***@ERP:5432/books?table=x&sslmode=require", [PG], "postgresql://u:p%40%3Aw@ERP:5432/books?table=x&sslmode=require"),
        ("postgres", "postgres://erp/books?table=x&user=u&password=***", [PG], "postgres://erp/books?table=x&user=u&password=p%40%3Aw"),
        ("postgres", "postgres://u:***@erp/books?table=x", ["postgres://erp/books?table=t&user=u&password=p", PG], "postgres://u:p@erp/books?table=x"),
        ("postgres", "postgres://u:***@erp/books?table=x", ["csv nonsense", "/data/a.csv", PG], "postgres://u:p%40%3Aw@erp/books?table=x"),
        ("elasticsearch", "elasticsearch://u:***@es:9200?index=b", ["elasticsearch://u:pw@es?index=a"], "elasticsearch://u:pw@es:9200?index=b"),
        ("csv", "/data/***.csv", [], "/data/***.csv"),
        ("csv", "/data/a?token=***.csv", ["/data/a?token=1.csv"], "/data/a?token=***.csv"),
    ],
)  # fmt: skip
def test_restored(kind: str, uri: str, known: list[str], expected: str):
    assert restore(kind, uri, known) == expected


@pytest.mark.parametrize(
    ("kind", "uri", "known"),
    [
        ("mysql", "mysql://u:***@erp/other?table=t", ["mysql://u:p@erp/books?table=t"]),
        ("mysql", "mysql://u:***@erp/books?table=t", [PG]),
        ("postgres", "postgres://u:***@erp/books?table=t", []),
        ("postgres", "postgres://u:***@erp/books?table=t", ["postgres://u@erp/books?table=t"]),
        ("postgres", "postgres://u:***@erp/books?table=t&sslpassword=***", [PG]),
        ("elasticsearch", "elasticsearch://u:***@es:9201?index=b", ["elasticsearch://u:pw@es?index=a"]),
        ("elasticsearch", "elasticsearch://u:***@erp?index=b", [PG]),
    ],
)
def test_nothing_fits(kind: str, uri: str, known: list[str]):
    with pytest.raises(ServiceError) as raised:
        restore(kind, uri, known)
    assert (raised.value.code, raised.value.status) == ("source.masked_credentials", 400)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1).filter(lambda p: p != "***"))
def test_any_password_survives_the_way_out_and_back(password: str):
    from urllib.parse import quote

    uri = f"postgres://u:{quote(password, safe='')}@erp/books?table=t"
    back = restore("postgres", mask_uri(uri).replace("table=t", "table=other"), [uri])
    address = parse_uri("postgres", back)
    assert (address.password, address.table) == (password, "other")  # type: ignore[union-attr]
