"""A real OpenSearch node for tests, and a front before it. No pytest in here.

One node serves all test processes of a run: starting it takes ten seconds of a core. It ends with the process that
runs the tests. ``python -m tests.search_servers`` fetches its jars from Maven, as CI does before the tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tests import maven
from tests.servers import free_port

_HERE = Path(__file__).parent / "opensearch"
_LEAST_JAVA = 21
_NUMBERS = itertools.count(1)
_NODES: list[subprocess.Popen[bytes]] = []  # held until this process ends: the node outlives its fixture


def java_program() -> Path:
    """A Java that is new enough for the node. Raises RuntimeError."""
    homes = [Path(os.environ[name]) for name in ("KALLA_TEST_JAVA_HOME", "JAVA_HOME") if os.environ.get(name)]
    found = shutil.which("java")
    homes += [Path(os.path.realpath(found)).parent.parent] if found else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    for home in homes:
        release = home / "release"
        version = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if release.exists() else None
        if version and int(version[1]) >= _LEAST_JAVA and (home / "bin" / "java").exists():
            return home / "bin" / "java"
    raise RuntimeError(f"No Java {_LEAST_JAVA} or newer for tests: install one, or set KALLA_TEST_JAVA_HOME.")


def node_jars() -> Path:
    """The folder with the node's jars: in the cache outside the tree, or fetched once. Raises RuntimeError."""
    pom = _HERE / "pom.xml"
    version = re.findall(r"<version>([\d.]{3,})</version>", pom.read_text())[0]
    return maven.jars(f"opensearch-{version}", pom.read_text(), "OpenSearch")


