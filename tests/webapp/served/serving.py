"""``kalla serve`` and ``kalla runner`` as a person starts them, in a folder of their own, and a small client for the
API."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "docs/sample"
_KALLA = (sys.executable, "-m", "pipelines.cli")
FINAL = {"completed", "failed", "cancelled"}


@dataclass
class Served:
    """A running app with its own runner."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON answer; (0, None) when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")
        except OSError:
            return 0, None

    def page(self, path: str) -> tuple[int, str]:
        """Status and text as a browser gets them; (0, "") when nobody answers."""
        request = urllib.request.Request(self.url + path, headers={"Accept": "text/html"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def submit(self, recipe_id: str = "invoice-payment-match") -> str:
        status, answer = self.call("POST", "/api/runs", {"recipe_id": recipe_id})
        assert status == 200, answer
        return str(answer["run_id"])

    def run(self, run_id: str) -> dict[str, Any]:
        status, answer = until(lambda: self.call("GET", f"/api/runs/{run_id}"), lambda found: found[0] == 200)
        assert status == 200
        return dict(answer)

    def ended(self, run_id: str, seconds: float = 60) -> dict[str, Any]:
        """The run once it is final."""
        return until(lambda: self.run(run_id), lambda run: run["status"] in FINAL, seconds)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Descendants whose command line holds all the words."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if set(words) <= set(child.cmdline()):
                    found.append(child)
        return found

    def kill(self, *words: str) -> int:
        """SIGKILL to every such process, gone when this returns; how many there were."""
        found = self.processes(*words)
        for child in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(found, timeout=10)
        return len(found)


def until(ask: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 30) -> Any:
    """What ``ask`` gives once it is good; fails when that takes too long."""
    end = time.monotonic() + seconds
    while not good(found := ask()):
        assert time.monotonic() < end, f"still {found} after {seconds} s"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def served(
    folder: Path,
    sample: Path = SAMPLE,
    port: int | None = None,
    within: Sequence[str] = (),
    options: Sequence[str] = (),
    **environment: str,
) -> Iterator[Served]:
    """A started ``kalla serve`` that answers; stopped, with everything it started, at the end. ``within`` is a command
    that becomes it, such as one that mounts a disk first."""
    port = port or free_port()
    command = [*within, *_KALLA, "serve", "--port", str(port), "--sample", str(sample), *options]
    with started(command, folder, **{"KALLA_LOCAL_ROOTS": str(sample), **environment}) as process:
        found = Served(process, port, folder)
        until(lambda: found.call("GET", "/health")[0], lambda status: status == 200, 90)
        yield found


@contextlib.contextmanager
def runner(folder: Path, port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A started ``kalla runner`` that takes jobs; stopped, with its runs, at the end."""
    command = [*_KALLA, "runner", "--http-port", str(port)]
    with started(command, folder, **environment) as process:
        until(lambda: answers(f"http://127.0.0.1:{port}/ready"), bool)
        yield process


def answers(url: str) -> bool:
    """Whether a service says 200 there."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def started(command: Sequence[str], folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours with STAGING_PATH below ``folder``, its words in ``serve.log`` there."""
    variables: Mapping[str, str] = {
        **os.environ,
        "STAGING_PATH": str(folder / "staging"),
        "KALLA_LOCAL_ROOTS": str(SAMPLE),
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=dict(variables), stdout=log, stderr=log)
    try:
        yield process
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive, f"left behind: {alive}"
