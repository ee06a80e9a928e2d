"""Encryption of what the database keeps secret: the addresses of sources with their passwords."""

from __future__ import annotations

import base64
import hashlib
import os
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from recipe import mask_uri
from webapp.errors import ServiceError, SettingsError
from webapp.settings import Settings

PREFIX = "kalla:sealed:1:"
KEY_FILE = "secret.key"
_MOST_REMEMBERED = 4096  # some 600 bytes each
# One fixed salt: the same passphrase must give the same key in every process. scrypt makes guessing it dear.
_SALT = b"kalla.vault.1"
_SCRYPT = {"n": 2**15, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024, "dklen": 32}


class Vault:
    """Seals and opens texts. Threads and processes with the same key understand each other.

    Args:
        secret_key: KALLA_SECRET_KEY, any passphrase; after a comma the previous one, which only opens.
        key_file: where a random key is kept for installations without KALLA_SECRET_KEY. It is created, readable
            by its owner only, when something is sealed for the first time. Beside a ``secret_key`` it only
            opens: a key set later leaves the entries from before it readable.

    Raises SettingsError when neither is given.
    """

    def __init__(self, secret_key: str | None, key_file: Path | None = None) -> None:
        self._passphrases = [part.strip() for part in (secret_key or "").split(",") if part.strip()]
        self._key_file = key_file
        self._masked = lru_cache(_MOST_REMEMBERED)(lambda text: mask_uri(self.open(text)))
        if not self._passphrases and key_file is None:
            raise SettingsError("There is no key to encrypt credentials with.", hint="Set KALLA_SECRET_KEY.")

    @classmethod
    def for_settings(cls, settings: Settings) -> Vault:
        """The vault of an installation; its key file lies in the staging folder."""
        return cls(settings.secret_key, settings.staging_path / KEY_FILE)

    def seal(self, text: str) -> str:
        """``text`` encrypted, marked with a prefix. The same text gives another result each time."""
        return PREFIX + self._fernet.encrypt(text.encode()).decode()

    def masked(self, text: str) -> str:
        """An address that was sealed, without its secrets. Raises as ``open``.

        What lists show again and again is decrypted once: no sealed text is ever sealed a second time, so what is
        remembered of it stays true, and only the masked form is remembered.
        """
        return self._masked(text)

    def open(self, text: str) -> str:
        """What was sealed. A text without the prefix was never sealed and comes back as it is.

        Raises ServiceError ``internal.secret_key`` when none of the keys fits.
        """
        if not text.startswith(PREFIX):
            return text
        try:
            return self._fernet.decrypt(text.removeprefix(PREFIX).encode()).decode()
        except (InvalidToken, ValueError):
            raise ServiceError(
                "Stored credentials cannot be read with the present key.",
                code="internal.secret_key",
                hint="Start Kalla with the KALLA_SECRET_KEY they were saved with, or register the sources again.",
            ) from None

    @cached_property
    def _fernet(self) -> MultiFernet:
        keys = [_derived(passphrase) for passphrase in self._passphrases]
        if self._key_file is not None and (not keys or self._key_file.exists()):
            keys.append(_key_of(self._key_file))
        return MultiFernet([Fernet(key) for key in keys])


def _derived(passphrase: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.scrypt(passphrase.encode(), salt=_SALT, **_SCRYPT))


def _key_of(path: Path) -> bytes:
    try:
        if not path.exists():
            _create(path)
        key = path.read_bytes().strip()
        Fernet(key)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no key"
        raise ServiceError(
            f"The key file of this installation cannot be used: {reason}.",
            code="internal.secret_key",
            hint=f"Restore {KEY_FILE} in the staging folder, or set KALLA_SECRET_KEY.",
        ) from None
    return key


def _create(path: Path) -> None:
    """Whole or not at all, and the first process wins; a temporary file is readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".key-") as file:
        file.write(Fernet.generate_key() + b"\n")
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return
