"""Exit statuses: 0 done, 2 an invalid recipe or usage, 1 failed, 130 interrupted. The one table that decides."""

from __future__ import annotations

DONE, FAILED, INVALID, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

# The person's recipe or command line must change; trying again as it is cannot help.
_INVALID_FAMILIES = ("recipe.", "filter.", "udf.invalid_", "usage.")
_INVALID_CODES = {
    "evidence.masked_source",
    "evidence.target_exists",
    "evidence.unknown_format",
    "evidence.unknown_set",
    "run.cluster_kind",
    "run.cluster_not_set",
    "run.file_required",
    "run.invalid_option",
    "run.output_exists",
    "run.output_not_empty",
    "run.output_not_folder",
    "run.schema_mismatch",
    "run.source_missing",
    "run.strategy_impossible",
    "run.unknown_alias",
    "source.column_missing",
    "source.invalid_uri",
    "source.masked_credentials",
    "source.unknown_type",
    "source.unsupported_type",
    "storage.invalid_address",
}


def exit_status(code: str) -> int:
    """The status for an error code.

    >>> exit_status("recipe.sql.forbidden"), exit_status("source.unreachable")
    (2, 1)
    """
    return INVALID if code.startswith(_INVALID_FAMILIES) or code in _INVALID_CODES else FAILED
