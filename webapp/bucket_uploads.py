"""Uploads in an object store: browsers send them there by signed links, and connectors read them there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from connectors import Bucket, ConnectorError, bucket_of
from webapp.errors import ServiceError
from webapp.objects import (
    GCS_UPLOADS,
    Kept,
    Upload,
    incomplete,
    link_used,
    parse_upload,
    stored_upload,
    upload_missing,
    upload_too_large,
)
from webapp.settings import Settings

_LOG = logging.getLogger("webapp.storage")


class BucketUploads:
    """See ``webapp.objects.Uploads``. Files lie in the uploads bucket, or below ``uploads/`` in Google's one bucket."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._is_google = settings.store == "gs"
        self._bucket = uploads_bucket(settings)
        self._prefix = GCS_UPLOADS if self._is_google else ""

    def size(self, upload: Upload) -> int:
        """See ``Uploads``."""
        try:
            return int(self._bucket.head(self._prefix + upload.key)["size"])
        except ConnectorError as error:
            if error.code != "storage.not_found":
                raise
            raise upload_missing(upload) from error

    def write(self, upload: Upload, read: Callable[[int], bytes], length: int | None) -> int:
        """Take a file in as a stream, in bounded memory; its size. Nothing stays behind when it fails.

        Raises ServiceError ``upload.too_large``, ``upload.incomplete``, ``upload.link_used``.
        """
        most = self._settings.max_upload_bytes
        if length is not None and length > most:
            raise upload_too_large(most)
        if self._is_there(upload):
            raise link_used()
        counted = _Counted(read, most, length)
        self._bucket.receive(self._prefix + upload.key, counted.read)
        return counted.size

    def _is_there(self, upload: Upload) -> bool:
        try:
            self.size(upload)
        except ServiceError:
            return False
        return True

    def link(self, upload: Upload, seconds: int) -> str | None:
        """See ``Uploads``."""
        return self._bucket.upload_link(self._prefix + upload.key, seconds)

    def touch(self, upload: Upload) -> None:
        """A store keeps the time of arrival; that is just before a confirmation."""

    def kept(self) -> Iterator[Kept]:
        """See ``Uploads``."""
        for entry in self._bucket.listed(self._prefix):
            upload = self._upload(entry.key.removeprefix(self._prefix))
            if upload is None:
                continue
            stored = stored_upload(self._settings, upload.uri(self._settings.uploads_bucket))
            assert stored is not None, "an upload lies in the uploads bucket"
            yield Kept(upload, stored.address, entry.modified.timestamp())

    def _upload(self, key: str) -> Upload | None:
        """The upload of a key; None for an object that is none, which is nobody's to delete."""
        session_id, _, rest = key.partition("/")
        upload_id, _, filename = rest.partition("/")
        try:
            return parse_upload(
                self._settings, Upload(session_id, upload_id, filename).uri(self._settings.uploads_bucket)
            )
        except ServiceError:
            return None

    def remove(self, kept: Kept) -> None:
        """See ``Uploads``."""
        self._bucket.delete(self._prefix + kept.upload.key)

    def drop_drafts(self, before: float) -> None:
        """A store shows nothing of an upload before its end, and forgets broken ones by its own rules."""


class _Counted:
    """Reads on, and stops a file that is too long or breaks off."""

    def __init__(self, read: Callable[[int], bytes], most: int, length: int | None) -> None:
        self._read, self._most, self._length = read, most, length
        self.size = 0

    def read(self, size: int) -> bytes:
        data = self._read(size)
        self.size += len(data)
        if self.size > self._most:
            raise upload_too_large(self._most)
        if not data and self._length is not None and self.size != self._length:
            raise incomplete(self.size, self._length)
        return data


def uploads_bucket(settings: Settings) -> Bucket:
    """The bucket that uploads lie in."""
    if settings.store == "gs":
        return bucket_of("gs", settings.gcs_bucket or "")
    return bucket_of("s3", settings.uploads_bucket)


def make_buckets(settings: Settings) -> None:
    """Make the buckets of uploads and results where they are missing.

    A store that does not answer yet, or that does not let us, is no reason not to start: the log says what to do, and
    what needs the bucket says it again.
    """
    uploads = uploads_bucket(settings)
    buckets = [uploads] if settings.store == "gs" else [uploads, bucket_of("s3", settings.results_bucket)]
    for bucket in buckets:
        try:
            if bucket.make():
                _LOG.info("the bucket %s was made", bucket.shown())
                if bucket is uploads:
                    bucket.allow_browsers()
        except ConnectorError as error:
            _LOG.warning("the bucket %s is not ready: %s %s", bucket.shown(), error.message, error.hint)
