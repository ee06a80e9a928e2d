"""Evidence as others use it: read it, check it, export it, make it again. Knows nothing of Beam."""

from __future__ import annotations

from pipelines.errors import EvidenceError
from pipelines.evidence.browse import Query, browse, reasons_filter
from pipelines.evidence.candidate import candidate
from pipelines.evidence.columns import SetColumn, set_columns
from pipelines.evidence.differences import differing
from pipelines.evidence.document import Manifest
from pipelines.evidence.downloads import Download, stream
from pipelines.evidence.exports import FORMATS, export, export_workbook
from pipelines.evidence.files import Check
from pipelines.evidence.places import PartCache
from pipelines.evidence.reader import Evidence, Page, PageColumn
from pipelines.evidence.replay import Comparison, replay
from pipelines.evidence.summary import summary, value_rate
from pipelines.evidence.verify import CHECKS, Verification, verify
from pipelines.matching import REASONS
from pipelines.workdir import SETS

__all__ = [
    "CHECKS",
    "FORMATS",
    "REASONS",
    "SETS",
    "Check",
    "Comparison",
    "Download",
    "Evidence",
    "EvidenceError",
    "Manifest",
    "Page",
    "PageColumn",
    "PartCache",
    "Query",
    "SetColumn",
    "Verification",
    "browse",
    "candidate",
    "differing",
    "export",
    "export_workbook",
    "reasons_filter",
    "replay",
    "set_columns",
    "stream",
    "summary",
    "value_rate",
    "verify",
]
