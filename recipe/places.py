"""Addresses of places that hold several sources: a database, a server, a folder; and of what lies beside a source."""

from __future__ import annotations

from urllib.parse import quote

from recipe.uris import MYSQL_SCHEMES, POSTGRES_SCHEMES, decode, split_scheme

_NAMED_BY = {
    **dict.fromkeys((*POSTGRES_SCHEMES, *MYSQL_SCHEMES, "bigquery", "sqlite"), "table"),
    "elasticsearch": "index",
}
_ANY_NAME = {"table": "any", "index": "*"}


def place_uri(uri: str) -> str:
    """An address that may name a database, a server or a folder alone, made into one that a source can have.

    >>> place_uri("postgres://erp/books"), place_uri("s3://bank/2026/")
    ('postgres://erp/books?table=any', 's3://bank/2026/any.csv')
    """
    name = _NAMED_BY.get(split_scheme(uri)[0])
    if name is None:
        return uri + "any.csv" if uri.endswith("/") else uri
    head, mark, query = uri.partition("?")
    if any(decode(part.partition("=")[0]) == name for part in query.split("&")):
        return uri
    return f"{head}?{query}{'&' if mark and query else ''}{name}={_ANY_NAME[name]}"


def sibling_uri(uri: str, name: str) -> str:
    """The address with another table or index.

    >>> sibling_uri("postgres://u:***@erp/books?table=a&sslmode=require", "fin.b c")
    'postgres://u:***@erp/books?table=fin.b%20c&sslmode=require'
    """
    parameter = _NAMED_BY[split_scheme(uri)[0]]
    head, _, query = uri.partition("?")
    parts = [
        f"{parameter}={quote(name)}" if decode(part.partition("=")[0]) == parameter else part
        for part in query.split("&")
    ]
    return f"{head}?{'&'.join(parts)}"
