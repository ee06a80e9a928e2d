"""Sources of type ``s3``: the key's ending says which format's connector reads the object."""

from __future__ import annotations

from connectors.base import Access, Connector
from connectors.csv.reader import CsvConnector
from connectors.parquet.reader import ParquetConnector
from connectors.stores import address_of
from recipe import S3Source


class S3Connector(Connector):
    """Chooses; no instance of it exists."""

    @classmethod
    def from_source(cls, source: S3Source, access: Access) -> Connector:
        kind = CsvConnector if address_of(source).is_csv else ParquetConnector
        return kind.from_source(source, access)
