"""Tools that find sources and take samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipe import local_path_of, parse_uri
from webapp.agent.cards import withdraw
from webapp.agent.context import ToolContext, ToolError
from webapp.agent.places import attached_by_uri, entry_of, insight_of, place_of, ref_of, side_for
from webapp.agent.session import SIDES, Place, Row, Session
from webapp.agent.tools import GetSourcePreview, ListSources, LoadScoped, RequestFileUpload
from webapp.inference import Table, choose_samples, profile
from webapp.services import previews, sources
from webapp.services.insight import SourceRef, for_sources, look_ahead

SAMPLE_ROWS, MOST_SAMPLE_ROWS = 200, 1000
CARD_ROWS = 20
_FEW, _AHEAD = 8, 2  # sources to choose among, and how many of them are read before
_MOST_SAMPLE_CHARACTERS = 1_500_000  # of one side: a session has to fit into its row
_DEPENDENT = ("match_proposal", "rule_summary", "result_summary", "confirm", "select")


def list_sources(context: ToolContext, given: ListSources) -> list[dict[str, Any]]:
    """Registered sources, and files of this conversation that a preview has looked at."""
    names = ("alias", "source_type", "status", "uri")
    registered = [{name: entry[name] for name in names} for entry in sources.list_sources(context.app)]
    used = [place for place in context.session.working.sides.values() if place is not None and place.is_upload]
    context.session.sources_list = [*map(entry_of, used), *registered]
    for ref in _offered(context)[:_AHEAD]:
        look_ahead(context.app, ref)
    return context.session.sources_list


def get_source_preview(context: ToolContext, given: GetSourcePreview) -> dict[str, Any]:
    """First rows; the source becomes a side, an uploaded file with its sample."""
    session, app = context.session, context.app
    if given.alias is None and given.s3_uri is None:
        raise ToolError("Say which source: give alias, or s3_uri of an attached file.")
    if given.s3_uri is not None:
        place = attached_by_uri(app, session, given.s3_uri)
    else:
        place = place_of(app, session, given.alias or "")
    side = side_for(session, place, given.side)
    if place.uri is not None:
        found = previews.preview_upload(app, place.alias, place.uri, given.limit)
    else:
        _look_beside(context, side, place)
        found = previews.preview_source(app, place.alias, given.limit)
        _look_further(context, side, place)
    known = Place(**{**vars(place), "columns": found["columns"], "total_rows": found["total_rows"]})
    known.personal = _personal(context, known)
    _give_side(context, side, known)
    if known.is_upload:
        session.working.uploads[known.alias] = known
        listed = [entry for entry in session.sources_list or [] if entry["alias"] != known.alias]
        session.sources_list = [entry_of(known), *listed]
        _sample(context, side, None, [], SAMPLE_ROWS)
    return {**found, "side": side}


def _personal(context: ToolContext, place: Place) -> list[str]:
    """Names of the columns whose values look personal."""
    table = for_sources(context.app, ref_of(context.app, place), None).left
    return [column.name for column in profile(table).columns if column.looks_personal]


def _look_beside(context: ToolContext, side: str, place: Place) -> None:
    """Read the sources while the preview counts the records of this one."""
    session = context.session
    refs = [ref_of(context.app, place)]
    other = SIDES[1 - SIDES.index(side)]
    if (beside := session.place(other)) is not None:
        refs.insert(SIDES.index(other), ref_of(context.app, beside, session.scope(other) or ()))
    look_ahead(context.app, *refs)


def _look_further(context: ToolContext, side: str, place: Place) -> None:
    """Compare this source with what the person is likely to choose next, while the other side is open."""
    other = SIDES[1 - SIDES.index(side)]
    left_over = [ref for ref in _offered(context) if ref.alias != place.alias]
    if context.session.place(other) is None and left_over:
        refs = [ref_of(context.app, place)]
        refs.insert(SIDES.index(other), left_over[0])
        look_ahead(context.app, *refs)


def _offered(context: ToolContext) -> list[SourceRef]:
    """What the person chooses among, the newest first, where reading it before costs nobody anything: few sources,
    files of this machine."""
    listed = context.session.sources_list or []
    if len(listed) > _FEW:
        return []
    places = [place_of(context.app, context.session, entry["alias"]) for entry in listed]
    refs = [ref_of(context.app, place) for place in places]
    return [ref for ref in refs if _is_file_here(ref)]


def _is_file_here(ref: SourceRef) -> bool:
    return local_path_of(parse_uri(ref.type, ref.uri, registering=ref.type == "file")) is not None


def _give_side(context: ToolContext, side: str, place: Place) -> None:
    """Set the side; another source there takes with it what depended on it, and the person is told."""
    session = context.session
    before = session.place(side)
    had = bool(session.judged_pairs or session.recipe_draft)
    if session.give_side(side, place):
        session.phase = "intent" if session.phase not in ("greeting", "intent") else session.phase
        withdraw(session, *_DEPENDENT)
        assert before is not None, "something was replaced"
        lost = " The pairs and the rule that were found with it are gone; everything else stays." if had else ""
        context.say(f"The {side} source is now {place.alias}, in place of {before.alias}.{lost}")


def request_file_upload(context: ToolContext, given: RequestFileUpload) -> dict[str, Any]:
    """A field for a file."""
    withdraw(context.session, "upload_request")
    card = context.show("upload_request", {"message": given.message, "side": given.side})
    return {"card_type": "upload_request", "message": given.message, "card_id": card["card_id"]}


def load_scoped(context: ToolContext, given: LoadScoped) -> dict[str, Any]:
    """The sample of the side that has this source, from the rows that meet the conditions."""
    session = context.session
    side = _owner(session, given.alias)
    place = session.place(side)
    assert place is not None, "its alias has been found"
    limit = min(given.limit, MOST_SAMPLE_ROWS)
    if given.conditions or place.total_rows is None:
        found = _scoped(context, place, given.conditions, limit)
    else:  # all rows: the preview has counted them
        found = {"columns": place.columns, "total_rows": place.total_rows}
    if found["total_rows"] == 0:
        raise ToolError(_no_rows(place.alias, given.conditions))
    if session.judged_pairs and given.conditions != (session.scope(side) or []):
        session.clear_from("demonstration")
        withdraw(session, *_DEPENDENT)
        context.say("The rows are chosen anew, so the pairs and the rule found before are gone.")
    names = place.column_names
    place.total_rows = found["total_rows"] if not given.conditions else place.total_rows
    rows = None
    if "rows" in found:
        rows = [dict(zip(names, row, strict=True)) for row in found["rows"]]
    _sample(context, side, rows, given.conditions, limit, total=found["total_rows"])
    sample = session.sample(side) or []
    return {
        "alias": place.alias,
        "columns": found["columns"],
        "rows": [[row[name] for name in names] for row in sample],
        "total_rows": found["total_rows"],
        "preview_rows": len(sample),
        "side": side,
    }


def _scoped(context: ToolContext, place: Place, conditions: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """The rows that meet the conditions, counted by the runner."""
    asked: dict[str, Any] = {"conditions": conditions, "limit": limit}
    if place.uri is not None:
        asked["csv_uri"] = place.uri
    return previews.load_scoped(context.app, place.alias, asked)


def _no_rows(alias: str, conditions: list[dict[str, Any]]) -> str:
    if conditions:
        return f"No row of {alias} meets these conditions, so the sample stays as it was. Loosen them."
    return f"{alias} holds no rows, so there is nothing to compare."


def _owner(session: Session, alias: str) -> str:
    owners = [side for side in SIDES if session.alias(side) == alias]
    if not owners:
        known = " and ".join(str(session.alias(side)) for side in SIDES if session.alias(side))
        raise ToolError(f"{alias!r} is the source of no side. The sources are {known or 'not chosen yet'}.")
    unloaded = [side for side in owners if not session.sample(side)]
    return (unloaded or owners)[0]


def _sample(
    context: ToolContext,
    side: str,
    rows: list[Row] | None,
    conditions: list[dict[str, Any]],
    limit: int,
    total: int | None = None,
) -> None:
    """Set a side's sample. As soon as both sides have one, both are chosen so that their rows can be compared."""
    session = context.session
    session.set_sample(side, rows or [], conditions)
    other = SIDES[1 - SIDES.index(side)]
    if session.place(other) is None or session.sample(other) is None:
        if rows is None:  # alone so far; shown with the other one
            table = _alone(context, side)
            session.set_sample(side, _rows(table, range(min(limit, len(table.rows)))), conditions)
        return
    insight = insight_of(context.app, session)
    assert insight.right is not None and insight.analysis is not None, "both sides are known"
    chosen = choose_samples(insight.left, insight.right, insight.analysis, limit)
    for name, table, indices in zip(SIDES, (insight.left, insight.right), chosen, strict=True):
        session.set_sample(name, _rows(table, indices), session.scope(name) or [])
        _show(context, name, total if name == side else None)


