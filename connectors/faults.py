"""Rows of the tables in which connectors of servers translate their driver's errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from connectors.errors import ConnectorError, SourceDataError, SourceUnreachable


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


LOST = Fault(
    SourceUnreachable,
    "lost its connection to the server",
    "Nothing that was read is used; run again once the server is back.",
)
BUSY = Fault(SourceUnreachable, "was turned away by the server", "Try again in a moment.")
DATA = Fault(SourceDataError, "could not be computed by the server", "Correct the data or the view that it comes from.")


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret, plain or percent-encoded, as ``***``."""
    for secret in sorted({s for s in secrets if s}, key=len, reverse=True):
        for form in (secret, quote(secret, safe="")):
            text = text.replace(form, "***")
    return text
