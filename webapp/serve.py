"""Serving: the app and the runner, each in its own process, and both together for one machine."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces

from recipe import KallaError
from webapp.errors import ServiceError
from webapp.listening import end_with, free_port
from webapp.settings import Settings

CANNOT_START = 3

_RESTART_SECONDS = 1.0
# A database that starts at the same time, or restarts just when the app does, is waited for.
_DATABASE_SECONDS = 30.0
_START_SECONDS = _DATABASE_SECONDS + 10.0
_STOP_SECONDS = 30.0
_RUNNER_STOP_SECONDS = 100.0  # its own drain time and last callbacks, see webapp.runner.serving
_POLL_SECONDS = 0.2
_NOT_FOR_THE_RUNNER = {"DATABASE_URL", "KALLA_ACCESS_TOKEN", "KALLA_SECRET_KEY", "ANTHROPIC_API_KEY"}
# Each thread of the app would get a heap of its own from the C library, and keep there what it once needed.
_MEMORY = {"MALLOC_ARENA_MAX": "2"}
# A page, an upload and a stream of progress each hold a thread; none of them computes for long.
_APP_THREADS = 32
_PAGES_AT_ONCE = 4
_MOST_WAIT_SECONDS = 0.25


def serve_app(settings: Settings, sample: Path | None = None) -> None:
    """Serve pages and API until a stop signal: one process with threads, the app's data is in its database. It is
    started again when it is killed. SystemExit with ``CANNOT_START`` when it cannot start."""
    refused = multiprocessing.Event()
    while True:
        server = Granian(
            "webapp.serve:serve_app",  # a name to show; what is served is loaded below
            settings.bind_host,
            settings.port,
            interface=Interfaces.WSGI,
            http=HTTPModes.http1,
            blocking_threads=_APP_THREADS,
            workers_kill_timeout=int(_STOP_SECONDS),
            log_enabled=False,
        )
        try:
            server.serve(target_loader=partial(_worker, settings, sample, os.getpid(), refused.set), wrap_loader=False)
        except SystemExit:
            if refused.is_set():
                raise SystemExit(CANNOT_START) from None
            continue  # the process was killed
        return


def _worker(settings: Settings, sample: Path | None, parent: int, refuse: Callable[[], None]) -> Any:
    """What the server's process serves; ``refuse`` is called when it cannot."""
    end_with(parent)
    try:
        return _guarded(_loaded(settings, sample))
    except KallaError as error:
        refuse()
        raise SystemExit(str(error)) from None
    except BaseException:
        refuse()
        raise


def _loaded(settings: Settings, sample: Path | None) -> Any:
    from webapp import warm_up
    from webapp.context import EXTENSION
    from webapp.seed import seed_sample
    from webapp.services.sweeper import Sweeper
    from webapp.web.logs import write_behind

    app = _created(settings)
    write_behind()
    if sample is not None:
        seed_sample(app.extensions[EXTENSION], sample)
    Sweeper(app.extensions[EXTENSION]).start()
    _settle()
    warm_up.start(app)
    return app


def _guarded(app: Callable[[dict[str, Any], Any], Any]) -> Callable[[dict[str, Any], Any], Any]:
    """The app without the server's environment variables, which it hands over with each request as CGI did (HTTP_PORT
    would be a header), and with few pages at work at a time: more of them only take Python's lock from each other,
    which doubles their CPU time. One that has waited long goes on beside slow ones; streams run outside."""
    own = {name: value for name, value in os.environ.items() if name.startswith("HTTP_")}
    places = threading.BoundedSemaphore(_PAGES_AT_ONCE)

    def served(environ: dict[str, Any], start: Any) -> Any:
        for name, value in own.items():
            if environ.get(name) == value:
                del environ[name]
        if environ["REQUEST_METHOD"] != "GET" or not places.acquire(timeout=_MOST_WAIT_SECONDS):
            return app(environ, start)
        try:
            return app(environ, start)
        finally:
            places.release()

    return served


