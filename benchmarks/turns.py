"""Kalla and a peer in turns on the same data, as whole processes, and one line of figures."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measure import Measured, measure

MATCH_SQL = (
    "SELECT i.*, p.* FROM left_src i JOIN right_src p ON i.invoice_id = p.reference_number "
    "AND tolerance_match(i.amount, p.paid_amount, 0.02)"
)
Summary = dict[str, float]


def write_recipe(folder: Path, kind: str, left: str, right: str) -> Path:
    """The recipe of all benchmarks over two addresses of one source type."""
    document = {
        "recipe_id": "benchmark",
        "name": "Benchmark",
        "match_sql": MATCH_SQL,
        "sources": {
            "left": {"alias": "invoices", "type": kind, "uri": left, "primary_key": ["invoice_id"]},
            "right": {"alias": "payments", "type": kind, "uri": right, "primary_key": ["payment_id"]},
        },
    }
    path = folder / "recipe.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def kalla_run(recipe: Path, out: Path, memory_limit: str | None) -> list[str]:
    """The command of a run that leaves its evidence below ``out``."""
    limit = ["--memory-limit", memory_limit] if memory_limit else []
    command = [sys.executable, "-m", "pipelines.cli", "run", str(recipe), "--output", str(out / "kalla"), "--json"]
    return command + limit


def in_turns(
    kalla: Sequence[str], peer: Sequence[str] | None, out: Path, repeat: int, **others: Sequence[str]
) -> dict[str, Summary]:
    """Figures of all commands; the first turn, which warms the page cache, does not count. ``out`` is emptied before
    each."""
    commands = {"kalla": kalla} | ({"peer": peer} if peer else {}) | others
    figures: dict[str, list[Measured]] = {name: [] for name in commands}
    for turn in range(repeat + 1):
        for name, command in commands.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            measured = measure(command)
            if turn:
                figures[name].append(measured)
    shutil.rmtree(out, ignore_errors=True)
    return {name: summary(runs) for name, runs in figures.items()}


def summary(runs: list[Measured]) -> Summary:
    """Medians of times, the largest peaks of memory."""

    def median(pick: Callable[[Measured], float]) -> float:
        return statistics.median(pick(run) for run in runs)

    return {
        "seconds": median(lambda m: m.seconds),
        "fastest": min(m.seconds for m in runs),
        "cpu_seconds": median(lambda m: m.cpu_seconds),
        "peak_rss": max(m.peak_rss for m in runs),
        "peak_anonymous": max(m.peak_anonymous for m in runs),
    }


def header(peer: str) -> str:
    """The titles over ``line``."""
    return (
        f"{'scenario':<22}{'Kalla s':>9}{peer + ' s':>10}{'ratio':>7}{'apart s':>9}{'CPU ratio':>11}"
        f"{'Kalla MiB':>11}{peer + ' MiB':>12}"
    )


def line(scenario: str, figures: dict[str, Summary]) -> str:
    """One scenario's figures; those of the peer are left out where it did not run."""
    kalla, peer = figures["kalla"], figures.get("peer")
    memory = f"{kalla['peak_rss'] / (1 << 20):>11.0f}"
    if peer is None:
        return f"{scenario:<22}{kalla['seconds']:>9.2f}{'':>37}{memory}"
    ratio, cpu = kalla["seconds"] / peer["seconds"], kalla["cpu_seconds"] / peer["cpu_seconds"]
    return (
        f"{scenario:<22}{kalla['seconds']:>9.2f}{peer['seconds']:>10.2f}{ratio:>7.2f}"
        f"{kalla['seconds'] - peer['seconds']:>9.2f}{cpu:>11.2f}{memory}{peer['peak_rss'] / (1 << 20):>12.0f}"
    )
