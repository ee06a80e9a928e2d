"""Rows of the tables in which connectors of servers translate their driver's errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from connectors.errors import ConnectorError


@dataclass(frozen=True)
class Fault:
    """One row of the table. ``what`` completes the sentence "The source <name> ..."."""

    error: type[ConnectorError]
    what: str
    hint: str
    code: str | None = None

    def raised(self, where: str, detail: str = "") -> ConnectorError:
        """The error for a source; ``detail`` is what the server said, free of secrets."""
        said = f": {detail}" if detail else ""
        return self.error(f"The source {where} {self.what}{said}.", code=self.code, hint=self.hint)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret, plain or percent-encoded, as ``***``."""
    for secret in sorted({s for s in secrets if s}, key=len, reverse=True):
        for form in (secret, quote(secret, safe="")):
            text = text.replace(form, "***")
    return text
