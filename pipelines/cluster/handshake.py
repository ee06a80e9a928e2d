"""What a run tells the pool before a worker of it starts, and why the pool would refuse.

Beam hands the parameters of an external environment to the pool unread, and the pool's refusal back as text. That is
the one moment before anything of ours is unpickled on a worker, and functions that another Python had compiled end a
worker without a word.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipelines.errors import PipelineError

FOLDER_NOT_SHARED = "run.folder_not_shared"
WORKER_VERSION = "run.worker_version"
_TOKEN = "shared-with-workers"  # noqa: S105 - a file's name
_REFUSAL = re.compile(r"\[(run\.[a-z_]+)\] (.*?) \[hint\] (.*?) \[end\]", re.DOTALL)
_PACKAGES = ("apache-beam", "duckdb", "pyarrow")


@dataclass(frozen=True)
class Folders:
    """The two folders of a run that driver and workers must share; the second may hold the first."""

    scratch: Path
    evidence: Path
    """Where parts lie until the commit; not the folder that becomes the output, which holds nothing else."""


def versions() -> dict[str, str]:
    """What must be the same where a run is planned and where its steps run."""
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for name in ("kalla", *_PACKAGES):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def greeting(folders: Folders) -> dict[str, str]:
    """The parameters for a run in ``folders``; leaves a token in both."""
    token = secrets.token_hex(16)
    named = {"scratch": str(folders.scratch), "evidence": str(folders.evidence)}
    for folder in named.values():
        (Path(folder) / _TOKEN).write_text(token, encoding="ascii")
    return {**named, "token": token, **versions()}


def refusal(parameters: Mapping[str, str]) -> str | None:
    """Why a worker for a run with these parameters must not start here; None when it may.

    The parameters come from whoever reaches the pool: no more than the one file is looked at, and its content stays.
    """
    if "token" not in parameters:
        return None  # another program's job, which knows nothing of ours
    mine = versions()
    for name, wanted in parameters.items():
        if name in mine and mine[name] != wanted:
            return _text(
                WORKER_VERSION,
                f"The worker pool runs {name} {mine[name]}, the run was planned with {name} {wanted}.",
                "Install the same version of Kalla and Python on every worker.",
            )
    for folder in (parameters.get("scratch", ""), parameters.get("evidence", "")):
        if not _is_shared(folder, parameters["token"]):
            return _text(
                FOLDER_NOT_SHARED,
                f"A worker cannot read and write the run's folder {folder}.",
                "Write evidence (--output) and scratch data (--staging, KALLA_STAGING) to folders that every worker "
                "mounts at the same path.",
            )
    return None


def _is_shared(folder: str, token: str) -> bool:
    try:
        if (Path(folder) / _TOKEN).read_text(encoding="ascii") != token:
            return False
        probe = Path(folder) / f"{_TOKEN}-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError):
        return False
    return True


def _text(code: str, message: str, hint: str) -> str:
    return f"[{code}] {message} [hint] {hint} [end]"


def refused(text: str) -> PipelineError | None:
    """The error behind a refusal in a cluster's message; None where there is none."""
    found = _REFUSAL.search(text)
    return PipelineError(found[2], code=found[1], hint=found[3]) if found else None
