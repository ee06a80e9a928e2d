"""Addresses that try to reach what nobody may read, through the door that everybody has: the API."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from webapp import hosts
from webapp.context import Kalla
from webapp.settings import Settings

METADATA = "169.254.169.254"
NAMES = {
    "metadata.example": [METADATA],
    "mixed.example": ["10.1.2.3", METADATA],
    "mapped.example": [f"::ffff:{METADATA}"],
    "translated.example": ["64:ff9b::a9fe:a9fe"],
    "scoped.example": ["fe80::1%eth0"],
    "here.example": ["127.0.0.1"],
    "here-too.example": ["::1"],
    "inside.example": ["10.1.2.3"],
}
real_getaddrinfo = socket.getaddrinfo


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Knows NAMES, numbers in every notation, and nothing else."""

    def resolve(host: str, port: object, **kwargs: object) -> Any:
        if host in NAMES:
            return [(None, None, None, "", (address, 0)) for address in NAMES[host]]
        return real_getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM)

    monkeypatch.setattr(hosts.socket, "getaddrinfo", resolve)


def doors(client: FlaskClient, kind: str, uri: str) -> Iterator[tuple[str, Any]]:
    """What each way in says to an address."""
    given = {"uri": uri, "source_type": kind}
    yield "register", client.post("/api/sources", json={"alias": "x", **given})
    yield "test", client.post("/api/sources/test", json=given)
    yield "tables", client.post("/api/sources/tables", json=given)
    side = {"alias": "x", "type": kind, "uri": uri, "primary_key": ["id"]}
    recipe = {
        "recipe_id": "r",
        "name": "R",
        "match_sql": "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id",
        "sources": {"left": side, "right": side},
    }
    if kind != "file":
        yield "run", client.post("/api/runs", json={"recipe": recipe})
        yield "save", client.post("/api/recipes", json=recipe)


def check_refused(client: FlaskClient, kind: str, uri: str, *codes: str) -> None:
    for door, answer in doors(client, kind, uri):
        told = [answer.json.get("code"), *(d.get("code") for d in answer.json.get("details", ()))]
        assert answer.status_code == 400, (door, answer.json)
        assert set(told) & set(codes), (door, answer.json)
    assert client.get("/api/sources/x").status_code == 404


