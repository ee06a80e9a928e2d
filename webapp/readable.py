"""Which files of this machine a source may read, be it as its rows or for its connection. App and runner both ask."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import make_url

from recipe import Address, FileAddress, MysqlAddress, PostgresAddress, local_path_of
from webapp.errors import ServiceError
from webapp.keys import KEY_FILE
from webapp.objects import GCS_UPLOADS
from webapp.settings import Settings
from webapp.stores.vault import KEY_FILE as VAULT_FILE

EVIDENCE_CACHE = "evidence-cache"  # parts of evidence that lies in an object store
FINDINGS = "findings"  # what the app's processes know of sources
# Below STAGING_PATH, besides the app's database: what the services keep for themselves. Uploads have their s3:// URIs.
_OWN_NAMES = (KEY_FILE, VAULT_FILE, "sweeper.lock", "runner", "uploads", EVIDENCE_CACHE, FINDINGS)
# Files of this machine that the PostgreSQL driver would read, and parameters that make it write one or call elsewhere.
_FILE_PARAMETERS = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir")
_REFUSED_PARAMETERS = ("sslkeylogfile", "oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope")


def check_files(settings: Settings, address: Address) -> None:
    """Raises ServiceError ``source.path_forbidden``, ``source.invalid_uri`` for an address that leads to files which
    sources may not read."""
    path = local_path_of(address)
    if path is not None:
        check_path(settings, path, "This path")
    if isinstance(address, FileAddress):
        _check_object(settings, address)
    if isinstance(address, PostgresAddress):
        check_parameters(settings, address)
    if isinstance(address, MysqlAddress) and address.ssl_ca is not None:
        check_path(settings, address.ssl_ca, "The file that ssl-ca names")


def _check_object(settings: Settings, address: FileAddress) -> None:
    """Uploads in Google's store lie in a folder of a bucket that may hold people's own data too; those in S3 have a
    bucket of their own, whose addresses are those of uploads."""
    if settings.store != "gs" or (address.scheme, address.bucket) != ("gs", settings.gcs_bucket):
        return
    literal = address.glob[0] if address.glob else address.path
    if literal.startswith(GCS_UPLOADS) or (address.glob and GCS_UPLOADS.startswith(literal)):
        raise ServiceError(
            "This address leads to files that people have uploaded.",
            code="source.path_forbidden",
            hint="Name an uploaded file by the s3:// address it came with.",
        )


def check_path(settings: Settings, path: str, named: str) -> None:
    """Raises ServiceError ``source.path_forbidden`` unless a path, links resolved, is one that sources may read."""
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(os.path.realpath(root)) for root in settings.readable_roots):
        raise ServiceError(
            f"{named} is not below a folder that Kalla may read.",
            code="source.path_forbidden",
            hint="Move the file into an allowed folder, or add its folder to KALLA_LOCAL_ROOTS.",
        )
    if _is_own(settings, real):
        raise ServiceError(
            f"{named} leads to files that Kalla keeps for itself.",
            code="source.path_forbidden",
            hint="Name a file of yours; an uploaded one by the s3:// address it came with.",
        )


def _is_own(settings: Settings, real: Path) -> bool:
    """Whether a file holds keys, the app's database, the runner's journal, an upload, or a draft of one of them."""
    staging = Path(os.path.realpath(settings.staging_path))
    if real.is_relative_to(staging):
        first = real.relative_to(staging).parts[:1]
        if any(name in _OWN_NAMES or name.startswith(".") for name in first):
            return True
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return False
    database = Path(os.path.realpath(url.database))
    return real.parent == database.parent and real.name.startswith(database.name)  # -wal, -shm and .lock too


def check_parameters(settings: Settings, address: PostgresAddress) -> None:
    """Parameters of a connection reach the driver; those that name files of this machine obey the rule for files.

    Raises ServiceError ``source.invalid_uri``, ``source.path_forbidden``.
    """
    for name, value in address.params:
        if name in _REFUSED_PARAMETERS:
            raise ServiceError(
                f"The parameter {name} is not accepted.", code="source.invalid_uri", hint="Leave it out of the address."
            )
        if name in _FILE_PARAMETERS and value and (name, value) != ("sslrootcert", "system"):
            check_path(settings, value, f"The file that {name} names")