def _alone(context: ToolContext, side: str) -> Table:
    place = context.session.place(side)
    assert place is not None, "a sample is of a source"
    return for_sources(context.app, ref_of(context.app, place, context.session.scope(side) or ()), None).left


def _rows(table: Table, indices: Sequence[int]) -> list[Row]:
    """Rows by name, as many as a session can hold."""
    rows: list[Row] = []
    room = _MOST_SAMPLE_CHARACTERS
    for index in indices:
        row = table.row(index)
        room -= sum(len(name) + len(value or "") + 6 for name, value in row.items())
        if room < 0 and rows:
            break
        rows.append(row)
    return rows


def _show(context: ToolContext, side: str, total: int | None) -> None:
    """A table of the sample, one for each side: the newest."""
    session = context.session
    place, sample = session.place(side), session.sample(side) or []
    assert place is not None, "a sample is of a source"
    if any(card["data"].get("side") == side for card in context.added if card["card_type"] == "sample_table"):
        context.added[:] = [
            card for card in context.added if card["card_type"] != "sample_table" or card["data"]["side"] != side
        ]
    names = place.column_names
    shown = [[row.get(name) for name in names] for row in sample[:CARD_ROWS]]
    context.show(
        "sample_table",
        {
            "title": place.filename or place.alias,
            "side": side,
            "columns": place.columns,
            "rows": shown,
            "shown": len(shown),
            "sample": len(sample),
            "total": total if total is not None else place.total_rows or len(sample),
        },
    )