# --- hosts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["postgres", "elasticsearch", "mysql"])
@pytest.mark.parametrize(
    "host",
    [
        METADATA,
        f"{METADATA}.",
        "2852039166",
        "0xA9FEA9FE",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        f"[::ffff:{METADATA}]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        f"[::{METADATA}]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "0",
        "0.0.0.0",
        "[::]",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "metadata.example",
        "mixed.example",
        "mapped.example",
        "translated.example",
        "scoped.example",
        f"good.example@{METADATA}",
        f"good.example:5432@{METADATA}",
        f"u:p@good.example@{METADATA}",
        "%31%36%39.254.169.254",
        "169%2E254%2E169%2E254",
        "１６９.２５４.１６９.２５４",
        "169。254。169。254",
        "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    ],
)
def test_servers_that_nobody_may_call(client: FlaskClient, resolver: None, kind: str, host: str) -> None:
    rest = "?index=i" if kind == "elasticsearch" else "/d?table=t"
    user = "u@" if kind == "mysql" else ""  # without which there is no such address
    check_refused(client, kind, f"{kind}://{user}{host}{rest}", "source.host_forbidden")


@pytest.mark.parametrize(
    "uri",
    [
        f"postgres:///d?table=t&host={METADATA}",
        f"postgres://good.example/d?table=t&hostaddr={METADATA}",
        f"postgres://good.example/d?table=t&host%61ddr={METADATA}",
        f"postgres://good.example,{METADATA}/d?table=t",
        f"postgres://good.example%2C{METADATA}/d?table=t",
        f"postgres://good.example/d?table=t&host={METADATA}",
        "postgres://good.example/d?table=t&service=x",
        f"postgres://good.example/d?table=t&oauth_issuer=http://{METADATA}",
    ],
)
def test_servers_that_the_driver_could_be_talked_into(client: FlaskClient, resolver: None, uri: str) -> None:
    check_refused(client, "postgres", uri, "source.host_forbidden", "source.invalid_uri")


@pytest.mark.parametrize("host", ["here.example", "here-too.example", "127.0.0.1", "[::1]", "2130706433", "127.1", ""])
def test_a_name_for_this_machine_is_in_no_network_that_is_allowed(
    make_app: Callable[..., Flask], resolver: None, host: str
) -> None:
    client = make_app(allowed_hosts=("10.0.0.0/8",)).test_client()
    check_refused(client, "postgres", f"postgres://{host}/d?table=t", "source.host_forbidden")
    inside = client.post(
        "/api/sources",
        json={"alias": "y", "uri": "postgres://inside.example/d?table=t", "source_type": "postgres"},
    )
    assert inside.status_code == 200


class _Counting(BaseHTTPRequestHandler):
    """Counts who comes, and sends everybody on where ``location`` says."""

    seen: list[str]
    location = ""

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(307 if self.location else 200)
        if self.location:
            self.send_header("Location", self.location + self.path)
            self.send_header("x-amz-bucket-region", "eu-central-1")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[int, list[str]]]]:
    """``serve("127.0.0.2")``: the port of a server there, and what it was asked."""
    with ExitStack() as stack:

        def start(host: str = "127.0.0.1", port: int = 0, location: str = "") -> tuple[int, list[str]]:
            seen: list[str] = []
            handler = type("Handler", (_Counting,), {"seen": seen, "location": location})
            server = stack.enter_context(ThreadingHTTPServer((host, port), handler))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(server.shutdown)
            return server.server_address[1], seen

        yield start


