"""Source type -> connector class, resolved on use.

Listing the types and importing this package needs no driver: a class is imported when a source of its type is
opened, and its driver when it first talks to the source. A new connector is one line in ``_BUILTIN``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from types import ModuleType

from connectors.base import Access, Connector
from connectors.errors import ConnectorError, MissingDriver
from recipe import Source, nearest_names

_BUILTIN = {
    "bigquery": "connectors.bigquery.reader:BigQueryConnector",
    "csv": "connectors.csv.reader:CsvConnector",
    "csv_upload": "connectors.csv.reader:CsvConnector",
    "elasticsearch": "connectors.elasticsearch.reader:ElasticsearchConnector",
    "mysql": "connectors.mysql.reader:MysqlConnector",
    "parquet": "connectors.parquet.reader:ParquetConnector",
    "postgres": "connectors.postgres.reader:PostgresConnector",
    "s3": "connectors.s3.reader:S3Connector",
    "sqlite": "connectors.sqlite.reader:SqliteConnector",
}


class Registry:
    """Names of source types and where their connectors live, as ``"module:Class"``."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self._targets: dict[str, str] = {}
        for name, target in targets.items():
            self.register(name, target)

    def register(self, name: str, target: str) -> None:
        """Add a type. Raises ValueError when the name is taken or the target is not ``"module:Class"``."""
        module, _, attribute = target.partition(":")
        if not module or not attribute:
            raise ValueError(f"connector target {target!r} is not of the form 'module:Class'")
        if name in self._targets:
            raise ValueError(f"source type {name!r} is already registered as {self._targets[name]}")
        self._targets[name] = target

    def types(self) -> tuple[str, ...]:
        """The known type names, sorted."""
        return tuple(sorted(self._targets))

    def resolve(self, name: str) -> type[Connector]:
        """The class for a type. Raises ConnectorError ``source.unknown_type`` for a name that nobody
        registered."""
        if name not in self._targets:
            raise ConnectorError(
                f"There is no connector for sources of type {name!r}.",
                code="source.unknown_type",
                hint=_known_hint(name, self.types()),
            )
        module, _, attribute = self._targets[name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not (isinstance(found, type) and issubclass(found, Connector)):
            raise TypeError(f"{self._targets[name]} is not a Connector")
        return found


def _known_hint(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = nearest_names(name, names)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return f"Known types are {', '.join(names)}.{guess}"


REGISTRY = Registry(_BUILTIN)


def connector_types() -> tuple[str, ...]:
    """The source types that can be opened, sorted."""
    return REGISTRY.types()


def connector_for(
    source: Source,
    *,
    base_dir: str | os.PathLike[str] | None = None,
    roots: Iterable[str | os.PathLike[str]] | None = None,
    hosts: Mapping[str, Iterable[str]] | None = None,
) -> Connector:
    """The connector for one source of a recipe; nothing is opened yet.

    Args:
        source: a source model of ``recipe``; ``source.type`` chooses the connector.
        base_dir: what relative local paths count from; the working directory when None.
        roots: folders that local files must lie in; None sets no limit.
        hosts: the numeric addresses that a server may be reached at, by its host; None asks the resolver.

    Raises:
        ConnectorError: unknown type, a malformed address, or a path outside ``roots``.
    """
    access = Access(
        base_dir=None if base_dir is None else os.fspath(base_dir),
        roots=None if roots is None else tuple(os.fspath(root) for root in roots),
        hosts=None if hosts is None else {host: tuple(addresses) for host, addresses in hosts.items()},
    )
    return REGISTRY.resolve(source.type).from_source(source, access)


def load_driver(module: str, extra: str) -> ModuleType:
    """Import a driver that belongs to an extra of this package.

    Raises MissingDriver with the pip line when it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # something inside the driver is broken; the pip line would not help
        raise MissingDriver(
            f"The Python package {module.partition('.')[0]!r} that {extra} sources need is not installed.",
            hint=f"Run: pip install 'kalla[{extra}]'",
        ) from error
