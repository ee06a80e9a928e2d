"""A conversation in tests: a driver that follows a script, files to upload, and short ways to speak."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.webapp.conftest import FakeDispatcher
from webapp.agent.driver import Emit, Step, ToolCall, View
from webapp.agent.entries import Entry, Result
from webapp.agent.session import Session
from webapp.context import Kalla
from webapp.objects import Upload, upload_path
from webapp.runner.app import _guards
from webapp.runner.scoped import load_scoped
from webapp.services import chat
from webapp.settings import Settings

LEDGER = "entry,reference,amount,booked_on,customer\n" + "".join(
    f"E{n},INV-{1000 + n},{100 + n}.50,2026-01-{n:02},Ada Lovelace {n}\n" for n in range(1, 13)
)
BANK = "txn,text,paid,day\n" + "".join(
    f"T{n},INV-{1000 + n},{100 + n}.{52 if n % 4 == 0 else 50},2026-01-{n:02}\n" for n in range(1, 11)
)
SQL = (
    "SELECT l.entry, r.txn, l.amount, r.paid FROM left_src l JOIN right_src r "
    "ON l.reference = r.text AND tolerance_match(l.amount, r.paid, {})"
)
Move = Step | Callable[[View], Step] | BaseException


@dataclass
class Scripted:
    """A driver that gives one step after the other; a step may be made from the view, or be an error."""

    steps: list[Move] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    name: str = "guided"

    def step(self, view: View, emit: Emit) -> Step:
        self.views.append(view)
        move = self.steps.pop(0) if self.steps else Step("Done.")
        if isinstance(move, BaseException):
            raise move
        step = move if isinstance(move, Step) else move(view)
        emit(step.text)
        return step


def call(tool: str, /, **given: Any) -> ToolCall:
    return ToolCall(f"call-{uuid.uuid4()}", tool, given)


def calls(*wanted: ToolCall, text: str = "") -> Step:
    return Step(text, wanted, "tools")


class ReadingDispatcher(FakeDispatcher):
    """Takes notes of jobs, and reads scoped rows as the runner does."""

    settings: Settings

    def load_scoped(self, alias: str, body: Mapping[str, Any]) -> dict[str, Any]:
        super().load_scoped(alias, body)
        return load_scoped(alias, body, self.settings, _guards(self.settings))


@dataclass
class Talk:
    """One session, spoken to through the service."""

    app: Kalla
    driver: Scripted
    session_id: str | None = None
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def say(self, text: str = "", *steps: Move, **more: Any) -> dict[str, Any]:
        """Send something; the agent then follows these steps. The answer."""
        self.driver.steps = list(steps)
        body: dict[str, Any] = {"message": text or None, "session_id": self.session_id, **more}
        body = {name: value for name, value in body.items() if value is not None}
        answer = chat.turn(self.app, body, lambda name, data: self.events.append((name, data)))
        self.session_id = answer["session_id"]
        return answer

    def reply(
        self, card: dict[str, Any], action: str, *steps: Move, value: Any = None, text: str = ""
    ) -> dict[str, Any]:
        given = {"card_id": card["card_id"], "action": action, "value": value}
        return self.say(text, *steps, card_response=given)

    def upload(self, name: str, content: str) -> dict[str, Any]:
        return {"s3_uri": uploaded(self.app, name, content), "filename": name, "columns": ["lies"], "row_count": 1}

    @property
    def session(self) -> Session:
        row = self.app.chats.get(str(self.session_id))
        assert row is not None
        return Session.from_row(row.values)

    @property
    def shown(self) -> dict[str, Any]:
        return chat.get(self.app, str(self.session_id))

    @property
    def results(self) -> list[Result]:
        return [entry for entry in self.session.working.entries if isinstance(entry, Result)]


def uploaded(app: Kalla, name: str, content: str) -> str:
    """The address of a file that has arrived."""
    upload = Upload("test", str(uuid.uuid4()), name)
    path = Path(upload_path(app.settings, upload))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return upload.uri(app.settings.uploads_bucket)


def card(answer: dict[str, Any], card_type: str) -> dict[str, Any]:
    """The last card of a type in an answer."""
    found = [s for s in answer["message"]["segments"] if s.get("card_type") == card_type]
    assert found, f"no {card_type} in {[s.get('card_type', s.get('content')) for s in answer['message']['segments']]}"
    return dict(found[-1])


def texts(answer: dict[str, Any]) -> str:
    return "\n".join(s["content"] for s in answer["message"]["segments"] if s["type"] == "text")


def kinds(entries: Sequence[Entry]) -> list[str]:
    return [type(entry).__name__ for entry in entries]


def with_files(talk: Talk, ledger: str = LEDGER, bank: str = BANK) -> dict[str, Any]:
    """Two files, looked at: left and right are known, both samples are there."""
    files = [talk.upload("ledger.csv", ledger), talk.upload("bank.csv", bank)]

    def look(view: View) -> Step:
        return calls(call("get_source_preview", alias="ledger"), call("get_source_preview", alias="bank"))

    return talk.say("Here are both", look, Step("Both are here."), files=files)


def propose(talk: Talk, left: int, right: int, text: str = "go on") -> dict[str, Any]:
    step = calls(call("propose_match", left_row=left, right_row=right, reasoning="Same reference"))
    return talk.say(text, step, Step(""))


def same_reference(session: Session, number: int) -> tuple[int, int]:
    """Places of both rows of a reference in the samples."""
    wanted = f"INV-{1000 + number}"
    left = next(n for n, row in enumerate(session.sample_left or []) if row["reference"] == wanted)
    right = next(n for n, row in enumerate(session.sample_right or []) if row["text"] == wanted)
    return left, right


def with_pairs(talk: Talk, count: int = 3) -> dict[str, Any]:
    """So many pairs confirmed."""
    with_files(talk)
    answer: dict[str, Any] = {}
    for number in range(1, count + 1):
        left, right = same_reference(talk.session, number)
        answer = talk.reply(card(propose(talk, left, right), "match_proposal"), "confirm", Step("Thank you."))
    return answer


def with_draft(talk: Talk, limit: str = "0.05") -> dict[str, Any]:
    """A draft and the card of its rule."""
    with_pairs(talk)
    return talk.say("and now", build(limit), Step(""))


def build(limit: str = "0.05", **more: Any) -> Step:
    given = {
        "name": "Ledger against bank",
        "match_sql": SQL.format(limit),
        "match_description": "Same reference, amounts at most five cents apart",
        "left_pk": ["entry"],
        "right_pk": ["txn"],
    }
    return calls(call("build_recipe", **given | more))


def make_talk(app: Kalla, monkeypatch: pytest.MonkeyPatch) -> Talk:
    driver = Scripted()
    monkeypatch.setattr(chat, "driver_for", lambda app: driver)
    return Talk(app, driver)
