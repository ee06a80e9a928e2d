"""Uploads: their addresses, and the embedded store that keeps them below STAGING_PATH. ``bucket_uploads`` keeps them in
a real one.

``s3://<uploads bucket>/<session>/<upload id>/<file name>`` is one uploaded file. Its name on disk is checked here and
nowhere else; whoever opens an upload asks ``stored_upload`` first.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from recipe import RecipeError, file_uri, parse_file_uri
from webapp.errors import ServiceError
from webapp.settings import Settings

SUFFIXES = (".csv", ".parquet")
GCS_UPLOADS, GCS_RESULTS = "uploads/", "results/"  # below GCS_BUCKET
MOST_NAME = 255
_SHEET_ID = 5  # the version of its UUID; those of files have 4
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEX_ESCAPE = re.compile(r"%(?=[0-9A-Fa-f]{2})")
_BLOCK = 1 << 20
# Statuses of what can be wrong with an upload link, apart from 400.
LINK_STATUS = {"upload.link_used": 409, "upload.link_expired": 403, "upload.link_invalid": 403}
_LONGEST_ON_DISK = 200  # bytes; file systems end at 255
_INCOMING = ".incoming"
# control characters, halves of surrogate pairs, line and paragraph separators
_BAD_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = {chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}  # would show a name backwards


@dataclass(frozen=True)
class Upload:
    """The parts of an uploaded file's address, all checked."""

    session_id: str
    upload_id: str
    filename: str

    @classmethod
    def new(cls, session_id: str, filename: str, *, is_sheet: bool = False) -> Upload:
        """One with an id of its own. Raises ServiceError as ``check_filename``."""
        number = uuid.uuid4()
        return cls(session_id, str(uuid.uuid5(number, "sheet") if is_sheet else number), check_filename(filename))

    @property
    def is_sheet(self) -> bool:
        """Whether it was a workbook's sheet, so that its numbers have a point and no grouping, whatever stands beside
        them. Its id says so: that goes wherever the file goes, and nobody can choose it."""
        return uuid.UUID(self.upload_id).version == _SHEET_ID

    @property
    def is_csv(self) -> bool:
        return self.filename.lower().endswith(".csv")

    @property
    def source_type(self) -> str:
        """The type whose connector reads the file."""
        return "csv" if self.is_csv else "parquet"

    @property
    def key(self) -> str:
        """The key in the uploads bucket."""
        return f"{self.session_id}/{self.upload_id}/{self.filename}"

    @property
    def escaped_key(self) -> str:
        """The key as part of an address; decoding it once gives the file name back."""
        return f"{self.session_id}/{self.upload_id}/{_escaped(self.filename)}"

    def uri(self, bucket: str) -> str:
        """The address."""
        return f"s3://{bucket}/{self.escaped_key}"


def _escaped(name: str) -> str:
    """A name in an address: what decoding would change, and the star, which would make a pattern of it."""
    return _HEX_ESCAPE.sub("%25", name).replace("*", "%2A")


def check_session(session_id: str) -> bool:
    """Whether a text may be the session of an upload."""
    return _SESSION.fullmatch(session_id) is not None


def check_filename(name: str) -> str:
    """The name, when a file may be uploaded under it. Raises ServiceError ``upload.invalid_name``,
    ``upload.unsupported_type``."""
    wrong = _wrong_name(name)
    if wrong:
        raise ServiceError(f"The file name {wrong}.", code="upload.invalid_name", hint="Rename the file and try again.")
    if not name.lower().endswith(SUFFIXES):
        raise ServiceError(
            "Only CSV and Parquet files can be uploaded.",
            code="upload.unsupported_type",
            hint="The name must end in .csv or .parquet.",
        )
    return name


def _wrong_name(name: str) -> str:
    if not 1 <= len(name) <= MOST_NAME:
        return f"must have 1 to {MOST_NAME} characters"
    if any(c in "/\\" for c in name) or name in (".", "..") or Path(name).name != name:
        return "must not contain parts of a path"
    if any(unicodedata.category(c) in _BAD_CATEGORIES or c in _TURNING for c in name):
        return "must not contain control characters"
    if Path(name).stem.strip(". ") == "" or name.lower() in SUFFIXES:
        return "needs a name before its ending"
    return ""


