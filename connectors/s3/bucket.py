"""A bucket over boto3. One client a process and setting: clients are made slowly, and threads share them safely."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from connectors import buckets
from connectors.buckets import Body, Bucket, Interrupted, Listed
from connectors.errors import ConnectorError
from connectors.files import Identity
from connectors.registry import load_driver
from connectors.s3.errors import translated
from connectors.s3.settings import S3Settings

_CONNECT_SECONDS, _READ_SECONDS = 5, 30
_REQUEST_ATTEMPTS = 4  # with pauses of up to 1, 2 and 4 s between them
_CONNECTIONS = 32
_PART = 16 << 20  # of a multipart upload; S3 takes 10,000 of them
_TYPES = {".json": "application/json", ".parquet": "application/vnd.apache.parquet", ".csv": "text/csv"}
_MAKING = threading.Lock()


@functools.lru_cache(maxsize=8)
def _client(settings: S3Settings, public: bool) -> Any:
    boto3 = load_driver("boto3", "s3")
    config = load_driver("botocore.config", "s3").Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if settings.path_style else "virtual"},
        retries={"mode": "standard", "total_max_attempts": _REQUEST_ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_CONNECTIONS,
        # Many stores know none of the newer checksums; ranges have none, and whole files are checked by their size.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    keys = {
        "aws_access_key_id": settings.access_key,
        "aws_secret_access_key": settings.secret_key,
        "aws_session_token": settings.session_token,
    }
    endpoint = settings.public_endpoint if public else settings.endpoint
    with _MAKING:  # boto3's default session is not safe between threads, nor are its loaders
        return boto3.Session().client("s3", region_name=settings.region, endpoint_url=endpoint, config=config, **keys)


@dataclass(frozen=True)
class S3Bucket(Bucket):
    """See ``Bucket``. Versions are told apart by ETag, ranges asked for with If-Match."""

    name: str
    scheme: ClassVar[str] = "s3"

    def head(self, key: str) -> Identity:
        with self._translated(key):
            found = self._client().head_object(Bucket=self.name, Key=key)
        return _identity(found["ContentLength"], found.get("ETag"), found.get("VersionId"))

    def body(self, key: str, identity: Identity, start: int, stop: int) -> Body:
        match = {"IfMatch": f'"{identity["etag"]}"'} if identity.get("etag") else {}
        with self._translated(key):
            found = self._client().get_object(Bucket=self.name, Key=key, Range=f"bytes={start}-{stop - 1}", **match)
        body = _S3Body(found["Body"])
        if found.get("ContentRange") != f"bytes {start}-{stop - 1}/{identity['size']}":
            body.close()
            raise buckets.object_changed(self.shown(key))
        return body

    def listed(self, prefix: str) -> Iterator[Listed]:
        with self._translated(prefix):
            for page in self._client().get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                for found in page.get("Contents", ()):
                    yield Listed(found["Key"], _identity(found["Size"], found.get("ETag"), None), found["LastModified"])

    def put(self, key: str, data: bytes, absent: bool = False) -> None:
        match = {"IfNoneMatch": "*"} if absent else {}
        try:
            with self._translated(key):
                self._client().put_object(Bucket=self.name, Key=key, Body=data, ContentType=_type(key), **match)
        except ConnectorError as error:
            if absent and error.code == "storage.changed":
                raise buckets.object_exists(self.shown(key)) from error
            raise

    def upload(self, key: str, path: Path) -> None:
        with self._translated(key):
            extra = {"ContentType": _type(key)}
            self._raised(
                lambda: self._client().upload_file(str(path), self.name, key, ExtraArgs=extra, Config=_transfer())
            )

    def receive(self, key: str, read: Callable[[int], bytes]) -> None:
        with self._translated(key):
            extra = {"ContentType": _type(key)}
            self._raised(
                lambda: self._client().upload_fileobj(_Given(read), self.name, key, ExtraArgs=extra, Config=_transfer())
            )

    def delete(self, key: str) -> None:
        with self._translated(key):
            self._client().delete_object(Bucket=self.name, Key=key)

    def make(self) -> bool:
        if self._is_there():
            return False
        with self._translated(""):
            region = S3Settings.from_environment().region
            # us-east-1 is the one region that may not be named
            where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            self._client().create_bucket(Bucket=self.name, **where)
        return True

    def allow_browsers(self) -> None:
        rule = {"AllowedMethods": ["PUT"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"], "MaxAgeSeconds": 3600}
        with self._translated(""):
            self._client().put_bucket_cors(Bucket=self.name, CORSConfiguration={"CORSRules": [rule]})

    def upload_link(self, key: str, seconds: int) -> str | None:
        with self._translated(key):
            client = _client(S3Settings.from_environment(), True)
            link: str = client.generate_presigned_url(
                "put_object", Params={"Bucket": self.name, "Key": key}, ExpiresIn=seconds, HttpMethod="PUT"
            )
        return link

    def _client(self) -> Any:
        return _client(S3Settings.from_environment(), False)

    def _translated(self, key: str) -> AbstractContextManager[None]:
        load_driver("boto3", "s3")
        return translated(self.name, key, self._is_there)

    def _is_there(self) -> bool:
        """Whether the bucket exists; another answer than yes or no is an error of its own.

        A listing is asked for, since the answer to a HEAD has no room for a reason: wrong keys may look like 404 there.
        """
        from botocore.exceptions import ClientError

        with translated(self.name, "", lambda: False):
            try:
                self._client().list_objects_v2(Bucket=self.name, MaxKeys=1)
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code")
                if code == "AccessDenied":
                    return True  # there, though these keys may not list it
                if code == "NoSuchBucket":
                    return False
                raise
        return True

    def _raised(self, work: Callable[[], None]) -> None:
        """The transfer manager wraps what it meets; let the first cause out."""
        from boto3.exceptions import S3UploadFailedError

        try:
            work()
        except S3UploadFailedError as error:
            raise error.__context__ or error from None


def _identity(size: int, etag: str | None, version: str | None) -> Identity:
    found: Identity = {"size": int(size)}
    if etag:
        found["etag"] = etag.strip('"')
    if version and version != "null":
        found["version_id"] = version
    return found


def _type(key: str) -> str:
    return _TYPES.get(Path(key).suffix.lower(), "application/octet-stream")


def _transfer() -> Any:
    config = load_driver("boto3.s3.transfer", "s3").TransferConfig
    return config(multipart_threshold=2 * _PART, multipart_chunksize=_PART, max_concurrency=4)


class _S3Body:
    """botocore's body; every way in which a transfer can break off is Interrupted."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, size: int, /) -> bytes:
        from botocore import exceptions as boto
        from urllib3.exceptions import HTTPError

        try:
            data: bytes = self._inner.read(size)
        except (boto.HTTPClientError, boto.IncompleteReadError, HTTPError, OSError) as error:
            raise Interrupted(type(error).__name__) from None
        return data

    def close(self) -> None:
        with suppress(OSError):
            self._inner.close()


class _Given:
    """A file that can only be read on, as the transfer manager wants it."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def read(self, size: int = -1) -> bytes:
        parts = []
        while size > 0 and (data := self._read(min(size, 1 << 20))):
            parts.append(data)
            size -= len(data)
        return b"".join(parts)
