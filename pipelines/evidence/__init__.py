"""Evidence as others use it: read it, check it, export it, make it again. Knows nothing of Beam."""

from __future__ import annotations

from pipelines.errors import EvidenceError
from pipelines.evidence.document import Manifest
from pipelines.evidence.exports import FORMATS, export, export_workbook
from pipelines.evidence.files import Check
from pipelines.evidence.reader import Evidence, Page, PageColumn
from pipelines.evidence.replay import Comparison, replay
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
    "Evidence",
    "EvidenceError",
    "Manifest",
    "Page",
    "PageColumn",
    "Verification",
    "export",
    "export_workbook",
    "replay",
    "verify",
]