def parse_upload(settings: Settings, uri: str) -> Upload:
    """The upload that an address names. Raises ServiceError ``upload.invalid_uri`` for any other address."""
    try:
        address = parse_file_uri(uri, ("s3",))
    except RecipeError as error:
        raise _invalid(error.message) from None
    parts = address.path.split("/")
    if address.bucket != settings.uploads_bucket or len(parts) != 3:
        raise _invalid("It names no uploaded file.")
    session_id, upload_id, filename = parts
    if not check_session(session_id) or not _is_id(upload_id):
        raise _invalid("It names no uploaded file.")
    try:
        check_filename(filename)
    except ServiceError as error:
        raise _invalid(error.message) from None
    return Upload(session_id, upload_id, filename)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _invalid(reason: str) -> ServiceError:
    return ServiceError(
        f"This is not the address of an upload. {reason}",
        code="upload.invalid_uri",
        hint="Use the s3_uri that came with the upload link.",
    )


@dataclass(frozen=True)
class StoredUpload:
    """Where an upload can be read: ``address`` for connectors, ``shown`` as their messages call it."""

    address: str
    shown: str


def stored_upload(settings: Settings, uri: str) -> StoredUpload | None:
    """Where the file of an address in the uploads bucket lies; None for every other address.

    The file need not exist. Raises ServiceError ``upload.invalid_uri`` for a malformed address in the bucket.
    """
    if not _is_in_bucket(settings, uri):
        return None
    upload = parse_upload(settings, uri)
    if settings.store == "s3":
        return StoredUpload(upload.uri(settings.uploads_bucket), f"s3://{settings.uploads_bucket}/{upload.key}")
    if settings.store == "gs":
        folder = f"gs://{settings.gcs_bucket}/{GCS_UPLOADS}"
        return StoredUpload(folder + upload.escaped_key, folder + upload.key)
    path = str(upload_path(settings, upload))
    return StoredUpload(file_uri(path), path)


def is_sheet(settings: Settings, uri: str) -> bool:
    """Whether an address is that of a workbook's sheet. Raises as ``stored_upload``."""
    return _is_in_bucket(settings, uri) and parse_upload(settings, uri).is_sheet


def _is_in_bucket(settings: Settings, uri: str) -> bool:
    scheme, mark, rest = uri.strip().partition("://")
    return bool(mark) and scheme.lower() == "s3" and rest.partition("/")[0] == settings.uploads_bucket


def upload_path(settings: Settings, upload: Upload) -> Path:
    """Where an upload lies. Names too long for a file system are replaced by a plain one."""
    name = upload.filename
    if len(name.encode()) > _LONGEST_ON_DISK or name.startswith("."):
        name = "upload" + Path(name).suffix.lower()
    return _uploads(settings) / upload.session_id / upload.upload_id / name


def _uploads(settings: Settings) -> Path:
    return settings.staging_path / "uploads"


@dataclass(frozen=True)
class Kept:
    """An upload that is kept, since when, and where connectors read it."""

    upload: Upload
    address: str
    modified: float


class Uploads(Protocol):
    """A store of uploaded files. Methods raise ServiceError ``upload.*``, and ConnectorError where one is elsewhere."""

    def size(self, upload: Upload) -> int:
        """Bytes of a file. Raises ``upload.not_found``."""
        ...

    def write(self, upload: Upload, read: Callable[[int], bytes], length: int | None) -> int:
        """Take a file in; see ``ObjectStore.write``."""
        ...

    def link(self, upload: Upload, seconds: int) -> str | None:
        """A link that takes the file by PUT; None where the app itself takes it."""
        ...

    def touch(self, upload: Upload) -> None:
        """Let the time after which the file may go begin again, where the store can."""
        ...

    def kept(self) -> Iterator[Kept]:
        """Every file."""
        ...

    def remove(self, kept: Kept) -> None: ...

    def drop_drafts(self, before: float) -> None:
        """Delete what is left of uploads that began earlier and never ended."""
        ...


