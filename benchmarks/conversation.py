"""The guided conversation measured: two files in, cards answered truthfully, the recipe run, its pairs compared.

    python -m benchmarks.conversation --rows 3000 --seeds 101 102 103 --json figures.json

Starts ``kalla serve`` on a folder of its own and speaks to it over HTTP, as the page does. The person of the script
looks at each proposed pair and says whether it is a true one; it answers nothing else. What leads the conversation sees
the files only. Prints precision, recall and F1 by data set and seed, clicks, and seconds to the first answer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.conversation_data import SHAPES, DataSet, Quality, Side, quality
from tests.webapp.served.serving import Served, served

MOST_CLICKS = 15
MOST_TRIES = 4
_VERDICTS = {True: "confirm", False: "reject"}


@dataclass(frozen=True)
class Figures:
    """What one conversation came to."""

    shape: str
    seed: int
    precision: float
    recall: float
    f1: float
    clicks: int
    first_answer_seconds: float
    seconds: float
    rule: str
    ambiguities: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000, help="records of the left side")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="kalla-talk-") as name:
        folder = Path(name)
        with served(folder, ANTHROPIC_API_KEY="") as kalla:
            for seed in arguments.seeds:
                for shape in arguments.shapes:
                    found.append(measure(kalla, shape, arguments.rows, seed, folder))
                    _print(found[-1])
    _print_table(found)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False))


def measure(kalla: Served, shape: str, rows: int, seed: int, folder: Path) -> Figures:
    """One conversation from two files to the evidence of the run."""
    data = SHAPES[shape](rows, seed)
    talk = Talk(kalla, data)
    began = time.perf_counter()
    run = talk.lead(folder)
    seconds = time.perf_counter() - began
    found = quality(pairs_of(run, data), data.truth)
    rule = talk.cards("rule_summary")[-1]["data"]
    return Figures(
        data.name, seed, *_rounded(found), talk.clicks, round(talk.first_seconds, 2), round(seconds, 1),
        rule["match_description"], list(rule["ambiguities"]),
    )  # fmt: skip


def _rounded(found: Quality) -> tuple[float, float, float]:
    return round(found.precision, 4), round(found.recall, 4), round(found.f1, 4)


class Talk:
    """A person who knows the true pairs, at a conversation."""

    def __init__(self, kalla: Served, data: DataSet) -> None:
        self._kalla, self._data = kalla, data
        self._session: str | None = None
        self._shown: list[dict[str, Any]] = []
        self.clicks = 0
        self.first_seconds = 0.0

    def lead(self, folder: Path) -> dict[str, Any]:
        """Send both files and answer cards until the run is over; the run."""
        files = [self._sent(side, folder) for side in (self._data.left, self._data.right)]
        began = time.perf_counter()
        answer = self._say(files=files)
        self.first_seconds = time.perf_counter() - began
        for reply in self._replies(answer):
            self.clicks += 1
            if self.clicks > 4 * MOST_CLICKS:
                break
            answer = self._say(card_response=reply)
            for _ in range(MOST_TRIES):
                if self._waits() or self.cards("progress"):
                    break
                self.clicks += 1  # such as a sample that took too long on a busy machine
                answer = self._say(message="go on")
        progress = self.cards("progress")
        assert progress, f"no run was started: {self._shown[-3:]}"
        run = self._kalla.ended(progress[-1]["data"]["run_id"], seconds=300)
        assert run["status"] == "completed", run
        return run

    def cards(self, card_type: str) -> list[dict[str, Any]]:
        """The cards of a type so far."""
        return [segment for segment in self._shown if segment.get("card_type") == card_type]

    def _replies(self, answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Answers to the newest open card, until none wants one."""
        while True:
            card = next((c for c in reversed(self._shown) if c.get("type") == "card" and self._action(c)), None)
            if card is None or card.get("seen"):
                return
            card["seen"] = True
            yield {"card_id": card["card_id"], "action": self._action(card)}

    def _waits(self) -> bool:
        """Whether a card wants an answer that it has not got."""
        return any(c.get("type") == "card" and self._action(c) and not c.get("seen") for c in self._shown)

    def _action(self, card: Mapping[str, Any]) -> str | None:
        kind = card["card_type"]
        if kind == "match_proposal":
            return _VERDICTS[self._identity(card["data"]) in self._data.truth]
        if kind == "confirm":
            return "confirm"
        is_asked = kind == "rule_summary" or card["card_id"].startswith("validation-")
        return "approve" if is_asked else None

    def _identity(self, pair: Mapping[str, Any]) -> tuple[str, str]:
        return pair["left"][self._data.left.identity], pair["right"][self._data.right.identity]

    def _say(self, **body: Any) -> dict[str, Any]:
        if self._session is not None:
            body["session_id"] = self._session
        request = urllib.request.Request(
            f"{self._kalla.url}/api/chat", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=180) as response:
            answer: dict[str, Any] = json.loads(response.read())
        self._session = answer["session_id"]
        self._shown += answer["message"]["segments"]
        return answer

    def _sent(self, side: Side, folder: Path) -> dict[str, Any]:
        path = side.write(folder)
        status, link = self._kalla.call(
            "POST", "/api/uploads/presign", {"filename": path.name, "session_id": "benchmark"}
        )
        assert status == 200, link
        address = str(link["presigned_url"])
        address = address if address.startswith("http") else self._kalla.url + address
        request = urllib.request.Request(address, path.read_bytes(), method="PUT")
        with urllib.request.urlopen(request, timeout=120) as response:
            response.read()
        return {
            "filename": path.name,
            "s3_uri": link["s3_uri"],
            "columns": list(side.names),
            "row_count": len(side.rows),
        }


def pairs_of(run: Mapping[str, Any], data: DataSet) -> list[tuple[str, str]]:
    """The matched pairs of the run's evidence by the identities of their records."""
    folder = str(run["output_matched"]).removeprefix("file://")
    table = pq.read_table(folder, columns=["_left_row", "_right_row"])
    found: list[tuple[str, str]] = []
    for lefts, rights in zip(*(table.column(at).to_pylist() for at in (0, 1)), strict=True):
        for left in _listed(lefts):
            found += [(_name(data.left, left), _name(data.right, right)) for right in _listed(rights)]
    return found


def _listed(value: Any) -> Sequence[int]:
    return value if isinstance(value, list) else [value]


def _name(side: Side, row: int) -> str:
    return str(side.rows[row - 1][side.names.index(side.identity)])


def _print(one: Figures) -> None:
    print(
        f"{one.shape}, seed {one.seed}: precision {one.precision:.4f}, recall {one.recall:.4f}, F1 {one.f1:.4f}, "
        f"{one.clicks} clicks, first answer {one.first_answer_seconds} s, all {one.seconds} s\n    {one.rule}"
    )
    for sentence in one.ambiguities:
        print(f"    ! {sentence}")


def _print_table(found: Sequence[Figures]) -> None:
    print(
        "\n| data set | F1 by seed | lowest precision | lowest recall | clicks | first answer s |"
        "\n|---|---|---:|---:|---:|---:|"
    )
    for shape in dict.fromkeys(one.shape for one in found):
        some = [one for one in found if one.shape == shape]
        scores = ", ".join(f"{one.f1:.4f}" for one in some)
        first = statistics.median(one.first_answer_seconds for one in some)
        print(
            f"| {shape} | {scores} | {min(one.precision for one in some):.4f} | "
            f"{min(one.recall for one in some):.4f} | {max(one.clicks for one in some)} | {first:.2f} |"
        )


if __name__ == "__main__":
    main()