@pytest.mark.parametrize("kind", ["postgres", "elasticsearch"])
def test_a_name_that_means_another_machine_a_moment_later_leads_to_the_one_that_was_checked(
    client: FlaskClient, parts: Kalla, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    port, checked = serve()
    _, elsewhere = serve("127.0.0.2", port)
    answers = itertools.chain(["127.0.0.1"], itertools.repeat("127.0.0.2"))
    asked: list[str] = []

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "rebound.example":
            return real_getaddrinfo(host, *args, **kwargs)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    connections: list[str] = []  # PostgreSQL's first bytes are no HTTP: what counts is who is called
    monkeypatch.setattr(_Counting, "setup", _noting(connections), raising=False)
    rest = "/d?table=t&sslmode=disable" if kind == "postgres" else "?index=i"
    parts.sources.put("x", f"{kind}://rebound.example:{port}{rest}", kind)
    assert client.get("/api/sources/x/preview").status_code >= 400
    assert asked == ["rebound.example"]
    assert connections and set(connections) == {"127.0.0.1"}
    assert not elsewhere
    assert bool(checked) == (kind == "elasticsearch")


def _noting(connections: list[str]) -> Callable[[Any], None]:
    def setup(self: Any) -> None:
        connections.append(self.server.server_address[0])
        BaseHTTPRequestHandler.setup(self)

    return setup


@pytest.mark.parametrize("uri", ["elasticsearch", "s3", "gs", "gs pattern", "bigquery"])
def test_nobody_is_followed_elsewhere(
    client: FlaskClient, serve: Callable[..., Any], no_store: None, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    elsewhere, visited = serve()
    port, asked = serve(location=f"http://127.0.0.1:{elsewhere}")
    for name in ("S3_ENDPOINT", "STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", f"127.0.0.1:{port}")
    uris = {
        "elasticsearch": ("elasticsearch", f"elasticsearch://127.0.0.1:{port}?index=i"),
        "s3": ("csv", "s3://bucket/a.csv"),
        "gs": ("csv", "gs://bucket/a.csv"),
        "gs pattern": ("csv", "gs://bucket/a/*.csv"),
        "bigquery": ("bigquery", "bigquery://p/d?table=t"),
    }
    kind, address = uris[uri]
    assert client.post("/api/sources", json={"alias": "x", "uri": address, "source_type": kind}).status_code == 200
    answer = client.get("/api/sources/x/preview")
    assert answer.status_code == 502, answer.json
    assert asked and not visited


# --- paths ---------------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path, data: Path) -> Path:
    """A folder that may not be read, and ways into it from one that may."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("a.csv", "a.parquet", "a.db"):
        (folder / name).write_bytes(b"SQLite format 3\0" + b"\0" * 84)
    (data / "folder").symlink_to(folder)
    for name in ("a.csv", "a.parquet", "a.db"):
        (data / name).symlink_to(folder / name)
    (data / "two.csv").symlink_to(data / "a.csv")
    (data / "environ.csv").symlink_to("/proc/self/environ")
    (data / "zero.csv").symlink_to("/dev/zero")
    return folder


@pytest.mark.parametrize("kind", ["csv", "parquet", "file", "sqlite"])
@pytest.mark.parametrize(
    "path",
    [
        "{outside}/a",
        "{data}/../outside/a",
        "{data}/..%2Foutside%2Fa",
        "{data}%2F..%2Foutside/a",
        "{data}/%2e%2e/outside/a",
        "{data}/%2E%2E%2Foutside%2Fa",
        "{data}/./.././outside/a",
        "{data}/folder/a",
        "{data}/folder/../outside/a",
        "{data}//../outside//a",
        "{data}/a",
        "{data}-sibling/a",
        "/proc/self/root{outside}/a",
        "/proc/self/cwd/../../{outside}/a",
        "/dev/fd/0/a",
    ],
)
def test_files_outside_the_folders_that_may_be_read(
    client: FlaskClient, data: Path, outside: Path, kind: str, path: str
) -> None:
    ending = {"csv": ".csv", "parquet": ".parquet", "file": ".csv", "sqlite": ".db?table=t"}[kind]
    written = path.format(data=data, outside=outside) + ending
    forms = (
        [f"sqlite://{written}"] if kind == "sqlite" else [written, f"file://{written}", f"file://localhost{written}"]
    )
    for uri in forms:
        check_refused(client, kind, uri, "source.path_forbidden")


@pytest.mark.parametrize("name", ["two.csv", "environ.csv", "zero.csv"])
def test_links_to_links_and_to_what_is_no_file(client: FlaskClient, data: Path, outside: Path, name: str) -> None:
    check_refused(client, "csv", f"{data}/{name}", "source.path_forbidden")


@pytest.mark.parametrize(
    "uri",
    ["file://elsewhere/data/a.csv", "file:////evil/share/a.csv", "/data/a.csv%00.png", "\\\\host\\a.csv", "file:a.csv"],
)
def test_addresses_that_name_no_file_here(client: FlaskClient, uri: str) -> None:
    check_refused(client, "csv", uri, "source.invalid_uri", "source.path_forbidden")


@pytest.mark.parametrize("name", ["pipe.csv", "socket.csv", "folder.csv"])
def test_pipes_sockets_and_folders_are_not_opened(client: FlaskClient, data: Path, name: str) -> None:
    """A pipe without a writer would hold a reader for ever."""
    (data / "folder.csv").mkdir()
    os.mkfifo(data / "pipe.csv")
    # The name of a socket may be short only.
    before = os.getcwd()
    os.chdir(data)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket.csv")
    finally:
        os.chdir(before)
    assert (
        client.post("/api/sources", json={"alias": "x", "uri": f"{data}/{name}", "source_type": "csv"}).status_code
        == 200
    )
    answer = client.get("/api/sources/x/preview")
    assert (answer.status_code, answer.json["code"]) == (400, "source.unreadable")
    sqlite = f"sqlite://{data}/{name}?table=t"
    answer = client.post("/api/sources/test", json={"uri": sqlite, "source_type": "sqlite"})
    assert answer.json["ok"] is False
    assert ("is a folder" if name == "folder.csv" else "is not a regular file") in answer.json["message"]


@pytest.mark.parametrize("target", ["file", "pipe"])
def test_a_link_that_moves_between_check_and_opening_opens_nothing(
    client: FlaskClient, data: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    (data / "good.csv").write_text("id\n1\n")
    link = data / "moving.csv"
    link.symlink_to(data / "good.csv")
    client.post("/api/sources", json={"alias": "x", "uri": str(link), "source_type": "csv"})
    assert client.get("/api/sources/x/preview").json["rows"] == [["1"]]
    (data / "good.csv").write_text("id\n1\n2\n")  # what was seen of the file does not answer any more
    os.mkfifo(data / "pipe")
    elsewhere = outside / "a.csv" if target == "file" else data / "pipe"
    real_open = os.open

    def moved(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path) == str(link):
            link.unlink()
            link.symlink_to(elsewhere)
        return real_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", moved)
    answer = client.get("/api/sources/x/preview")
    assert answer.status_code == 400
    assert answer.json["code"] == ("source.path_forbidden" if target == "file" else "source.unreadable")


# --- other people's uploads ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "gs://books/uploads/someone/4a0ed1d5-56cc-4f0f-9c8e-3b5ef7f5ac6e/salaries.csv",
        "gs://books/uploads/**.csv",
        "gs://books/u*/**.csv",
        "gs://books/uploads%2Fsomeone/a.csv",
        "gs://books/up**.csv",
        "GS://books/uploads/a.csv",
    ],
)
def test_uploads_in_googles_store_are_no_sources(make_app: Callable[..., Flask], uri: str) -> None:
    client = make_app(gcs_bucket="books").test_client()
    check_refused(client, "csv", uri, "source.path_forbidden")
    other = {"alias": "y", "source_type": "csv", "uri": uri.replace("books", "elsewhere")}
    assert client.post("/api/sources", json=other).status_code == 200


@pytest.mark.parametrize(
    "uri", ["s3://kalla-uploads/**.csv", "S3://kalla-uploads/s/*/a.csv", "s3://kalla-uploads/a.csv"]
)
def test_nor_are_those_in_s3_but_by_their_addresses(client: FlaskClient, uri: str) -> None:
    check_refused(client, "csv", uri, "source.invalid_uri", "upload.invalid_uri")


def test_what_was_stored_before_a_rule_obeys_it(client: FlaskClient, parts: Kalla, resolver: None) -> None:
    for kind, uri in (
        ("elasticsearch", f"elasticsearch://{METADATA}?index=i"),
        ("mysql", f"mysql://u:p@{METADATA}/d?table=t"),
        ("sqlite", "sqlite:///etc/a.db?table=t"),
        ("csv", "/etc/a.csv"),
    ):
        parts.sources.put("old", uri, kind)
        for method, path in (("GET", "preview"), ("GET", "primary-key"), ("POST", "load-scoped")):
            answer = client.open(f"/api/sources/old/{path}", method=method)
            assert answer.json["code"] in ("source.host_forbidden", "source.path_forbidden"), (kind, path)
        for path in ("test", "tables"):
            answer = client.post(f"/api/sources/{path}", json={"alias": "old"})
            assert answer.json["code"] in ("source.host_forbidden", "source.path_forbidden"), (kind, path)


def test_the_apps_own_database_is_no_source(client: FlaskClient, settings: Settings) -> None:
    for name in ("kalla.db", "kalla.db-wal", "runner/journal.db", "uploads/x.db", "in/../kalla.db", "%6balla.db"):
        uri = f"sqlite://{settings.staging_path}/{name}?table=sources"
        check_refused(client, "sqlite", uri, "source.path_forbidden")