class ObjectStore:
    """Uploaded files on this machine's disk. Safe between processes: a file appears whole or not at all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def path(self, upload: Upload) -> Path:
        """The file of an upload. Raises ServiceError ``upload.not_found``."""
        found = upload_path(self._settings, upload)
        if not found.is_file():
            raise upload_missing(upload)
        return found

    def size(self, upload: Upload) -> int:
        """See ``Uploads``."""
        return self.path(upload).stat().st_size

    def link(self, upload: Upload, seconds: int) -> str | None:
        """None: the app takes files itself."""
        return None

    def touch(self, upload: Upload) -> None:
        """See ``Uploads``."""
        os.utime(self.path(upload))

    def kept(self) -> Iterator[Kept]:
        """See ``Uploads``."""
        for upload, path in self.uploads():
            try:
                yield Kept(upload, file_uri(str(path)), path.stat().st_mtime)
            except FileNotFoundError:  # someone else was quicker
                continue

    def drop_drafts(self, before: float) -> None:
        """See ``Uploads``."""
        for draft in self.drafts():
            if draft.stat().st_mtime < before:
                draft.unlink(missing_ok=True)

    def write(self, upload: Upload, read: Callable[[int], bytes], length: int | None) -> int:
        """Take a file in as a stream, in bounded memory; its size in bytes.

        Args:
            read: gives the next bytes, b"" at the end.
            length: what the sender announced, None when it did not.

        Nothing stays behind when it fails. Raises ServiceError: ``upload.too_large``, ``upload.incomplete``,
        ``upload.link_used``, ``upload.no_space``.
        """
        target = upload_path(self._settings, upload)
        if target.exists():
            raise link_used()
        most = self._settings.max_upload_bytes
        if length is not None and length > most:
            raise upload_too_large(most)
        incoming = _uploads(self._settings) / _INCOMING
        draft = incoming / secrets.token_hex(16)
        try:
            incoming.mkdir(parents=True, exist_ok=True)
            size = _save(draft, read, most)
            if length is not None and size != length:
                raise incomplete(size, length)
            _publish(draft, target)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _no_space() from None
        finally:
            draft.unlink(missing_ok=True)
        return size

    def uploads(self) -> Iterator[tuple[Upload, Path]]:
        """Every stored upload, and its file. A name that was replaced on disk shows as it is there."""
        root = _uploads(self._settings)
        for session in sorted(root.iterdir()) if root.is_dir() else ():
            if not check_session(session.name) or not session.is_dir():
                continue
            for folder in sorted(session.iterdir()):
                if _is_id(folder.name):
                    for file in sorted(folder.iterdir()):
                        yield Upload(session.name, folder.name, file.name), file

    def remove(self, kept: Kept) -> None:
        """Delete an upload's file, and its folders when they are empty."""
        path = upload_path(self._settings, kept.upload)
        path.unlink(missing_ok=True)
        for folder in (path.parent, path.parent.parent):
            try:
                folder.rmdir()
            except OSError:  # another upload lies there, or someone else was quicker
                return

    def drafts(self) -> list[Path]:
        """Files whose upload never ended."""
        incoming = _uploads(self._settings) / _INCOMING
        return sorted(incoming.iterdir()) if incoming.is_dir() else []


def _save(draft: Path, read: Callable[[int], bytes], most: int) -> int:
    size = 0
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while block := read(_BLOCK):
            size += len(block)
            if size > most:
                raise upload_too_large(most)
            file.write(block)
        _settle(file)
    return size


def _settle(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _publish(draft: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(draft, target)  # unlike a rename, never replaces what is there
    except FileExistsError:
        raise link_used() from None


def link_used() -> ServiceError:
    """The answer to a second file for one link."""
    return ServiceError(
        "A file was already uploaded with this link.",
        code="upload.link_used",
        status=LINK_STATUS["upload.link_used"],
        hint="Ask for a new link.",
    )


def upload_missing(upload: Upload) -> ServiceError:
    """The answer where no file lies."""
    return ServiceError(
        f"There is no uploaded file {upload.filename!r} at this address.",
        code="upload.not_found",
        hint="Upload it again; files are deleted after a while.",
    )


def incomplete(size: int, length: int) -> ServiceError:
    """The answer to a file of which a part is missing."""
    return ServiceError(
        f"Only {size:,} of {length:,} bytes arrived.", code="upload.incomplete", hint="Upload the file again."
    )


def _no_space() -> ServiceError:
    return ServiceError(
        "There is no room for the file: the disk for uploads is full.",
        code="upload.no_space",
        hint="Free space below STAGING_PATH, then upload it again.",
    )


def upload_too_large(most: int) -> ServiceError:
    """The answer to a file over the limit."""
    return ServiceError(
        f"The file is larger than {most:,} bytes.",
        code="upload.too_large",
        hint="Split it, or raise KALLA_MAX_UPLOAD_BYTES.",
    )
