"""Uploaded files: links, arrival, a first look, and their end (contract 2.5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from recipe import KallaError
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.keys import signing_key
from webapp.objects import (
    LINK_STATUS,
    Upload,
    check_session,
    parse_upload,
    stored_upload,
    upload_too_large,
)
from webapp.services import invalid_body, looking_ahead, note, texts
from webapp.services.addresses import open_source
from webapp.services.previews import first_rows

LINK_SECONDS = 3600
SAMPLE_ROWS = 10
_DRAFT_SECONDS = 24 * 3600
_PAGE = 1000


def presign(app: Kalla, body: Mapping[str, Any], base_url: str = "") -> dict[str, Any]:
    """``{upload_id, presigned_url, s3_uri}`` for ``filename`` and ``session_id``; the link takes one file. It leads to
    the object store where there is one, else to the app at ``base_url``, as the browser knows it; there it works once.

    Raises ServiceError ``request.invalid_body``,
    ``upload.invalid_name``, ``upload.unsupported_type``.
    """
    filename, session_id = texts(body, "filename", "session_id", filled=False)
    if not check_session(session_id):
        raise invalid_body(("session_id", "must be 1 to 64 letters, digits, '_' or '-'"))
    upload = Upload.new(session_id, filename)
    link = app.objects.link(upload, LINK_SECONDS)
    if link is None:
        token = _tokens(app).dumps([upload.session_id, upload.upload_id, upload.filename])
        link = f"{base_url.rstrip('/')}/api/uploads/{upload.upload_id}/content?token={token}"
    note(app, "upload.presign", upload.upload_id, filename=filename)
    looking_ahead.link_given(app.settings, upload)
    return {
        "upload_id": upload.upload_id,
        "presigned_url": link,
        "s3_uri": upload.uri(app.settings.uploads_bucket),
    }


def _tokens(app: Kalla) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(signing_key(app.settings, "upload"), salt="kalla.upload")


def receive(
    app: Kalla, token: str, read: Callable[[int], bytes], length: int | None, upload_id: str | None = None
) -> dict[str, Any]:
    """Take in the file of a link; ``read`` gives the next bytes. ``{upload_id, size}``.

    Raises ServiceError ``upload.link_invalid``, ``upload.link_expired``, ``upload.link_used``, ``upload.too_large``,
    ``upload.incomplete``, ``upload.no_space``.
    """
    upload = _upload_of(app, token)
    if upload_id is not None and upload_id != upload.upload_id:
        raise _bad_link()
    size = app.objects.write(upload, read, length)
    note(app, "upload.receive", upload.upload_id, size=size)
    return {"upload_id": upload.upload_id, "size": size}


def take_in(app: Kalla, filename: str, session_id: str, read: Callable[[int], bytes]) -> str:
    """The address of a file that came inside a form. Raises ServiceError as ``presign`` and ``receive``."""
    upload = Upload.new(session_id, filename)
    size = app.objects.write(upload, read, None)
    note(app, "upload.receive", upload.upload_id, size=size)
    return upload.uri(app.settings.uploads_bucket)


def _upload_of(app: Kalla, token: str) -> Upload:
    try:
        session_id, upload_id, filename = _tokens(app).loads(token, max_age=LINK_SECONDS)
    except SignatureExpired:
        raise ServiceError(
            "This upload link has expired.",
            code="upload.link_expired",
            status=LINK_STATUS["upload.link_expired"],
            hint="Ask for a new link.",
        ) from None
    except (BadSignature, ValueError):
        raise _bad_link() from None
    return Upload(session_id, upload_id, filename)


def _bad_link() -> ServiceError:
    return ServiceError(
        "This upload link is not valid.",
        code="upload.link_invalid",
        status=LINK_STATUS["upload.link_invalid"],
        hint="Ask for a new link.",
    )


def preview(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """``{columns, row_count, sample}`` of the upload ``s3_uri``; the sample has up to 10 rows as objects of texts.

    Raises ServiceError ``request.invalid_body``, ``upload.invalid_uri``, ``upload.not_found``, ``upload.empty``,
    ``upload.unreadable``, ``upload.too_large``.
    """
    (uri,) = texts(body, "s3_uri", filled=False)
    return look(app, parse_upload(app.settings, uri))


def confirm(app: Kalla, upload_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """``{upload_id, filename, s3_uri, columns, row_count}``. Raises as ``preview``, and ``upload.id_mismatch``."""
    uri, filename = texts(body, "s3_uri", "filename", filled=False)
    upload = parse_upload(app.settings, uri)
    if upload.upload_id != upload_id.lower():
        raise ServiceError("The address holds another upload id.", code="upload.id_mismatch")
    if upload.filename != filename:
        raise invalid_body(("filename", "is not the name of the uploaded file"))
    app.objects.size(upload)  # says that it is gone
    app.objects.touch(upload)  # its time begins again; now, as what is found out holds for the file's present state
    found = look(app, upload)
    note(app, "upload.confirm", upload_id, row_count=found["row_count"])
    looking_ahead.arrived(app, upload)
    return {
        "upload_id": upload.upload_id,
        "filename": upload.filename,
        "s3_uri": uri,
        "columns": found["columns"],
        "row_count": found["row_count"],
    }


def look(app: Kalla, upload: Upload) -> dict[str, Any]:
    """Columns, number of rows and first rows of an uploaded file, by the reader that runs use too."""
    size = app.objects.size(upload)
    if size > app.settings.max_upload_bytes:
        raise upload_too_large(app.settings.max_upload_bytes)
    if size == 0:
        raise _empty(upload)
    try:
        opened = open_source(app, upload.source_type, upload.uri(app.settings.uploads_bucket))
        with opened.told():
            found = first_rows(app, opened, SAMPLE_ROWS)
    except KallaError as error:
        raise _translated(error, upload) from None
    names = [column.name for column in found.columns]
    sample = [dict(zip(names, row, strict=True)) for row in found.rows]
    return {"columns": names, "row_count": found.total_rows, "sample": sample}


def _translated(error: KallaError, upload: Upload) -> KallaError:
    if error.code.startswith("upload."):
        return error
    if error.code == "source.empty_file":
        return _empty(upload)
    if error.code == "source.not_found":
        return ServiceError(error.message, code="upload.not_found", hint=error.hint)
    details = [{"path": "s3_uri", "message": error.message, "code": error.code}]
    return ServiceError(error.message, code="upload.unreadable", hint=error.hint, details=details)


def _empty(upload: Upload) -> ServiceError:
    return ServiceError(
        f"The file {upload.filename} is empty: not even a header is there.",
        code="upload.empty",
        hint="Export it again; a file without rows still needs its header.",
    )


# --- the end of uploads --------------------------------------------------------------------------------


def expire(app: Kalla, now: float | None = None) -> list[str]:
    """Delete uploads older than KALLA_UPLOAD_TTL_DAYS that no recipe and no open run uses; their ids.

    Registered sources that named one get the status ``error``. Files whose upload never ended go after a day.
    """
    moment = time.time() if now is None else now
    app.objects.drop_drafts(moment - _DRAFT_SECONDS)
    before = moment - app.settings.upload_ttl_days * 24 * 3600
    old = [kept for kept in app.objects.kept() if kept.modified < before]
    used = _addresses_in_use(app) if old else set()
    gone = [kept for kept in old if kept.address not in used]
    for kept in gone:
        app.objects.remove(kept)
        note(app, "upload.expire", kept.upload.upload_id)
    if gone:
        _mark_sources(app, {kept.address for kept in gone})
    return [kept.upload.upload_id for kept in gone]


def _addresses_in_use(app: Kalla) -> set[str]:
    addresses: set[str] = set()
    aliases: set[str] = set()
    for page in _pages(app.recipes.list):
        for record in page:
            for source in record.document["sources"].values():
                addresses |= {source["uri"]} if source.get("uri") else set()
                aliases.add(source["alias"])
    for run_id in app.runs.open_ids():
        run = app.runs.get(run_id)
        if run is not None:
            addresses |= set(_strings(run.recipe_snapshot))
            aliases |= {run.left_source or "", run.right_source or ""}
    for alias in aliases:
        registered = app.sources.get(alias)
        addresses |= {registered.uri} if registered is not None else set()
    return {address for uri in addresses if (address := _address(app, uri))}


def _mark_sources(app: Kalla, gone: set[str]) -> None:
    for page in _pages(app.sources.list):
        for record in page:
            if _address(app, record.uri) in gone:
                app.sources.set_status(record.alias, "error")


def _address(app: Kalla, uri: str) -> str | None:
    try:
        found = stored_upload(app.settings, uri)
    except ServiceError:
        return None  # malformed, so it names no file
    return None if found is None else found.address


def _pages(read: Callable[[int, int], list[Any]]) -> Iterator[list[Any]]:
    offset = 0
    while page := read(_PAGE, offset):
        yield page
        offset += len(page)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
