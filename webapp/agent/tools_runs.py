"""Tools that run the recipe: on the sample, and on everything."""

from __future__ import annotations

from typing import Any

from recipe import KallaError, read_json
from webapp.agent.cards import all_cards, make, withdraw
from webapp.agent.context import ToolContext, ToolError
from webapp.agent.sample_run import SETS, SHOWN_ROWS, run_draft
from webapp.agent.session import SIDES, Session
from webapp.agent.tools import RunFull, RunSample
from webapp.context import Kalla
from webapp.services import evidence, runs, utc_text

_NO_RUN = (
    *("output_matched", "output_unmatched_left", "output_unmatched_right", "error_message", "latest_progress"),
    *("started_at", "completed_at", "error_stage", "retry_of", "run_id"),
)


def run_sample(context: ToolContext, given: RunSample) -> dict[str, Any]:
    """Figures and rows of a true run on both samples, and the card that asks for approval."""
    session = context.session
    draft = session.recipe_draft
    if draft is None:
        raise ToolError("There is no draft yet. Build the recipe first.")
    found = run_draft(context.app, session, draft, context.seconds_left)
    session.withdraw_approval()
    withdraw(session, "result_summary")
    moment = utc_text(session.updated_at)
    about = {
        "recipe_id": draft["recipe_id"],
        "recipe_name": draft["name"],
        "status": "completed",
        "left_source": session.left_source_alias,
        "right_source": session.right_source_alias,
        "created_at": moment,
        "updated_at": moment,
    }
    context.show("result_summary", {**dict.fromkeys(_NO_RUN), **about, **found, "sample": True}, "validation")
    return {**found, "sample": True}


def run_full(context: ToolContext, given: RunFull) -> dict[str, Any]:
    """A run of the recipe, handed to the runner."""
    session = context.session
    draft = session.recipe_draft
    assert draft is not None and session.validation_approved, "the phase needs both"
    if session.status == "running":
        raise ToolError("The run is under way already. Wait for its end.")
    body: dict[str, Any] = {"recipe_id": draft["recipe_id"]} if session.working.saved else {"recipe": draft}
    files = [_file(session, side) for side in SIDES if draft["sources"][side]["type"] == "file"]
    if files:
        body["resolved_sources"] = files
    answer = runs.submit(context.app, body)
    adopt_run(context, answer["run_id"])
    return {"run_id": answer["run_id"], "status": answer["status"]}


def adopt_run(context: ToolContext, run_id: str) -> None:
    """Let the conversation follow a run."""
    session = context.session
    session.run_id, session.status = run_id, "running"
    context.show("progress", {"run_id": run_id, "status": "submitted"})


def _file(session: Session, side: str) -> dict[str, Any]:
    place = session.place(side)
    if place is None or place.uri is None:
        raise ToolError(f"The {side} source needs a file for this run. Ask for it.")
    return {"alias": f"{side}_src", "uri": place.uri}


# --- the end of the run --------------------------------------------------------------------------------


def final_card(app: Kalla, run_id: str) -> dict[str, Any]:
    """The ``result_summary`` of a finished run: the run object, and where there is evidence rows and reasons."""
    record = runs.found_run(app, run_id)
    body = runs.run_body(record)
    rows: dict[str, Any] = {}
    reasons: dict[str, Any] = {}
    note = None
    if body["status"] == "completed":
        try:
            rows = {name: evidence.page(app, run_id, name, limit=SHOWN_ROWS) for name in SETS}
            reasons = read_json(b"".join(evidence.manifest(app, run_id).chunks)).get("reasons", {})
        except KallaError as error:
            rows, reasons, note = {}, {}, f"The rows cannot be shown: {error.message}"
    return make("result_summary", {**body, "sample": False, "rows": rows, "reasons": reasons, "note": note}, "result")


def finish_progress(session: Session, run_id: str, status: str) -> None:
    """Let the progress card say how the run ended."""
    for card in all_cards(session):
        if card["card_type"] == "progress" and card["data"]["run_id"] == run_id:
            card["data"] = {**card["data"], "status": status}
