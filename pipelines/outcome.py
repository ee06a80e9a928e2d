"""How a run ended, as its launcher learns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe import KallaError


def completed(document: Mapping[str, Any], evidence: str, seconds: float) -> dict[str, Any]:
    """The outcome of a run whose manifest is ``document`` and whose evidence lies at ``evidence``."""
    return {
        "run_id": document["run_id"],
        "status": "completed",
        **document["counts"],
        "reasons": document["reasons"],
        "control_totals": document["control_totals"],
        "warnings": document["warnings"],
        "evidence": evidence,
        "strategy": document["plan"]["strategy"],
        "engine": document["plan"]["engine"],
        "runner": document["plan"]["runner"],
        "seconds": round(seconds, 3),
    }


def failed(run_id: str, error: KallaError, trace: str) -> dict[str, Any]:
    """The outcome of a run that ``error`` ended; nothing was committed."""
    return {"run_id": run_id, "status": "failed", "error": error.as_dict(), "trace": trace}
