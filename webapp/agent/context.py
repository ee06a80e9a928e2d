"""What a tool works with, and how it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webapp.agent.cards import Card, make
from webapp.agent.session import Session
from webapp.context import Kalla


class ToolError(Exception):
    """A tool cannot do what it was asked. ``sentence`` goes to the driver, so it says what to do instead."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass
class ToolContext:
    """One call of a tool: the app, the conversation, and ways to show cards and say what was dropped.

    ``ends`` is the moment (``time.monotonic``) at which the turn is over.
    """

    app: Kalla
    session: Session
    say: Callable[[str], None]
    ends: float
    added: list[Card] = field(default_factory=list)

    def show(self, card_type: str, data: Mapping[str, Any], prefix: str | None = None) -> Card:
        """A card, shown once the tool has succeeded."""
        card = make(card_type, data, prefix)
        self.added.append(card)
        return card

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.ends - time.monotonic())
