"""Where a job may write its evidence, and the addresses that are reported for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from connectors import ConnectorError, ObjectFolder
from webapp.errors import ServiceError
from webapp.objects import GCS_RESULTS
from webapp.settings import Settings

_MANIFEST, _MOST_MANIFEST = "manifest.json", 256 << 20
SETS = ("matched", "unmatched_left", "unmatched_right")
_OWN_FOLDERS = ("runner", "uploads")  # below STAGING_PATH; evidence there would sit among other people's files


@dataclass(frozen=True)
class Output:
    """``target`` is written, a folder or an address in the object store; ``shown`` is how the outside names it, without
    a slash at the end."""

    target: str
    shown: str

    @property
    def paths(self) -> dict[str, str]:
        return {name: f"{self.shown}/{name}/" for name in SETS}


def resolve_output(path: str, run_id: str, settings: Settings, shared: bool = False) -> Output:
    """The place that ``output_path`` names. Without an object store addresses in the results bucket lie below
    STAGING_PATH/results.

    Raises ServiceError ``job.output_forbidden``, also for a folder that holds another run's evidence; ConnectorError
    ``storage.*``.
    """
    scheme, mark, rest = path.partition("://")
    if "\0" in path or not path.isprintable():
        raise _forbidden("output_path holds characters that no path has.")
    if mark and scheme.lower() in ("s3", "gs") and scheme.lower() == settings.store:
        return _in_store(path, run_id, settings)
    if mark and scheme.lower() == "s3" and not settings.store:
        folder, shown = _below_staging(rest, settings), path.rstrip("/")
    elif mark and scheme.lower() != "file":
        raise _forbidden(f"This runner cannot write to {scheme[:20]}:// addresses.")
    elif shared:
        raise _forbidden("output_path is a local path, and runners share none.", "Use s3:// or gs://.")
    else:
        folder = Path(os.path.realpath(settings.staging_path / (unquote(rest) if mark else path)))
        shown = str(folder)
    _check_place(folder, settings)
    _check_owner(run_id, lambda: (folder / _MANIFEST).read_bytes())
    return Output(str(folder), shown)


def _in_store(path: str, run_id: str, settings: Settings) -> Output:
    folder = ObjectFolder.at(path)
    google = settings.store == "gs"
    bucket, below = (settings.gcs_bucket, GCS_RESULTS) if google else (settings.results_bucket, "")
    if folder.bucket.name != bucket or not folder.prefix.startswith(below) or folder.prefix in (below, f"{below}runs/"):
        place = f"{settings.store}://{bucket}/{below}"
        raise _forbidden("output_path is not in the results bucket.", f"Use a folder below {place}.")
    _check_owner(run_id, lambda: folder.read(_MANIFEST, _MOST_MANIFEST))
    return Output(path.rstrip("/"), path.rstrip("/"))


def _below_staging(rest: str, settings: Settings) -> Path:
    bucket, _, key = rest.partition("/")
    if bucket != settings.results_bucket:
        raise _forbidden("output_path is not in the results bucket.", f"Use s3://{settings.results_bucket}/.")
    parts = unquote(key).rstrip("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise _forbidden("output_path names no folder of the results bucket.")
    return Path(os.path.realpath(settings.staging_path.joinpath("results", *parts)))


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


def _check_owner(run_id: str, read: Callable[[], bytes]) -> None:
    """A run may replace its own evidence, after an interruption, and nobody else's. ``read`` gives the manifest."""
    try:
        document = json.loads(read())
    except (FileNotFoundError, NotADirectoryError):
        return
    except ConnectorError as error:
        if error.code != "storage.not_found":
            raise
        return
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict) or document.get("run_id") != run_id:
        raise _forbidden("output_path already holds the evidence of another run.")


def _forbidden(message: str, hint: str = "") -> ServiceError:
    return ServiceError(message, code="job.output_forbidden", hint=hint)
