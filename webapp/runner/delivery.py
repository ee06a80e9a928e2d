"""One attempt at one callback: signed afresh, to a host that is checked as it is reached, never redirected."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from webapp.errors import ServiceError
from webapp.settings import Settings
from webapp.signatures import HEADER, sign

ATTEMPT_SECONDS = 10.0
_AGAIN = (401, 408, 429)
Place = tuple[str, int, tuple[str, ...]]  # host, port, and the numeric addresses to connect to
Check = Callable[[str], Place]  # of a URL


@dataclass(frozen=True)
class Attempt:
    """How an attempt ended: ``ok``, ``again`` or ``refused``; ``detail`` says why, without secrets."""

    result: str
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.result == "ok"


class Delivery:
    """Sends callbacks. ``check`` raises ServiceError for an address that may not be called (any more); only the
    numeric addresses that it found are connected to, whatever the name leads to a moment later."""

    def __init__(self, settings: Settings, check: Check) -> None:
        self._secrets = settings.callback_secrets
        self._check = check
        self._tls = ssl.create_default_context()

    def post(self, base: str, kind: str, body: dict[str, Any], timeout: float = ATTEMPT_SECONDS) -> Attempt:
        """Send ``body`` to ``<base>/<kind>``. Never raises for what the other side does."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        if self._secrets:
            headers[HEADER] = sign(self._secrets[0], data)
        url = f"{base}/{kind}"
        try:
            host, port, addresses = self._check(base)
            status = self._send(url, (host, port, addresses), data, headers, timeout)
        except ServiceError as error:
            # Names may resolve otherwise in a minute: only the answer of the receiver ends an errand for good.
            return Attempt("again", error.message)
        except (OSError, http.client.HTTPException) as error:
            return Attempt("again", str(error) or type(error).__name__)
        if 200 <= status < 300:
            return Attempt("ok")
        refused = 400 <= status < 500 and status not in _AGAIN
        return Attempt("refused" if refused else "again", f"HTTP status {status}")

    def _send(self, url: str, place: Place, data: bytes, headers: dict[str, str], timeout: float) -> int:
        parts = urlsplit(url)
        host, port, _ = place
        opened: list[socket.socket] = []
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        # The timeout of a socket counts each wait; this one ends the attempt as a whole.
        ends = threading.Timer(timeout, _cut, [opened])
        ends.daemon = True
        ends.start()
        try:
            connection.sock = self._connected(opened, place, parts.scheme == "https", timeout)
            connection.request("POST", parts.path, data, headers)
            return connection.getresponse().status
        finally:
            ends.cancel()
            connection.close()
            for sock in opened:
                sock.close()

    def _connected(self, opened: list[socket.socket], place: Place, secure: bool, timeout: float) -> socket.socket:
        host, port, addresses = place
        opened.append(_reached(addresses, port, timeout))
        if secure:  # the name stays what the certificate is checked against
            opened.append(self._tls.wrap_socket(opened[0], server_hostname=host))
        return opened[-1]


def _reached(addresses: tuple[str, ...], port: int, timeout: float) -> socket.socket:
    """A connection to the first of the addresses that answers. Raises OSError."""
    failed: OSError = OSError("The host of the callback address was not found.")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            failed = error
    raise failed


def _cut(opened: list[socket.socket]) -> None:
    for sock in list(opened):
        with contextlib.suppress(OSError):  # it is closed already: the attempt ended in this moment
            sock.shutdown(socket.SHUT_RDWR)
