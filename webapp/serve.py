"""Serving: the app and the runner, each in its own process, and both together for one machine."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from webapp.app_server import CANNOT_START, DATABASE_SECONDS, STOP_SECONDS, serve_app
from webapp.listening import free_port
from webapp.settings import Settings

_RESTART_SECONDS = 1.0
_START_SECONDS = DATABASE_SECONDS + 10.0
_RUNNER_STOP_SECONDS = 100.0  # its own drain time and last callbacks, see webapp.runner.serving
_POLL_SECONDS = 0.2
_GIVES_WAY = 10  # nice: the page comes before the result
_NOT_FOR_THE_RUNNER = {"DATABASE_URL", "KALLA_ACCESS_TOKEN", "KALLA_SECRET_KEY", "ANTHROPIC_API_KEY"}
# Each thread of the app would get a heap of its own from the C library, and keep there what it once needed.
_MEMORY = {"MALLOC_ARENA_MAX": "2"}


def serve_runner(settings: Settings) -> None:
    """Serve the runner until a stop signal; running jobs get time, the others stay in its journal."""

    from webapp.runner.serving import RunnerServer

    RunnerServer(settings).run()


def say_where(settings: Settings) -> None:
    """The address of the pages, for the person at the terminal."""
    click.echo(f"Kalla: http://{settings.bind_host}:{settings.port}", err=True)


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
        if self.process is not None:
            _wait(self.process, seconds)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Together:
    """App and runner on one machine, the runner on a free port of the loopback address that only this app can use:
    what they send each other is signed with a secret made for this start."""

    settings: Settings
    environment: Mapping[str, str]
    sample: Path | None = None
    first: Sequence[str] = ()
    stopped: bool = False

    def run(self) -> int:
        """Until a stop signal; the app's exit status if it cannot start, that of ``first`` if it fails.

        ``first`` are arguments of a ``kalla`` command that runs once, while the two start.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        runner, app = self._children()
        app.keep_up()
        runner.keep_up()
        first = self._first()
        try:
            while not self.stopped:
                if (status := app.failed_to_start()) is not None:
                    return status
                if first is not None and (ended := first.poll()) is not None:
                    if ended:
                        return ended if ended > 0 else 128 - ended
                    first = None
                    say_where(self.settings)  # what it printed stands above by now
                app.keep_up()
                runner.keep_up()
                time.sleep(_POLL_SECONDS)
        finally:
            if first is not None and first.poll() is None:
                first.terminate()
                _wait(first, STOP_SECONDS)
            # The app first: it takes no new runs, and the runner's last callbacks wait in its outbox.
            for child in (app, runner):
                child.stop()
            app.wait(STOP_SECONDS + 5)
            runner.wait(_RUNNER_STOP_SECONDS)
        return 0

    def _first(self) -> subprocess.Popen[bytes] | None:
        say_where(self.settings)
        if not self.first:
            return None
        command = [sys.executable, "-P", "-m", "pipelines.cli", *self.first]
        process = subprocess.Popen(command, env=dict(self.environment), stdin=subprocess.DEVNULL)
        os.setpriority(os.PRIO_PROCESS, process.pid, _GIVES_WAY)
        return process

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
