"""Addresses to listen on, and processes that end with the one that started them."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket

from webapp.errors import SettingsError

_PR_SET_PDEATHSIG = 1


def bind_text(host: str, port: int) -> str:
    """``host:port`` as gunicorn reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def free_port() -> int:
    """A port of the loopback address that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_address(host: str, port: int) -> None:
    """Raises SettingsError ``settings.address_in_use`` or ``settings.invalid`` before anything is started."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"Port {port} of {host} is in use.",
                code="settings.address_in_use",
                hint="Choose another with --port, or stop what uses it.",
            ) from error
        raise SettingsError(f"Cannot listen on {host}:{port}: {error.strerror}.", hint="Check --bind-host.") from error


def end_with(parent: int) -> None:
    """Let this process be killed when its parent is: it must not go on by itself."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the line above
        os.kill(os.getpid(), signal.SIGKILL)
