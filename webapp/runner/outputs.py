"""Where a job may write its evidence, and the addresses that are reported for it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from webapp.errors import ServiceError
from webapp.settings import Settings

SETS = ("matched", "unmatched_left", "unmatched_right")
_OWN_FOLDERS = ("runner", "uploads")  # below STAGING_PATH; evidence there would sit among other people's files


@dataclass(frozen=True)
class Output:
    """``folder`` is written, ``shown`` is how the outside names it, without a slash at the end."""

    folder: Path
    shown: str

    @property
    def paths(self) -> dict[str, str]:
        return {name: f"{self.shown}/{name}/" for name in SETS}


def resolve_output(path: str, run_id: str, settings: Settings, shared: bool = False) -> Output:
    """The place that ``output_path`` names. Addresses in the results bucket lie below STAGING_PATH/results.

    Raises ServiceError ``job.output_forbidden``, also for a folder that holds another run's evidence.
    """
    scheme, mark, rest = path.partition("://")
    if "\0" in path or not path.isprintable():
        raise _forbidden("output_path holds characters that no path has.")
    if mark and scheme.lower() == "s3":
        output = _stored(path, rest, settings)
    elif mark and scheme.lower() != "file":
        raise _forbidden(f"This runner cannot write to {scheme[:20]}:// addresses.")
    elif shared:
        raise _forbidden("output_path is a local path, and runners share none.", "Use s3:// or gs://.")
    else:
        folder = Path(os.path.realpath(settings.staging_path / (unquote(rest) if mark else path)))
        output = Output(folder, str(folder))
    _check_place(output.folder, settings)
    _check_owner(output.folder, run_id)
    return output


def _stored(path: str, rest: str, settings: Settings) -> Output:
    bucket, _, key = rest.partition("/")
    if bucket != settings.results_bucket:
        raise _forbidden("output_path is not in the results bucket.", f"Use s3://{settings.results_bucket}/.")
    parts = unquote(key).rstrip("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise _forbidden("output_path names no folder of the results bucket.")
    return Output(Path(os.path.realpath(settings.staging_path.joinpath("results", *parts))), path.rstrip("/"))


def _check_place(folder: Path, settings: Settings) -> None:
    staging = Path(os.path.realpath(settings.staging_path))
    roots = [staging, *(Path(os.path.realpath(root)) for root in settings.local_roots)]
    if not any(folder != root and folder.is_relative_to(root) for root in roots):
        raise _forbidden("output_path lies outside the folders that jobs may write to.", "See KALLA_LOCAL_ROOTS.")
    own = [staging / name for name in _OWN_FOLDERS]
    if any(folder.is_relative_to(place) for place in own) or _is_above(folder, [*own, staging / "results" / "runs"]):
        raise _forbidden("output_path is a folder that the services keep for themselves.")


def _is_above(folder: Path, places: list[Path]) -> bool:
    return any(place.is_relative_to(folder) for place in places)


def _check_owner(folder: Path, run_id: str) -> None:
    """A run may replace its own evidence, after an interruption, and nobody else's."""
    manifest = folder / "manifest.json"
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict) or document.get("run_id") != run_id:
        raise _forbidden("output_path already holds the evidence of another run.")


def _forbidden(message: str, hint: str = "") -> ServiceError:
    return ServiceError(message, code="job.output_forbidden", hint=hint)
