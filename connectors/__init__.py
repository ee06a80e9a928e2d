"""Where rows come from. Speaks Arrow; knows neither Beam nor Flask."""

from connectors.base import Access, Capabilities, Connector, Entry, Listing, Preview, Snapshot, Split
from connectors.buckets import Bucket, Listed
from connectors.csv.reader import ragged_rows, sniff_format
from connectors.errors import (
    ConnectorError,
    MissingDriver,
    SourceChanged,
    SourceDataError,
    SourceDenied,
    SourceNotFound,
    SourceUnreachable,
)
from connectors.folders import ObjectFolder, is_object_address
from connectors.keys import FoundKey, declared_key, search_key
from connectors.local_files import sha256_file
from connectors.previews import cell_rows
from connectors.registry import connector_for, connector_types, load_driver
from connectors.s3.settings import S3Settings
from connectors.stores import bucket_of
from connectors.xlsx.errors import WorkbookError
from connectors.xlsx.table import SheetTable
from connectors.xlsx.workbook import open_workbook

__all__ = [
    "Access",
    "Bucket",
    "Capabilities",
    "Connector",
    "ConnectorError",
    "Entry",
    "FoundKey",
    "Listed",
    "Listing",
    "MissingDriver",
    "ObjectFolder",
    "Preview",
    "S3Settings",
    "SheetTable",
    "Snapshot",
    "SourceChanged",
    "SourceDataError",
    "SourceDenied",
    "SourceNotFound",
    "SourceUnreachable",
    "Split",
    "WorkbookError",
    "bucket_of",
    "cell_rows",
    "connector_for",
    "connector_types",
    "declared_key",
    "is_object_address",
    "load_driver",
    "open_workbook",
    "ragged_rows",
    "search_key",
    "sha256_file",
    "sniff_format",
]
