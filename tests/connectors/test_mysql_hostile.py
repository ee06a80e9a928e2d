"""Servers that mean harm to whoever reads a MySQL source: they ask for passwords, files and memory, or talk nonsense."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors import ConnectorError, SourceDenied, SourceUnreachable
from connectors.mysql import session
from connectors.mysql.reader import MysqlConnector
from tests.connectors.mysql_database import WRONG, check_form, open_uri


def packet(number: int, content: bytes) -> bytes:
    return struct.pack("<I", len(content))[:3] + bytes([number]) + content


GREETING = packet(
    0,
    b"\x0a8.0.99\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", 0xF7FF) + b"\x2d\x02\x00"
    + struct.pack("<H", 0x000F) + b"\x15" + b"\0" * 10 + b"123456789012\0" + b"mysql_native_password\0",
)  # fmt: skip
OK = b"\0\0\0\x02\0\0\0"


@contextlib.contextmanager
def hostile(say: Callable[[socket.socket, list[bytes]], None]) -> Iterator[tuple[MysqlConnector, list[bytes]]]:
    """A source on a server that greets without TLS and then does as it likes, and all that it heard."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, contextlib.suppress(OSError):
                        client.settimeout(20)
                        client.sendall(GREETING)
                        heard.append(client.recv(65536))
                        say(client, heard)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield open_uri(f"mysql://u:{WRONG}@127.0.0.1:{listener.getsockname()[1]}/d?table=t"), heard
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(25)


@pytest.mark.parametrize("login", [b"mysql_clear_password", b"dialog", b"mysql_old_password", b"nonsense"])
def test_no_password_in_the_clear(login: bytes) -> None:
    def switch(client: socket.socket, heard: list[bytes]) -> None:
        client.sendall(packet(2, b"\xfe" + login + b"\0" + b"\x05Password: "))
        heard.append(client.recv(65536))

    with hostile(switch) as (source, heard):
        with pytest.raises(SourceDenied, match="not supported") as caught:
            source.schema()
        check_form(caught.value)
        assert not [said for said in heard if WRONG.encode() in said]


def test_no_file_of_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("for nobody")

    def ask(client: socket.socket, heard: list[bytes]) -> None:
        for number in (2, 1):
            client.sendall(packet(number, OK))
            heard.append(client.recv(65536))
        client.sendall(packet(1, b"\xfb" + str(secret).encode()))
        heard.append(client.recv(65536))

    with hostile(ask) as (source, heard):
        with pytest.raises(SourceUnreachable, match="answer that MySQL does not give") as caught:
            source.schema()
        check_form(caught.value)
    assert b"for nobody" not in b"".join(heard)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        packet(2, b""),
        packet(7, OK),
        packet(2, b"\xfe"),
        packet(2, b"\xff"),
        packet(2, b"\xff\x15\x04#2800"),
        packet(2, b"\x01\x04"),
        b"\xff\xff\xff\x02",
        b"",
    ],
)
def test_answers_that_are_none(answer: bytes) -> None:
    with hostile(lambda client, _: client.sendall(answer)) as (source, _), pytest.raises(ConnectorError) as caught:
        source.schema()
    check_form(caught.value)


def test_an_endless_answer_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session._Connection, "left", 1 << 20)
    monkeypatch.setattr(session, "MOST_BYTES", 1 << 20)

    def talk(client: socket.socket, _: list[bytes]) -> None:
        for number in range(2, 200):
            client.sendall(b"\xff\xff\xff" + bytes([number]) + b"x" * 0xFFFFFF)

    with hostile(talk) as (source, _), pytest.raises(ConnectorError, match="more than 1 MiB") as caught:
        source.schema()
    check_form(caught.value)


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CONNECT_TIMEOUT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        source = open_uri(f"mysql://u:{WRONG}@127.0.0.1:{listener.getsockname()[1]}/d?table=t")
        with pytest.raises(SourceUnreachable, match="did not answer in time") as caught:
            source.schema()
    check_form(caught.value)
