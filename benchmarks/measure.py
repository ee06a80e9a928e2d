"""Run a command as a whole process and measure it: wall time, CPU time, peak memory of it and all its children."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_SAMPLE_SECONDS = 0.02
_MIB = 1 << 20


@dataclass(frozen=True)
class Measured:
    """``peak_rss`` is the largest sum of resident memory over the process tree (files mapped into memory included),
    ``peak_anonymous`` of what no file backs; both in bytes, sampled every 20 ms."""

    seconds: float
    cpu_seconds: float
    peak_rss: int
    peak_anonymous: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def measure(command: Sequence[str], timeout: float = 1800) -> Measured:
    """Raises RuntimeError with the command's output when it fails."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    peaks = [0, 0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
    watcher.start()
    timer = threading.Timer(timeout, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        timer.cancel()
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {output.decode(errors='replace')[-2000:]}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, peaks[0], peaks[1])


def _watch(pid: int, peaks: list[int]) -> None:
    while True:
        rss, anonymous = _tree_memory(pid)
        if rss == 0 and not Path(f"/proc/{pid}/status").exists():
            return
        peaks[0], peaks[1] = max(peaks[0], rss), max(peaks[1], anonymous)
        if _is_zombie(pid):
            return
        time.sleep(_SAMPLE_SECONDS)


def _is_zombie(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()[0] == "Z"
        )
    except (FileNotFoundError, ProcessLookupError):
        return True


def _tree_memory(root: int) -> tuple[int, int]:
    rss = anonymous = 0
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            children = [(task / "children").read_text(encoding="ascii") for task in tasks]
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        rss += int(fields.get("VmRSS", "0 kB").split()[0]) * 1024
        anonymous += int(fields.get("RssAnon", "0 kB").split()[0]) * 1024
        waiting += [int(child) for text in children for child in text.split()]
    return rss, anonymous
