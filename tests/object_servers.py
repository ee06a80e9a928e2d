"""Real object stores for tests, and a line to them that can be cut. No pytest in here.

    with s3_server() as store:
        bucket = store.bucket()

``python -m tests.object_servers`` gets the programs ready, as CI does before the tests.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError

from tests.servers import free_port, go_program, nats_server_program

VERSITYGW_MODULE = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
FAKE_GCS_MODULE = "github.com/fsouza/fake-gcs-server@v1.56.1"
_NUMBERS = itertools.count(1)
_Server = TypeVar("_Server", "S3Server", "GcsServer")


def versitygw_program() -> Path:
    """versitygw, an S3 server over a folder. Raises RuntimeError."""
    return go_program("versitygw", VERSITYGW_MODULE)


def fake_gcs_program() -> Path:
    """fake-gcs-server. Raises RuntimeError."""
    return go_program("fake-gcs-server", FAKE_GCS_MODULE)


@dataclass
class S3Server:
    """A running S3 store. ``environment`` is what a client of it needs, with ``endpoint`` or another way to it."""

    port: int
    folder: Path
    access_key: str = "test-access-key"
    secret_key: str = "test-s3cret/key+value"
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        return {
            "S3_ENDPOINT": endpoint or self.endpoint,
            "S3_ACCESS_KEY": self.access_key,
            "S3_SECRET_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @cached_property
    def client(self) -> Any:
        """boto3 as others use it."""
        import boto3

        return boto3.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )

    def bucket(self) -> str:
        """A new empty bucket; its name."""
        name = f"test-{os.getpid()}-{next(_NUMBERS)}"
        self.client.create_bucket(Bucket=name)
        return name

    def start(self) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        # Metadata beside the data: not every file system of a test machine has extended attributes.
        (self.folder / "meta").mkdir(exist_ok=True)
        arguments = [versitygw_program(), "--port", f"127.0.0.1:{self.port}", "--quiet", "--keep-alive"]
        arguments += ["posix", "--sidecar", self.folder / "meta", self.folder / "data"]
        keys = {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
        self.process = _started(arguments, self.folder / "log", keys)
        _wait(self.process, self.endpoint, self.folder / "log")

    def stop(self) -> None:
        self.process = _stopped(self.process)


def s3_server() -> AbstractContextManager[S3Server]:
    """A fresh store on a free port; stopped and removed at the end. Raises RuntimeError without the program."""
    return _running(S3Server, "kalla-s3-")


@dataclass
class GcsServer:
    """A running fake of Google's store, in memory, open to everybody."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": endpoint or self.endpoint, "GOOGLE_CLOUD_PROJECT": "test"}

    @cached_property
    def client(self) -> Any:
        """google-cloud-storage as others use it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from google.auth.credentials import AnonymousCredentials
            from google.cloud import storage

        options = {"api_endpoint": self.endpoint}
        return storage.Client(project="test", credentials=AnonymousCredentials(), client_options=options)

    def bucket(self) -> str:
        name = f"test-{os.getpid()}-{next(_NUMBERS)}"
        self.client.create_bucket(name)
        return name

    def start(self) -> None:
        arguments = [fake_gcs_program(), "-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port)]
        arguments += ["-backend", "memory", "-external-url", self.endpoint, "-public-host", f"127.0.0.1:{self.port}"]
        self.process = _started([*arguments, "-log-level", "error"], self.folder / "log", {})
        _wait(self.process, f"{self.endpoint}/storage/v1/b?project=test", self.folder / "log")

    def stop(self) -> None:
        self.process = _stopped(self.process)


def gcs_server() -> AbstractContextManager[GcsServer]:
    """A fresh store on a free port, gone at the end. Raises RuntimeError without the program."""
    return _running(GcsServer, "kalla-gcs-")


@contextlib.contextmanager
def _running(kind: Callable[[int, Path], _Server], prefix: str) -> Iterator[_Server]:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    server = kind(free_port(), folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _started(arguments: list[Any], log: Path, more: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(arguments, stdout=file, stderr=file, env={**os.environ, **more}, start_new_session=True)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except HTTPError:
            return  # it answers
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(errors="replace")) from None
            time.sleep(0.05)


def _stopped(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Line:
    """A TCP proxy before a server. Each number in ``cut_after`` cuts one connection, the next that carries answers, after
    so many bytes. ``down`` refuses new connections."""

    target: int
    port: int = 0
    cut_after: list[int] = field(default_factory=list)
    down: bool = False
    passed: int = 0  # bytes of answers
    cuts: int = 0
    on_cut: Callable[[], None] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=self._connection, args=(near,), daemon=True).start()

    def _connection(self, near: socket.socket) -> None:
        if self.down:
            _reset(near)
            return
        far = socket.create_connection(("127.0.0.1", self.target), timeout=60)
        budget: int | None = None
        threading.Thread(target=_pump, args=(near, far), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                if budget is None and self.cut_after:
                    budget = self.cut_after.pop(0)
                part = data if budget is None else data[:budget]
                near.sendall(part)
                self.passed += len(part)
                if budget is not None:
                    budget -= len(part)
                    if budget == 0:
                        self.cuts += 1
                        if self.on_cut is not None:
                            self.on_cut()
                        break
        _reset(near)
        far.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)  # the other thread waits for data, which keeps it open
    connection.close()


@contextlib.contextmanager
def line_to(port: int) -> Iterator[Line]:
    """A line to a server on this machine, on a free port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = Line(port, listener.getsockname()[1])
        threading.Thread(target=line.serve, args=(listener,), daemon=True).start()
        yield line


if __name__ == "__main__":
    for program in (versitygw_program(), fake_gcs_program(), nats_server_program()):
        print(program)  # noqa: T201 - for whoever reads the log of a build
