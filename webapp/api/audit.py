"""Who changed what: /api/audit."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from webapp.context import kalla
from webapp.services import utc_text
from webapp.web import schemas
from webapp.web.described import PAGING, describe
from webapp.web.requests import limit_and_offset

blueprint = Blueprint("audit", __name__)

_ENTRY = schemas.record(
    {
        "actor": schemas.TEXT,
        "action": schemas.TEXT,
        "subject": schemas.TEXT,
        "details": schemas.nullable(schemas.OBJECT),
        "created_at": schemas.TIME,
    }
)


@blueprint.get("/api/audit")
@describe("Who changed what", tag="Audit", query=PAGING, response=schemas.listed(_ENTRY))
def list_audit() -> list[dict[str, Any]]:
    """Entries of the audit log, newest first, secrets masked. They are only ever added."""
    return [
        {
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "details": entry.details,
            "created_at": utc_text(entry.created_at),
        }
        for entry in kalla().audit.list(*limit_and_offset())
    ]
