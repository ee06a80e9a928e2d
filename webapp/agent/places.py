"""Sources as a conversation names them: registered ones and attached files, and where their rows are read from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recipe import is_alias, mask_uri
from webapp.agent.context import ToolError
from webapp.agent.session import SIDES, Place, Session
from webapp.context import Kalla
from webapp.objects import Upload, parse_upload
from webapp.services.previews import stored

if TYPE_CHECKING:  # it brings the engine, which the first page should not wait for
    from webapp.services.insight import Insight, SourceRef

_UNFIT = re.compile(r"[^\w.-]+")
_MOST_ALIAS = 200


def place_of(app: Kalla, session: Session, alias: str) -> Place:
    """The source of that name: an attached file, or a registered source. Raises ServiceError ``source.not_found``."""
    attached = session.working.uploads.get(alias)
    if attached is not None:
        return attached
    return Place(alias, stored(app, alias).source_type)


def attach(app: Kalla, session: Session, upload: Upload) -> Place:
    """Give an uploaded file a name in this conversation; the same file keeps its name."""
    uri = upload.uri(app.settings.uploads_bucket)
    for known in session.working.uploads.values():
        if known.uri == uri:
            return known
    place = Place(_free_alias(app, session, upload), "csv_upload" if upload.is_csv else "s3", uri, upload.filename)
    session.working.uploads[place.alias] = place
    return place


def attached_by_uri(app: Kalla, session: Session, uri: str) -> Place:
    """The attached file of that address; one that is not attached yet is attached. Raises ServiceError
    ``upload.invalid_uri``."""
    return attach(app, session, parse_upload(app.settings, uri))


def _free_alias(app: Kalla, session: Session, upload: Upload) -> str:
    """A name made from the file's own, one that nothing else here has."""
    stem = _UNFIT.sub("_", upload.filename.rpartition(".")[0]).strip("_.-")[:_MOST_ALIAS]
    base = stem if is_alias(stem) else "file"
    name, number = base, 2
    while name in session.working.uploads or app.sources.get(name) is not None:
        name, number = f"{base}_{number}", number + 1
    return name


def side_for(session: Session, place: Place, wanted: str | None) -> str:
    """The side that a source is for: the wanted one, the one that has it, or the first free one. Raises ToolError."""
    if wanted is not None:
        return wanted
    for side in SIDES:
        found = session.place(side)
        if found is not None and (found.alias, found.uri) == (place.alias, place.uri):
            return side
    for side in SIDES:
        if session.place(side) is None:
            return side
    raise ToolError("Both sides have a source. Say which one this is to replace: side left or right.")


def ref(app: Kalla, session: Session, side: str) -> SourceRef | None:
    """Where the rows of a side are; None while it has no source."""
    place = session.place(side)
    return None if place is None else ref_of(app, place, session.scope(side) or ())


def ref_of(app: Kalla, place: Place, conditions: Sequence[Mapping[str, Any]] = ()) -> SourceRef:
    """Where the rows of a source are that meet the conditions. Raises ServiceError ``source.not_found``."""
    from webapp.services.insight import SourceRef

    if place.uri is not None:
        return SourceRef(place.alias, place.source_type, place.uri, tuple(conditions))
    record = stored(app, place.alias)
    return SourceRef(place.alias, record.source_type, record.uri, tuple(conditions))


def insight_of(app: Kalla, session: Session) -> Insight:
    """What is known of both sources. Raises ToolError unless the left one is there."""
    from webapp.services.insight import for_sources

    left, right = (ref(app, session, side) for side in SIDES)
    if left is None:
        raise ToolError("The left source is not known yet.")
    return for_sources(app, left, right)


def shown_uri(app: Kalla, place: Place) -> str | None:
    """The address for people, secrets masked."""
    if place.uri is not None:
        return mask_uri(place.uri)
    record = app.sources.get(place.alias)
    return None if record is None else mask_uri(record.uri)


def entry_of(place: Place) -> dict[str, Any]:
    """An attached file as an entry of ``sources_list``."""
    uri = None if place.uri is None else mask_uri(place.uri)
    return {"alias": place.alias, "source_type": place.source_type, "status": "ok", "uri": uri}
