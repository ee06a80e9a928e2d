"""Sources of type ``s3``: the key's ending says which format's connector reads the object."""

from __future__ import annotations

from connectors.addresses import address_of
from connectors.base import Access, Connector
from connectors.csv.reader import CsvConnector
from connectors.parquet.reader import ParquetConnector
from recipe import FileAddress, S3Source


class S3Connector(Connector):
    """Chooses; no instance of it exists."""

    @classmethod
    def from_source(cls, source: S3Source, access: Access) -> Connector:
        kind = CsvConnector if address_of(source, FileAddress).is_csv else ParquetConnector
        return kind.from_source(source, access)
