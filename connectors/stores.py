"""From an address to the file or bucket that it names: the one table of schemes."""

from __future__ import annotations

import importlib
import os

from connectors.base import Access
from connectors.buckets import Bucket
from connectors.files import StoredFile
from connectors.local_files import LocalFile
from connectors.objects import ObjectFile
from recipe import FileAddress

# scheme -> class of its buckets; imported on use, and their drivers when they first talk to the store
_BUCKETS = {"s3": "connectors.s3.bucket:S3Bucket", "gs": "connectors.gcs.bucket:GcsBucket"}


def bucket_of(scheme: str, name: str) -> Bucket:
    """The bucket of an object store; nothing is opened yet."""
    module, _, attribute = _BUCKETS[scheme].partition(":")
    made: Bucket = getattr(importlib.import_module(module), attribute)(name)
    return made


def file_at(address: FileAddress, access: Access) -> StoredFile:
    """The file of an address that names one; it need not exist yet. Raises ConnectorError for a forbidden path."""
    if not address.is_local:
        return ObjectFile(bucket_of(address.scheme, address.bucket), address.path)
    file = LocalFile(os.path.abspath(os.path.join(access.base_dir or "", address.path)), access.roots)
    file.check_allowed()
    return file