@dataclass
class SearchNode:
    """A running node."""

    port: int

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer; ``body`` is JSON, or lines for ``_bulk``. Raises RuntimeError."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        try:
            connection.request(method, path, content, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(text)
        return json.loads(text)

    def index(
        self,
        properties: dict[str, Any],
        documents: Sequence[str | dict[str, Any]] = (),
        *,
        name: str = "",
        shards: int = 1,
        settings: dict[str, Any] | None = None,
        **mapping: Any,
    ) -> str:
        """A new index that holds these documents, in their order, with ids ``0``, ``1`` ...; its name. A document may be
        JSON text, so that its numbers are sent as they are written."""
        name = name or f"t-{os.getpid()}-{next(_NUMBERS)}"
        given = {"number_of_shards": shards, "number_of_replicas": 0, "refresh_interval": "-1", **(settings or {})}
        body = {"settings": given, "mappings": {"properties": properties, **mapping}}
        self.call("PUT", f"/{quote(name)}", body)
        self.put(name, documents)
        return name

    def put(self, name: str, documents: Sequence[str | dict[str, Any]], first: int = 0) -> None:
        """Documents into an index; those of the same id are replaced."""
        if not documents:
            return
        lines = []
        for i, document in enumerate(documents, first):
            text = document if isinstance(document, str) else json.dumps(document)
            lines += [json.dumps({"index": {"_id": str(i)}}), text]
        answer = self.call("POST", f"/{quote(name)}/_bulk?refresh=true", ("\n".join(lines) + "\n").encode())
        assert not answer["errors"], answer


def search_node(owner: int) -> SearchNode:
    """The node of the process ``owner``, started by whoever asks first. Raises RuntimeError."""
    folder = Path(tempfile.gettempdir()) / f"kalla-opensearch-{owner}"
    folder.mkdir(exist_ok=True)
    deadline = time.monotonic() + 240
    with (folder / "lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RuntimeError("Another test process does not get the node started.") from None
                time.sleep(0.1)
        told = folder / "node.json"
        if not _is_alive(told):
            try:
                told.write_text(json.dumps({"port": _started(folder, owner)}))
            except RuntimeError as error:
                told.write_text(json.dumps({"error": str(error)}))
    found = json.loads(told.read_text())
    if "error" in found:
        raise RuntimeError(found["error"])
    return SearchNode(found["port"])


def _is_alive(told: Path) -> bool:
    """Whether what was told of a node holds: an earlier process of the same number may have left it."""
    if not told.exists():
        return False
    found = json.loads(told.read_text())
    if "error" in found:
        return time.time() - told.stat().st_mtime < 600
    with contextlib.suppress(OSError, RuntimeError):
        return bool(SearchNode(found["port"]).call("GET", "/")["cluster_name"] == "kalla-tests")
    return False


def _started(folder: Path, owner: int) -> int:
    java, jars, port = java_program(), node_jars(), free_port()
    arguments = [java, "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    arguments += [_HERE / "OneNode.java", folder, str(port), str(owner)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True)
    _NODES.append(process)
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError, RuntimeError):
            SearchNode(port).call("GET", "/_cluster/health?wait_for_status=yellow&timeout=5s")
            return port
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"OpenSearch did not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


# --- before the node ---------------------------------------------------------------------------------------------


@dataclass
class Front:
    """A server before the node that asks for ``authorization`` and speaks as ``product`` does.

    As Elasticsearch it has the paths and members of that product's point in time, and hands them on to the node in the
    node's own. ``statuses`` are answered first, ``cuts`` break so many answers of searches off, ``redirect`` sends
    every caller elsewhere. ``listing`` stands for the node's own answer to what indexes there are.
    """

    node: int
    product: str = "opensearch"
    version: str | None = None
    authorization: str | None = None
    tls: ssl.SSLContext | None = None
    port: int = 0
    statuses: list[int] = field(default_factory=list)
    cuts: int = 0
    redirect: str = ""
    listing: dict[str, Any] | None = None
    paths: list[str] = field(default_factory=list)
    queries: list[Any] = field(default_factory=list)

    def uri(self, index: str, who: str = "", **parameters: str) -> str:
        """An address of an index behind the front."""
        more = {"tls": "true"} if self.tls is not None else {}
        query = urlencode({"index": index, **more, **parameters}, quote_via=quote)
        return f"elasticsearch://{who}127.0.0.1:{self.port}?{query}"


@contextlib.contextmanager
def front(node: SearchNode, **options: Any) -> Iterator[Front]:
    """A front on a free port."""
    told = Front(node.port, **options)
    handler = type("Handler", (_Handler,), {"front": told})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if told.tls is not None:
            server.socket = told.tls.wrap_socket(server.socket, server_side=True)
        told.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    front: Front
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one piece

    def do_GET(self) -> None:
        told = self.front
        told.paths.append(f"{self.command} {self.path}")
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if told.redirect:
            self._answer(307, b"", {"Location": told.redirect})
        elif told.statuses:
            self._answer(told.statuses.pop(0), b"{}")
        elif told.authorization is not None and self.headers.get("Authorization") != told.authorization:
            refusal = {"error": {"type": "security_exception", "reason": f"not {self.headers.get('Authorization')}"}}
            self._answer(401, json.dumps(refusal).encode())
        elif told.listing is not None and self.path.startswith("/_resolve/index/"):
            self._answer(200, json.dumps(told.listing).encode())
        else:
            self._passed_on(content)

    do_POST = do_DELETE = do_PUT = do_GET

    def _passed_on(self, content: bytes) -> None:
        told, path = self.front, self.path
        body = json.loads(content) if content else None
        if urlsplit(path).path == "/_search":
            told.queries.append(body)
        if told.product == "elasticsearch":
            path, body = _to_opensearch(self.command, path, body)
        connection = HTTPConnection("127.0.0.1", told.node, timeout=60)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(self.command, path, sent, {"Content-Type": "application/json"})
            found = connection.getresponse()
            data = found.read()
        finally:
            connection.close()
        data = _as_product(told, self.path, data)
        if told.cuts and urlsplit(self.path).path == "/_search":
            told.cuts -= 1
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self._answer(found.status, data)

    def _answer(self, status: int, data: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(more or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests' output is theirs."""


def _to_opensearch(method: str, path: str, body: Any) -> tuple[str, Any]:
    parts = urlsplit(path)
    if parts.path.endswith("/_search/point_in_time"):
        return "/no-such-path-in-elasticsearch", None
    if parts.path == "/_pit" and method == "DELETE":
        return "/_search/point_in_time", {"pit_id": [body["id"]]}
    if parts.path.endswith("/_pit"):
        return f"{parts.path.removesuffix('_pit')}_search/point_in_time?{parts.query}", body
    if parts.path == "/_search" and "sort" in (body or {}):
        return path, {**body, "sort": [*body["sort"], {"_shard_doc": "asc"}]}  # as Elasticsearch does by itself
    return path, body


def _as_product(told: Front, path: str, data: bytes) -> bytes:
    parts = urlsplit(path)
    if parts.path == "/" and (told.product == "elasticsearch" or told.version is not None):
        about = json.loads(data)
        if told.product == "elasticsearch":
            about["version"] = {"number": "8.17.0", "build_flavor": "default"}
        about["version"]["number"] = told.version or about["version"]["number"]
        return json.dumps(about).encode()
    if told.product == "elasticsearch" and parts.path.endswith("/_pit"):
        answer = json.loads(data)
        if "pit_id" in answer:
            answer["id"] = answer.pop("pit_id")
        return json.dumps(answer).encode()
    return data


if __name__ == "__main__":
    for program in (java_program(), node_jars()):
        print(program)  # noqa: T201 - for whoever reads the log of a build
