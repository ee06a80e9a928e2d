"""What source URIs name, decoded: plain names, ready for drivers. Passwords never appear in a repr."""

from __future__ import annotations

from dataclasses import dataclass, field

# No key holds a NUL character, so these stand for no text of an address.
ANY, ANY_BELOW = "\0*", "\0**"
Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PostgresAddress:
    """A table of a Postgres server. Names are exact, as the catalog holds them; ``table_schema`` None means
    the search path decides. ``host`` is a name, an address, a socket folder, or "" for the driver's
    default. ``numeric`` are the addresses that the host was found at, where that was checked; no URI sets them."""

    user: str | None
    password: str | None = field(repr=False)
    host: str
    port: int | None
    database: str
    table_schema: str | None
    table: str
    params: Params = field(default=(), repr=False)
    numeric: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileAddress:
    """A file: ``scheme`` is ``file`` (``bucket`` is "" and ``path`` a local path), ``s3`` or ``gs`` (``path``
    is the object key).

    ``glob`` is not empty where the key is a pattern for several objects: literal text, with ``ANY`` and ``ANY_BELOW``
    for the unescaped ``*`` (not over a slash) and ``**`` of the address.
    """

    scheme: str
    bucket: str
    path: str
    glob: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        return self.scheme == "file"

    @property
    def is_relative(self) -> bool:
        return self.is_local and not self.path.startswith("/")

    @property
    def is_csv(self) -> bool:
        return self.path.lower().endswith((".csv", ".csv.gz"))

    @property
    def is_gzip(self) -> bool:
        return self.path.lower().endswith(".gz")


@dataclass(frozen=True)
class ElasticsearchAddress:
    """One index of an Elasticsearch cluster."""

    user: str | None
    password: str | None = field(repr=False)
    host: str
    port: int
    index: str
    tls: bool = False
    params: Params = field(default=(), repr=False)


@dataclass(frozen=True)
class BigQueryAddress:
    """One table or view of BigQuery; credentials come from the environment."""

    project: str
    dataset: str
    table: str
    params: Params = field(default=(), repr=False)


@dataclass(frozen=True)
class SqliteAddress:
    """One table or view of a SQLite database file on this machine; ``path`` is a local path."""

    path: str
    table: str

    @property
    def is_relative(self) -> bool:
        return not self.path.startswith("/")


@dataclass(frozen=True)
class MysqlAddress:
    """One table or view of a MySQL or MariaDB server, by its exact name. ``ssl_mode`` is one of ``MYSQL_SSL_MODES``;
    ``ssl_ca`` is a file of this machine with the authorities that certificates are checked against. ``numeric`` as for
    PostgresAddress."""

    user: str
    password: str | None = field(repr=False)
    host: str
    port: int
    database: str
    table: str
    ssl_mode: str = "preferred"
    ssl_ca: str | None = None
    numeric: tuple[str, ...] = ()

    @property
    def params(self) -> Params:
        """Parameters that could hold a secret: none."""
        return ()


MYSQL_SSL_MODES = ("disabled", "preferred", "required", "verify-ca", "verify-identity")
Address = PostgresAddress | FileAddress | ElasticsearchAddress | BigQueryAddress | SqliteAddress | MysqlAddress


def local_path_of(address: Address) -> str | None:
    """The path on this machine that an address names; None for one that lies elsewhere."""
    if isinstance(address, SqliteAddress) or (isinstance(address, FileAddress) and address.is_local):
        return address.path
    return None
