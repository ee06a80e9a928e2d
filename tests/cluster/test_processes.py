"""Processes of a cluster, what workers tell, and what is left of one that died."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import psutil
import pytest

from pipelines import progress
from pipelines.cli.app import call
from pipelines.cluster import commands
from pipelines.cluster.commands import Command, FlinkPlace
from pipelines.cluster.processes import Processes, free_port, listening
from pipelines.errors import PipelineError
from pipelines.paths import partial
from pipelines.workdir import WorkDir
from tests.test_compose import ROOT

SERVER = "import http.server as h; h.HTTPServer(('127.0.0.1', {}), h.BaseHTTPRequestHandler).serve_forever()"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"


def python(code: str) -> Command:
    return Command((sys.executable, "-c", code), {})


def test_all_processes_end_with_their_children(tmp_path: Path) -> None:
    port = free_port()
    with Processes(tmp_path) as processes:
        server = processes.start("server", python(SERVER.format(port)))
        parent = processes.start("parent", python(PARENT))
        processes.wait_for("server", lambda: listening("127.0.0.1", port))
        processes.wait_for("parent", lambda: bool(psutil.Process(parent.pid).children()))
        child = psutil.Process(parent.pid).children()[0]
    assert server.poll() is not None and parent.poll() is not None
    _, alive = psutil.wait_procs([child], 10)
    assert not alive and not listening("127.0.0.1", port)


def test_one_that_does_not_come_up_is_told_with_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("broken", python("raise SystemExit('no such jar')"))
        with pytest.raises(PipelineError, match=r"broken ended with status 1.*no such jar") as error:
            processes.wait_for("broken", lambda: False)
    assert error.value.code == "run.cluster_not_started"


def test_events_of_workers_reach_the_pipe_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(progress.FD_VARIABLE, raising=False)
    progress.emit("lost")  # a worker outside of a step: nowhere to tell it
    with progress.told_in(str(tmp_path)):
        progress.emit("staged", source="bank", rows=3)
    events = progress.WorkerEvents(tmp_path)
    read, write = os.pipe()
    monkeypatch.setenv(progress.FD_VARIABLE, str(write))
    events.replay()
    events.replay()
    [file] = tmp_path.iterdir()
    with file.open("ab") as half:
        half.write(b'{"event":"chunk","rows":1}\n{"event":')
    events.replay()
    os.close(write)
    with open(read, "rb") as pipe:
        told = [json.loads(line) for line in pipe]
    assert told == [{"event": "staged", "source": "bank", "rows": 3}, {"event": "chunk", "rows": 1}]


def test_what_a_dead_worker_left_goes_and_a_living_one_can_add_nothing(tmp_path: Path) -> None:
    with WorkDir(tmp_path / "out", "id") as work:
        kept = work.evidence / "matched" / "part-00000.parquet"
        for path in (kept, partial(kept), work.evidence / "unmatched_left" / "part-00007.parquet"):
            path.write_bytes(b"x")
        work.seal(["matched/part-00000.parquet"])
        with pytest.raises(FileNotFoundError):
            partial(kept).write_bytes(b"late")
        assert [str(p.relative_to(work.evidence)) for p in work.evidence.rglob("*") if p.is_file()] == [
            "matched/part-00000.parquet"
        ]


def test_attempts_of_one_run_share_no_folder(tmp_path: Path) -> None:
    """Steps of an attempt whose driver was killed may go on, on a cluster, while the next one is at work."""
    with WorkDir(tmp_path / "out", "id") as first, WorkDir(tmp_path / "out", "id") as second:
        assert first.path != second.path and first.scratch != second.scratch


def test_tries_of_one_file_never_meet(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    names = {partial(path) for _ in range(3)}
    assert len(names) == 3 and all(name.parent == tmp_path and name.name.startswith(".part-") for name in names)


def test_flink_is_told_every_address(tmp_path: Path) -> None:
    text = commands.flink_configuration(FlinkPlace("master", 1, 2, "0.0.0.0", 3, 4), tmp_path, 512, "me")
    values = dict(line.split(": ", 1) for line in text.splitlines())
    assert values["jobmanager.rpc.address"] == values["rest.address"] == "master"
    assert (values["jobmanager.rpc.port"], values["rest.port"], values["taskmanager.rpc.port"]) == ("1", "2", "4")
    assert (values["taskmanager.host"], values["taskmanager.numberOfTaskSlots"]) == ("me", "3")
    assert values["taskmanager.memory.task.heap.size"] == "512m"


def test_a_cluster_without_jars_or_java_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KALLA_JARS", str(tmp_path / "none"))
    for kind in ("flink", "spark"):
        assert call(["cluster", "up", kind, "--folder", str(tmp_path / "cluster")]) == 1
        told = capfd.readouterr().err
        assert "run.jars_missing" in told and "make java" in told
    jar = tmp_path / "jars" / "kalla-flink" / "jars" / "some.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    monkeypatch.setenv("KALLA_JARS", str(tmp_path / "jars"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    assert call(["cluster", "up", "flink", "--folder", str(tmp_path / "cluster")]) == 1
    told = capfd.readouterr().err
    assert "run.java_missing" in told and "Java 17" in told


def test_every_code_is_documented() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    sources = [p for folder in ("cluster", "runners") for p in (ROOT / "pipelines" / folder).glob("*.py")]
    codes = {code for p in sources for code in re.findall(r'"(run\.[a-z_]+)"', p.read_text(encoding="utf-8"))}
    assert len(codes) > 10
    assert not {code for code in codes - {"run.cancelled"} if f"`{code}`" not in page}