def _settle() -> None:
    """Take what start-up made out of the garbage collector's sight: it stays, and looking through it again and again
    would hold up requests."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # extension modules complain about objects that are never collected


def _created(settings: Settings) -> Any:
    """The app; a database server that does not answer yet is given some time. Raises as ``create_app``."""
    from webapp.app import create_app

    ends = time.monotonic() + (0 if settings.database_url.startswith("sqlite") else _DATABASE_SECONDS)
    while True:
        try:
            return create_app(settings)
        except ServiceError as error:
            if error.code != "database.unavailable" or time.monotonic() >= ends:
                raise
        time.sleep(_RESTART_SECONDS)


def serve_runner(settings: Settings) -> None:
    """Serve the runner until a stop signal; running jobs get time, the others stay in its journal."""

    from webapp.runner.serving import RunnerServer

    RunnerServer(settings).run()


@dataclass
class _Child:
    """A process of our own that is started again when it dies."""

    command: list[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    starts: int = 0

    def keep_up(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        if time.monotonic() - self.started >= _RESTART_SECONDS:
            self.started, self.starts = time.monotonic(), self.starts + 1
            self.process = subprocess.Popen(self.command, env=dict(self.environment), stdin=subprocess.DEVNULL)

    def failed_to_start(self) -> int | None:
        """The exit status of a process that gave up by itself at its first start. One that was killed, or that ran
        before, is started again, however soon it ended."""
        ended = None if self.process is None else self.process.poll()
        if ended is None or ended <= 0 or self.starts > 1:
            return None
        return ended if ended == CANNOT_START or time.monotonic() - self.started < _START_SECONDS else None

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, seconds: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Together:
    """App and runner on one machine, the runner on a free port of the loopback address that only this app can use:
    what they send each other is signed with a secret made for this start."""

    settings: Settings
    environment: Mapping[str, str]
    sample: Path | None = None
    stopped: bool = False

    def run(self) -> int:
        """Until a stop signal; the app's exit status if it cannot start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        runner, app = self._children()
        runner.keep_up()
        app.keep_up()
        try:
            while not self.stopped:
                if (status := app.failed_to_start()) is not None:
                    return status
                app.keep_up()
                runner.keep_up()
                time.sleep(_POLL_SECONDS)
        finally:
            # The app first: it takes no new runs, and the runner's last callbacks wait in its outbox.
            for child in (app, runner):
                child.stop()
            app.wait(_STOP_SECONDS + 5)
            runner.wait(_RUNNER_STOP_SECONDS)
        return 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True

    def _children(self) -> tuple[_Child, _Child]:
        port = free_port()
        host = "[::1]" if self.settings.bind_host == "::1" else "127.0.0.1"
        common = {
            **self.environment,
            "KALLA_CALLBACK_SECRET": secrets.token_hex(32),
            "KALLA_PARENT_PID": str(os.getpid()),
        }
        runner = {name: value for name, value in common.items() if name not in _NOT_FOR_THE_RUNNER}
        runner |= {"HTTP_PORT": str(port), "BIND_HOST": "127.0.0.1"}
        app = {
            **_MEMORY,
            **common,
            "WORKER_URL": f"http://127.0.0.1:{port}",
            "KALLA_CALLBACK_URL": f"http://{host}:{self.settings.port}/api/worker",
        }
        sample = [] if self.sample is None else ["--sample", str(self.sample)]
        base = [sys.executable, "-P", "-m", "webapp.serve"]
        return _Child([*base, "runner"], runner), _Child([*base, "app", *sample], app)


def is_alone(settings: Settings) -> bool:
    """Whether the app has no runner elsewhere and starts its own."""
    return settings.worker_url is None and settings.nats_url is None


def main(arguments: list[str]) -> None:
    """``python -m webapp.serve app [--sample DIR] | runner``: what ``Together`` starts."""
    from pipelines.launch import end_with_parent

    end_with_parent()
    settings = Settings.from_environment()
    if arguments[0] == "runner":
        serve_runner(settings)
    else:
        serve_app(settings, Path(arguments[2]) if arguments[1:2] == ["--sample"] else None)


if __name__ == "__main__":
    main(sys.argv[1:])
