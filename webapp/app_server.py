"""The app's server: some processes with threads on one port, all that they share is in the app's database.

They are forked from one that has imported the app, which keeps most of their memory in one place; each is started again
when it is killed, while the others go on. One that is killed again within seconds takes the others with it: the server
then begins anew, once their requests have ended or ``STOP_SECONDS`` are over.
"""

from __future__ import annotations

import atexit
import gc
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces

from recipe import KallaError
from webapp.errors import ServiceError
from webapp.listening import end_with
from webapp.locks import locked
from webapp.settings import Settings

log = logging.getLogger(__name__)

CANNOT_START = 3
# A database that starts at the same time, or restarts just when the app does, is waited for.
DATABASE_SECONDS = 30.0
STOP_SECONDS = 30.0

_RETRY_SECONDS = 1.0
# A page, an upload and a stream of progress each hold a thread; none of them computes for long.
_THREADS = 32
_PAGES_AT_ONCE = 4
_MOST_WAIT_SECONDS = 0.25


def serve_app(settings: Settings, sample: Path | None = None) -> None:
    """Serve pages and API until a stop signal. SystemExit with ``CANNOT_START`` when it cannot start."""
    with tempfile.TemporaryDirectory(prefix="kalla-app-") as shared:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared  # see webapp.web.metrics; before the library is imported
        import webapp.app  # noqa: F401  # for the processes that are forked from this one

        _settle()
        _serve(settings, sample, Path(shared))


def _serve(settings: Settings, sample: Path | None, shared: Path) -> None:
    served, refused = multiprocessing.Event(), multiprocessing.Event()
    while True:
        server = Granian(
            "webapp.app_server:serve_app",  # a name to show; what is served is loaded below
            settings.bind_host,
            settings.port,
            interface=Interfaces.WSGI,
            workers=settings.app_processes,
            http=HTTPModes.http1,
            blocking_threads=_THREADS,
            workers_kill_timeout=int(STOP_SECONDS),
            respawn_failed_workers=True,
            log_enabled=False,
        )
        load = partial(_worker, settings, sample, os.getpid(), shared, served, refused)
        try:
            server.serve(target_loader=load, wrap_loader=False)
        except SystemExit:
            if refused.is_set():
                raise SystemExit(CANNOT_START) from None
            if not server.interrupt_signal:  # set by a stop signal that came meanwhile
                continue  # processes were killed faster than they are started again
        return


def _worker(settings: Settings, sample: Path | None, parent: int, shared: Path, served: Any, refused: Any) -> Any:
    """What a process serves. They load one after the other: the first one is ready the sooner, and says alone why it
    cannot start."""
    end_with(parent)
    os.setpgrp()  # the server ends its processes itself: a Ctrl-C that reaches them too, at the same time, may hang one
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # the server's, inherited, would do nothing here while the app loads
    with locked(shared / "start.lock"):
        if refused.is_set():
            raise SystemExit(CANNOT_START)
        return _started(lambda: _guarded(_loaded(settings, sample)), served, refused)


def _started(load: Callable[[], Any], served: Any, refused: Any) -> Any:
    """What ``load`` makes. The first process that fails says why and sets ``refused``; once one has ``served``, those
    that come after it try again until they can."""
    while True:
        try:
            app = load()
        except KallaError as error:
            if not served.is_set():
                refused.set()
                raise SystemExit(str(error)) from None
            log.warning("a process of the app waits for its start: %s", error.code)
            time.sleep(_RETRY_SECONDS)
        except BaseException:
            if not served.is_set():
                refused.set()
            raise
        else:
            served.set()
            return app


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
    would hold up requests, and copy what forked processes have in common."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # extension modules complain about objects that are never collected


def _created(settings: Settings) -> Any:
    """The app; a database server that does not answer yet is given some time. Raises as ``create_app``."""
    from webapp.app import create_app

    ends = time.monotonic() + (0 if settings.database_url.startswith("sqlite") else DATABASE_SECONDS)
    while True:
        try:
            return create_app(settings)
        except ServiceError as error:
            if error.code != "database.unavailable" or time.monotonic() >= ends:
                raise
        time.sleep(_RETRY_SECONDS)
