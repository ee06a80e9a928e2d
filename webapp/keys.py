"""Keys that sign what the app hands out: session cookies, form tokens, upload links."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from webapp.settings import Settings

KEY_FILE = "app.key"


def signing_key(settings: Settings, purpose: str) -> bytes:
    """A key for one purpose, the same in every process of the app and after a restart.

    It comes from KALLA_SECRET_KEY and KALLA_ACCESS_TOKEN, so that a new token ends all sessions; without both, from a
    random file below STAGING_PATH that only its owner may read.
    """
    given = "\0".join((settings.secret_key or "", settings.access_token or ""))
    root = given.encode() if given != "\0" else _stored(settings.staging_path / KEY_FILE)
    return hmac.new(root, b"kalla:" + purpose.encode(), hashlib.sha256).digest()


def _stored(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        try:
            os.link(draft, path)  # the first of several processes wins, the others use its key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()
