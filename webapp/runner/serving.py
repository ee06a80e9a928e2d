"""Serves the runner: gunicorn with one worker process, whose threads answer while the supervisor's threads work.

The worker dies with its master, as runs die with the worker, so that killing the runner leaves nothing behind. On
SIGTERM jobs at work are given time; on SIGINT, a person's Ctrl-C, they are stopped at once and stay journalled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from webapp.listening import bind_text, end_with
from webapp.runner.app import create_runner, runner_of
from webapp.runner.supervisor import DRAIN_SECONDS
from webapp.settings import Settings
from webapp.web.logs import configure

_THREADS = 8
_SLACK_SECONDS = 60  # for attempts at callbacks under way, and for processes to go


class RunnerServer(BaseApplication):
    """``RunnerServer(settings).run()`` serves until a signal ends it.

    ``overrides`` are those of ``create_runner``; ``on_ready`` is told the port once jobs are taken.
    """

    def __init__(
        self, settings: Settings, on_ready: Callable[[int], None] = lambda port: None, **overrides: Any
    ) -> None:
        self._settings, self._on_ready, self._overrides = settings, on_ready, overrides
        self._at_once = False
        super().__init__()

    def load_config(self) -> None:
        drain = float(self._overrides.get("drain_seconds", DRAIN_SECONDS))
        options = {
            "bind": bind_text(self._settings.bind_host, self._settings.runner_port),
            "workers": 1,
            "worker_class": "gthread",
            "threads": _THREADS,
            "timeout": 0,
            "graceful_timeout": int(drain) + _SLACK_SECONDS,
            "loglevel": "warning",
            "proc_name": "kalla-runner",
            "control_socket_disable": True,
            "post_fork": lambda server, worker: end_with(worker.ppid),
            "post_worker_init": self._ready,
            "worker_int": self._hurry,
            "worker_exit": self._leave,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        configure(self._settings)
        return create_runner(self._settings, **self._overrides)

    def _ready(self, worker: Any) -> None:
        self._on_ready(int(worker.sockets[0].getsockname()[1]))

    def _hurry(self, worker: Any) -> None:
        self._at_once = True

    def _leave(self, server: Any, worker: Any) -> None:
        if isinstance(worker.wsgi, Flask):  # it may have failed to start
            runner_of(worker.wsgi).close(0 if self._at_once else None)
