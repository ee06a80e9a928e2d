"""Seconds to the first answer of the guided conversation on large files, as the page asks for it.

    python -m benchmarks.first_answer --rows 1000000 --turns 3
    python -m benchmarks.first_answer --shape free_text --rows 1200000 --pause 2

Makes two CSV files (a million rows are about 100 MB each) and starts ``kalla serve`` anew for each turn. Two files are
uploaded and confirmed, ``--pause`` seconds later both are sent to the conversation (a person needs a moment for that;
0 is the hardest case), and a first pair is judged. Another app gets the two files registered as sources and chosen from
its list, with the same pause before each choice. An app is left alone for ``--settle`` seconds after its start, in
which it loads what its first page did without: nobody has two files in hand sooner. Seconds count from the request to
the first text, to the first pair to judge, to the end of the stream and to the page that shows it all; CPU seconds are
those of app and runner together.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.conversation_data import SHAPES
from benchmarks.datasets import csv_sink, write
from benchmarks.patterns import Spec
from tests.webapp.served.serving import Served, served

SEED = 7
_WAIT_SECONDS = 120
Event = tuple[float, str, dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """One turn: seconds from its request (None: there was none), and CPU seconds until the page was there.
    ``segments`` is what it said."""

    text: float | None
    pair: float | None
    end: float
    page: float
    cpu: float
    session: str
    segments: list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="records of the left side")
    parser.add_argument("--shape", choices=list(SHAPES), help="a data set of benchmarks.conversation_data instead")
    parser.add_argument("--turns", type=int, default=3, help="fresh apps of each kind")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between the confirmed upload and the message")
    parser.add_argument("--settle", type=float, default=4.0, help="seconds between an app's start and the first file")
    parser.add_argument("--folder", type=Path, help="where the two files are kept for the next time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kalla-first-") as name:
        folder = arguments.folder or Path(name) / "data"
        files = made(folder, arguments.rows, arguments.shape)
        load = os.getloadavg()[0]
        found = [
            {
                **uploaded(Path(name) / f"u{turn}", files, arguments.pause, arguments.settle),
                **registered(Path(name) / f"r{turn}", files, arguments.pause, arguments.settle),
            }
            for turn in range(arguments.turns)
        ]
    sizes = " and ".join(f"{path.stat().st_size / 1e6:.0f} MB" for path in files) if arguments.folder else ""
    waits = f"{arguments.pause} s of pause, {arguments.settle} s after the start"
    report(found, f"{arguments.rows:,} records {sizes}; {waits}; load before it {load:.1f}")


def made(folder: Path, rows: int, shape: str | None) -> tuple[Path, Path]:
    """Both files, made when they are not there yet."""
    folder = folder / f"{shape or 'one_to_one'}-{rows}"
    if not folder.exists():
        folder.mkdir(parents=True)
        if shape is None:
            write(Spec(rows, "one_to_one", SEED, True, None), csv_sink(folder))
        else:
            data = SHAPES[shape](rows, SEED)
            for number, side in enumerate((data.left, data.right)):
                side.write(folder).rename(folder / f"{number}-{side.filename}")
    left, right = sorted(folder.glob("*.csv"))
    return left, right


# --- what a person does --------------------------------------------------------------------------------


@contextmanager
def fresh(folder: Path, settle: float, *readable: Path) -> Iterator[Served]:
    """An app that nobody has asked anything yet, some seconds after its start."""
    folder.mkdir()
    roots = ":".join(str(path.parent.absolute()) for path in readable)
    with served(folder, ANTHROPIC_API_KEY="", KALLA_LOCAL_ROOTS=roots) as kalla:
        time.sleep(settle)
        yield kalla


def uploaded(folder: Path, files: tuple[Path, Path], pause: float, settle: float) -> dict[str, Answer]:
    """Two files dropped onto the page of a fresh app, a pair judged; and the same files again."""
    with fresh(folder, settle) as kalla:
        found = {}
        for name in ("uploads, fresh app", "uploads, again"):
            session = kalla.call("POST", "/api/chat/sessions")[1]["session_id"]
            before = cpu_seconds(kalla)
            attached = [send(kalla, path, session) for path in files]
            time.sleep(pause)
            first = ask(kalla, session, files=attached)
            found[name] = first
            print(f"{name}: {cpu_seconds(kalla) - before:.2f} s of CPU with the upload", flush=True)
            found[f"{name}: next pair"] = judge(kalla, first)
    return found


def registered(folder: Path, files: tuple[Path, Path], pause: float, settle: float) -> dict[str, Answer]:
    """Two registered files chosen from the list of a fresh app; and again."""
    with fresh(folder, settle, *files) as kalla:
        aliases = [f"big_{side}" for side in ("left", "right")]
        for alias, path in zip(aliases, files, strict=True):
            body = {"alias": alias, "source_type": "file", "uri": f"file://{path.absolute()}"}
            status, answer = kalla.call("POST", "/api/sources", body)
            assert status == 200, answer
        found = {}
        for name in ("registered, fresh app", "registered, again"):
            answer = ask(kalla, kalla.call("POST", "/api/chat/sessions")[1]["session_id"], message="hello")
            for alias, side in zip(aliases, ("left", "right"), strict=True):
                reply = {"card_id": last_card(answer, "select")["card_id"], "action": "select", "value": alias}
                time.sleep(pause)
                answer = ask(kalla, answer.session, card_response=reply)
                found[f"{name}: {side} side"] = answer
            found[f"{name}: next pair"] = judge(kalla, answer)
    return found


def judge(kalla: Served, answer: Answer) -> Answer:
    """Say yes to the pair that was shown."""
    reply = {"card_id": last_card(answer, "match_proposal")["card_id"], "action": "confirm"}
    return ask(kalla, answer.session, card_response=reply)


def last_card(answer: Answer, kind: str) -> dict[str, Any]:
    cards = [segment for segment in answer.segments if segment.get("card_type") == kind]
    assert cards, f"no {kind} in {answer.segments}"
    return cards[-1]


def send(kalla: Served, path: Path, session: str) -> dict[str, Any]:
    """The file as an attachment: link, bytes, confirmation."""
    status, link = kalla.call("POST", "/api/uploads/presign", {"filename": path.name, "session_id": session})
    assert status == 200, link
    connection = connected(kalla)
    with path.open("rb") as file:
        length = {"Content-Length": str(path.stat().st_size)}
        connection.request("PUT", link["presigned_url"].removeprefix(kalla.url), file, length)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    connection.close()
    asked = {"s3_uri": link["s3_uri"], "filename": path.name}
    status, attached = kalla.call("POST", f"/api/uploads/{link['upload_id']}/confirm", asked)
    assert status == 200, attached
    return dict(attached)


def connected(kalla: Served) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", kalla.port, timeout=_WAIT_SECONDS)


def ask(kalla: Served, session: str, **body: Any) -> Answer:
    """One turn, heard as it is streamed, and the page as it is then."""
    cpu, began = cpu_seconds(kalla), time.perf_counter()
    events = list(streamed(kalla, {"session_id": session, **body}))
    status, _ = kalla.page(f"/reconcile/{session}")
    assert status == 200 and events[-1][1] == "done", (status, events[-1])
    now = time.perf_counter()

    def first(wanted: Any) -> float | None:
        return next((at - began for at, name, data in events if wanted(name, data)), None)

    return Answer(
        text=first(lambda name, data: name == "text" or (name == "segment" and data["type"] == "text")),
        pair=first(lambda name, data: data.get("card_type") == "match_proposal"),
        end=events[-1][0] - began,
        page=now - began,
        cpu=cpu_seconds(kalla) - cpu,
        session=session,
        segments=events[-1][2]["message"]["segments"],
    )


def streamed(kalla: Served, body: Mapping[str, Any]) -> Iterator[Event]:
    """The events of a turn with the moment each was there."""
    connection = connected(kalla)
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    connection.request("POST", "/api/chat", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    name = ""
    while line := answer.readline().decode():
        if line.startswith("event: "):
            name = line.removeprefix("event: ").strip()
        elif line.startswith("data: "):
            yield time.perf_counter(), name, json.loads(line.removeprefix("data: "))
    connection.close()


def cpu_seconds(kalla: Served) -> float:
    """What app and runner have used since they were started."""
    total = 0.0
    for process in kalla.processes():
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


# --- figures -------------------------------------------------------------------------------------------


def report(found: list[dict[str, Answer]], what: str) -> None:
    """Medians, and the longest in parentheses."""
    print(f"{os.cpu_count()} cores; {what}; median of {len(found)} turns (the longest)\n")
    print("| turn | first text s | first pair s | end s | page s | CPU s |\n|---|---:|---:|---:|---:|---:|")
    for name in found[0]:
        answers = [turn[name] for turn in found]
        cells = [figures([getattr(a, field) for a in answers]) for field in ("text", "pair", "end", "page", "cpu")]
        print(f"| {name} | {' | '.join(cells)} |")


def figures(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.2f} ({max(known):.2f})" if known else ""


if __name__ == "__main__":
    main()
