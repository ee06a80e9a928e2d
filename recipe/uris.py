"""Source addresses: parsing and checking of the URIs that a recipe or a registered source names.

Every URI is percent-decoded exactly once, here; what the dataclasses hold is the plain name. In paths and
object keys ``?`` and ``#`` are ordinary characters, and ``+`` is always a plus. Errors name what is wrong,
never the URI.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from recipe.addresses import (
    ANY,
    ANY_BELOW,
    MYSQL_SSL_MODES,
    Address,
    BigQueryAddress,
    ElasticsearchAddress,
    FileAddress,
    MysqlAddress,
    PostgresAddress,
    SqliteAddress,
)
from recipe.errors import RecipeError
from recipe.masking import is_secret_name

POSTGRES_SCHEMES = ("postgres", "postgresql")
MYSQL_SCHEMES = ("mysql", "mariadb")
OBJECT_SCHEMES = ("s3", "gs")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]*")
# libpq lets these replace the host behind the back of the host check
_MAX_LENGTH = 8192
_REFUSED_PARAMS = {"hostaddr", "service", "servicefile"}


def parse_uri(source_type: str, uri: str, *, registering: bool = False) -> Address:
    """The address that ``uri`` names for a source of this type.

    ``registering`` allows type ``file``, which inside a recipe never has a URI, and refuses ``csv_upload``,
    which only recipes have. Local paths may be relative;
    whether that is acceptable is for the caller to decide (``FileAddress.is_relative``).

    Raises RecipeError ``source.invalid_uri`` or ``source.unsupported_type``.

    >>> parse_uri("csv", "s3://books/2026/May%20ledger.CSV").path
    '2026/May ledger.CSV'
    """
    if source_type == "file" and not registering:
        raise _bad("a file source has no address; the file is uploaded for each run", "Leave out uri.")
    known = [name for name in _PARSERS if not (registering and name in _ONLY_IN_RECIPES)]
    if source_type not in known:
        raise RecipeError(
            f"'{source_type[:80]}' is not a source type that can be used here.",
            code="source.unsupported_type",
            hint=f"Use one of {', '.join(known)}.",
        )
    _check_text(uri)
    return _PARSERS[source_type](uri)


def _bad(message: str, hint: str = "") -> RecipeError:
    return RecipeError(f"{message[0].upper()}{message[1:]}.", code="source.invalid_uri", hint=hint)


def _check_text(uri: str) -> None:
    if not uri.strip():
        raise _bad("the address is empty", "Write a URI or leave the member out.")
    if len(uri) > _MAX_LENGTH:
        raise _bad(f"the address is longer than {_MAX_LENGTH} characters", "Shorten it.")
    if uri != uri.strip():
        raise _bad("the address begins or ends with a blank", "Remove it, or write it as %20.")
    if any(ord(c) < 32 or c == "\x7f" for c in uri):
        raise _bad("the address contains a control character", "Remove it.")


def decode(text: str) -> str:
    """Percent-decode once. A ``%`` without two hex digits stands for itself. Raises RecipeError for bad
    bytes."""
    try:
        plain = unquote_to_bytes(text).decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise _bad("a percent-encoded part is not UTF-8", "Encode names as UTF-8 before escaping them.") from None
    if "\x00" in plain:
        raise _bad("the address contains a NUL character", "Remove %00.")
    return plain


# --- files ---------------------------------------------------------------------------------------------


def parse_file_uri(uri: str, schemes: tuple[str, ...] = ("file", "s3", "gs")) -> FileAddress:
    """A local path, ``file:`` URI or object URI, whatever its extension. Raises RecipeError."""
    scheme, rest = split_scheme(uri)
    if scheme not in schemes:
        allowed = " or ".join(f"{s}://" for s in schemes if s != "file")
        local = "file:// or an absolute path" if "file" in schemes else ""
        raise _bad(
            f"the scheme '{scheme}' does not fit this source type",
            f"Use {', '.join(filter(None, [allowed, local]))}.",
        )
    if scheme == "file":
        return FileAddress("file", "", _local_path(rest))
    if not rest.startswith("//"):
        raise _bad(f"{scheme}: lacks its two slashes", f"Write {scheme}://bucket/key.")
    bucket, _, key = rest[2:].partition("/")
    if "@" in bucket or ":" in bucket:
        raise _bad("credentials do not belong into an object address", "Set them in the environment.")
    if not _BUCKET.fullmatch(bucket):
        raise _bad("the bucket name is missing or not valid", f"Write {scheme}://bucket/key.")
    path = decode(key)
    if not path or path.endswith("/"):
        raise _bad("the address names no object", f"Write {scheme}://bucket/key.")
    return FileAddress(scheme, bucket, path, _glob(key))


def _glob(key: str) -> tuple[str, ...]:
    """The parts of a key with wildcards; () for one without. ``%2A`` is a star that means itself."""
    if "*" not in key:
        return ()
    parts = re.split(r"(\*+)", key)
    if any(len(part) > 2 for part in parts[1::2]):
        raise _bad("more than two * stand together", "* is any part of a name, ** any folders too.")
    if not parts[0].strip("/"):
        raise _bad("the pattern begins with a *", "Name a folder of the bucket first.")
    wildcards = {"*": ANY, "**": ANY_BELOW}
    return tuple(wildcards[part] if i % 2 else decode(part) for i, part in enumerate(parts))


def split_scheme(uri: str) -> tuple[str, str]:
    """Scheme in lower case, ``file`` for a path, and the rest."""
    found = _SCHEME.match(uri)
    if found is None or uri.startswith("/"):
        return "file", uri
    return found[1].lower(), uri[found.end() :]


def _local_path(rest: str) -> str:
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host.lower() not in ("", "localhost") or not slash:
            raise _bad("a local address is followed by a host name", "Write three slashes, file:///folder/name.")
        rest = "/" + path
    path = decode(rest)
    if not path or path.endswith("/"):
        raise _bad("the address names no file", "Write the path of a file.")
    return path


def _csv(uri: str) -> FileAddress:
    address = parse_file_uri(uri)
    if not address.is_csv:
        raise _bad("a csv source must end in .csv or .csv.gz", "Use type parquet for a Parquet file.")
    return address


def _csv_upload(uri: str) -> FileAddress:
    address = parse_file_uri(uri, ("s3",))
    parts = address.path.split("/")
    if len(parts) != 3 or any(part in ("", ".", "..") for part in parts):
        raise _bad(
            "an upload is addressed by session, upload and file name",
            "Write s3://bucket/session/upload/name.csv.",
        )
    if address.glob:
        raise _bad("an upload is one file", "Write a * of its name as %2A.")
    if not address.path.lower().endswith(".csv"):
        raise _bad("an uploaded CSV must end in .csv", "Upload the file with its .csv name.")
    return address


def _s3(uri: str) -> FileAddress:
    return parse_file_uri(uri, ("s3",))


# --- servers -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Server:
    scheme: str
    user: str | None
    password: str | None = field(repr=False)
    host: str
    port: int | None
    path: str
    params: dict[str, str] = field(repr=False)


def _server(uri: str, schemes: tuple[str, ...]) -> _Server:
    scheme, rest = split_scheme(uri)
    if scheme not in schemes or not rest.startswith("//"):
        raise _bad(f"the address does not begin with {schemes[0]}://", f"Write {schemes[0]}://host/...")
    head, _, query = rest[2:].partition("?")
    authority, slash, path = head.partition("/")
    userinfo, at, place = authority.rpartition("@")
    if "@" in path:
        raise _bad("a / in the user or password is not escaped", "Write it as %2F.")
    user, colon, password = userinfo.partition(":")
    host, port = _host_port(place)
    return _Server(
        scheme,
        decode(user) or None,
        decode(password) if at and colon else None,
        host,
        port,
        decode(path) if slash else "",
        _params(query),
    )


def _host_port(place: str) -> tuple[str, int | None]:
    if "," in place:
        raise _bad("several hosts are named", "Name one host.")
    if place.startswith("["):
        host, closed, tail = place[1:].partition("]")
        if not closed or (tail and not tail.startswith(":")):
            raise _bad("the IPv6 address is not closed with ]", "Write [address]:port.")
        return host, _port(tail[1:]) if tail else None
    host, colon, port = place.partition(":")
    if ":" in port:
        raise _bad("the host contains several colons", "Write an IPv6 address in brackets.")
    name = decode(host)
    if "," in name:
        raise _bad("several hosts are named", "Name one host.")
    return name, _port(port) if colon else None


def _port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise _bad("the port is not a number from 1 to 65535", "Escape : / @ inside a password as %3A %2F %40.")
    return int(text)


def _params(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        plain = decode(name)
        if not equals or not plain:
            raise _bad("a parameter after ? has no name or no value", "Write name=value, joined with &.")
        if plain in found:
            raise _bad(f"the parameter {plain} is given twice", "Give it once.")
        found[plain] = decode(value)
    return found


def _take(params: dict[str, str], name: str, example: str) -> str:
    value = params.pop(name, "")
    if not value:
        raise _bad(f"the {name} is missing", f"Add ?{name}=name, as in {example}.")
    return value


def _postgres(uri: str) -> PostgresAddress:
    server = _server(uri, POSTGRES_SCHEMES)
    params = dict(server.params)
    for name in sorted(_REFUSED_PARAMS & params.keys()):
        raise _bad(f"the parameter {name} is not accepted", "Name the host in the address itself.")
    table_schema, table = parse_table(_take(params, "table", "postgres://host/books?table=fin.ledger"))
    port = _port(_either("port", str(server.port or ""), params) or "")
    database = _either("dbname", server.path, params)
    if not database:
        raise _bad("the database is missing", "Write postgres://host/database?table=name.")
    return PostgresAddress(
        user=_either("user", server.user, params),
        password=_either("password", server.password, params),
        host=_either("host", server.host, params) or "",
        port=port,
        database=database,
        table_schema=table_schema,
        table=table,
        params=tuple(params.items()),
    )


def _either(name: str, written: str | None, params: dict[str, str]) -> str | None:
    """libpq lets a parameter replace a part of the address; here it may only fill a part that is not
    written."""
    given = params.pop(name, None)
    if given is not None and written:
        raise _bad(f"{name} is named in the address and again as a parameter", "Name it once.")
    if given is not None and name == "host" and "," in given:
        raise _bad("several hosts are named", "Name one host.")
    return written if given is None else given


def parse_table(text: str) -> tuple[str | None, str]:
    """Split ``name``, ``schema.name`` or quoted forms into (schema or None, name), exact as written.

    >>> parse_table('fin."My.Table"')
    ('fin', 'My.Table')
    """
    parts: list[str] = []
    rest = text
    while True:
        name, rest = _table_part(rest)
        parts.append(name)
        if not rest:
            break
        if not rest.startswith("."):
            raise _bad("the table name goes on after its closing quote", 'Write "schema"."name".')
        rest = rest[1:]
    if len(parts) > 2 or not all(parts):
        raise _bad("the table is not of the form name or schema.name", 'Put names with dots in quotes, "a.b".')
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])


def _table_part(text: str) -> tuple[str, str]:
    if not text.startswith('"'):
        name, dot, rest = text.partition(".")
        return name, dot + rest
    quoted = re.match(r'"((?:[^"]|"")*)"', text)
    if quoted is None:
        raise _bad("a quote in the table name is not closed", 'Write "name".')
    return quoted[1].replace('""', '"'), text[quoted.end() :]


def _elasticsearch(uri: str) -> ElasticsearchAddress:
    server = _server(uri, ("elasticsearch",))
    params = dict(server.params)
    index = _take(params, "index", "elasticsearch://host:9200?index=payments")
    tls = params.pop("tls", "false").lower()
    if tls not in ("true", "false"):
        raise _bad("tls is neither true nor false", "Write tls=true or leave it out.")
    if not server.host or server.path:
        raise _bad("the address is not of the form host and index", "Write elasticsearch://host:9200?index=name.")
    port = server.port or 9200
    return ElasticsearchAddress(
        server.user, server.password, server.host, port, index, tls == "true", tuple(params.items())
    )


def _bigquery(uri: str) -> BigQueryAddress:
    server = _server(uri, ("bigquery",))
    params = dict(server.params)
    table = _take(params, "table", "bigquery://project/dataset?table=payments")
    if server.user or server.password or any(is_secret_name(name) for name in params):
        raise _bad("credentials do not belong into a BigQuery address", "Set them in the environment.")
    if not _PROJECT.fullmatch(server.host) or server.port or not re.fullmatch(r"\w+", server.path):
        raise _bad("project or dataset is missing", "Write bigquery://project/dataset?table=name.")
    return BigQueryAddress(server.host, server.path, table, tuple(params.items()))


def _sqlite(uri: str) -> SqliteAddress:
    head, _, query = uri.partition("?")
    scheme, rest = split_scheme(head)
    if scheme != "sqlite":
        raise _bad("the address does not begin with sqlite:", "Write sqlite:///folder/books.db?table=name.")
    params = _params(query)
    table = _take(params, "table", "sqlite:///folder/books.db?table=payments")
    for name in params:
        raise _bad(f"the parameter {name} is not known", "The one parameter is table; write a ? of the path as %3F.")
    return SqliteAddress(_local_path(rest), table)


def _mysql(uri: str) -> MysqlAddress:
    server = _server(uri, MYSQL_SCHEMES)
    params = dict(server.params)
    table = _take(params, "table", "mysql://user@host/books?table=ledger")
    mode = params.pop("ssl-mode", "preferred").lower()
    authorities = params.pop("ssl-ca", None)
    for name in params:
        raise _bad(f"the parameter {name} is not known", "The parameters are table, ssl-mode and ssl-ca.")
    if mode not in MYSQL_SSL_MODES:
        raise _bad("ssl-mode is not known", f"Write one of {', '.join(MYSQL_SSL_MODES)}.")
    if authorities is not None and not mode.startswith("verify-"):
        raise _bad("ssl-ca is given and nothing is checked against it", "Add ssl-mode=verify-identity.")
    if not server.user:
        raise _bad("the user is missing", "Write mysql://user:password@host/database?table=name.")
    if not server.host or server.host.startswith("/"):
        raise _bad("the host is missing", "Write mysql://user:password@host/database?table=name.")
    if not server.path:
        raise _bad("the database is missing", "Write mysql://user:password@host/database?table=name.")
    port = server.port or 3306
    return MysqlAddress(server.user, server.password, server.host, port, server.path, table, mode, authorities)


_PARSERS: dict[str, Callable[[str], Address]] = {
    "postgres": _postgres,
    "csv_upload": _csv_upload,
    "csv": _csv,
    "s3": _s3,
    "parquet": parse_file_uri,
    "file": parse_file_uri,
    "elasticsearch": _elasticsearch,
    "bigquery": _bigquery,
    "sqlite": _sqlite,
    "mysql": _mysql,
}
_ONLY_IN_RECIPES = ("csv_upload",)


def infer_type(uri: str) -> str:
    """The concrete source type that a URI alone suggests: by scheme, and by extension for files.

    Raises RecipeError ``source.invalid_uri`` for a scheme that no source type has.

    >>> infer_type("data/bank.CSV.gz")
    'csv'
    """
    scheme, _ = split_scheme(uri)
    if scheme in POSTGRES_SCHEMES:
        return "postgres"
    if scheme in MYSQL_SCHEMES:
        return "mysql"
    if scheme in ("elasticsearch", "bigquery", "sqlite"):
        return scheme
    return "csv" if parse_file_uri(uri).is_csv else "parquet"
