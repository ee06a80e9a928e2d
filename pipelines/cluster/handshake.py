"""What a run tells the pool before a worker of it starts, and why the pool would refuse.

Beam hands the parameters of an external environment to the pool unread, and the pool's refusal back as text. That is
the one moment before anything of ours is unpickled on a worker, and functions that another Python had compiled end a
worker without a word.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.exchange import TOKEN, Exchange
from pipelines.stored_exchange import not_reached

FOLDER_NOT_SHARED = "run.folder_not_shared"
WORKER_VERSION = "run.worker_version"
_PACKAGES = ("apache-beam", "duckdb", "pyarrow")


def versions() -> dict[str, str]:
    """What must be the same where a run is planned and where its steps run."""
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for name in ("kalla", *_PACKAGES):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def greeting(exchange: Exchange) -> dict[str, str]:
    """The parameters for a run; leaves a token where its workers must find it."""
    token = secrets.token_hex(16)
    return {**exchange.greet(token), "token": token, **versions()}


def refusal(parameters: Mapping[str, str]) -> PipelineError | None:
    """Why a worker for a run with these parameters must not start here; None when it may.

    The parameters come from whoever reaches the pool: no more than the one file is looked at, and its content stays.
    """
    if "token" not in parameters:
        return None  # another program's job, which knows nothing of ours
    mine = versions()
    for name, wanted in parameters.items():
        if name in mine and mine[name] != wanted:
            return PipelineError(
                f"The worker pool runs {name} {mine[name]}, the run was planned with {name} {wanted}.",
                code=WORKER_VERSION,
                hint="Install the same version of Kalla and Python on every worker.",
            )
    if "store" in parameters:
        return not_reached(parameters["store"], parameters["token"])
    for folder in (parameters.get("scratch", ""), parameters.get("evidence", "")):
        if not _is_shared(folder, parameters["token"]):
            return PipelineError(
                f"A worker cannot read and write the run's folder {folder}.",
                code=FOLDER_NOT_SHARED,
                hint="Write evidence (--output) and scratch data (--staging, KALLA_STAGING) to folders that every "
                "worker mounts at the same path, or name an object store for scratch data.",
            )
    return None


def _is_shared(folder: str, token: str) -> bool:
    try:
        if (Path(folder) / TOKEN).read_text(encoding="ascii") != token:
            return False
        probe = Path(folder) / f"{TOKEN}-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError):
        return False
    return True
