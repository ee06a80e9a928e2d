"""Where rows come from. Speaks Arrow; knows neither Beam nor Flask."""

from connectors.base import Access, Capabilities, Connector, Preview, Snapshot, Split
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
from connectors.local_files import sha256_file
from connectors.registry import connector_for, connector_types, load_driver

__all__ = [
    "Access",
    "Capabilities",
    "Connector",
    "ConnectorError",
    "MissingDriver",
    "Preview",
    "Snapshot",
    "SourceChanged",
    "SourceDataError",
    "SourceDenied",
    "SourceNotFound",
    "SourceUnreachable",
    "Split",
    "connector_for",
    "connector_types",
    "load_driver",
    "ragged_rows",
    "sha256_file",
    "sniff_format",
]
