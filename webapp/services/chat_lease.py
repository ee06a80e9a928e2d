"""Who may write a conversation: one holder at a time, for as long as it shows signs of life."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from socket import gethostname

from recipe import KallaError
from webapp.agent.session import Session
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.stores.chat import IDLE, SessionRow

log = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
BEAT_SECONDS = 4.0
STOP_SECONDS = 0.3  # how often a turn looks whether somebody, through whichever process, wants it to end


def found_row(app: Kalla, session_id: str) -> SessionRow:
    row = app.chats.get(session_id)
    if row is None:
        raise unknown_session()
    return row


def unknown_session() -> ServiceError:
    return ServiceError(
        "This conversation was not found.", code="chat.session_not_found", hint="New Reconciliation lists all of them."
    )


@dataclass
class Held:
    """A session that only this holder may write, for as long as the block lasts or ``close`` is not called.

    ``stopping`` is set once the person wants its turn to end, or the lease is lost.
    """

    app: Kalla
    session: Session
    holder: str
    lease: str  # as it was found
    stopping: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self) -> None:
        """Store the session. Raises ServiceError ``chat.busy`` when the lease was lost or the session deleted."""
        session = self.session
        session.updated_at = datetime.now(UTC)
        if not self.app.chats.save(session.session_id, self.holder, session.version, session.to_row()):
            raise busy()
        session.version += 1

    def keep(self) -> None:
        """Renew the lease beside the work, and hear of a wish to stop, until ``close``."""
        threading.Thread(target=self._beat, name="kalla-chat-lease", daemon=True).start()

    def _beat(self) -> None:
        renewed, failing = time.monotonic(), False
        while not self._over.wait(STOP_SECONDS):
            try:
                if self.app.chats.should_stop(self.session.session_id, self.holder):
                    self.stopping.set()
                if time.monotonic() - renewed >= BEAT_SECONDS:
                    renewed = time.monotonic()
                    self.app.chats.renew(self.session.session_id, self.holder, LEASE_SECONDS)
                failing = False
            except KallaError as error:
                if not failing:  # said once until it works again: a beat is short, and an outage is not
                    log.warning("the lease of conversation %s: %s", self.session.session_id, error.code)
                failing = True

    def close(self) -> None:
        """Give the session back."""
        self._over.set()
        try:
            self.app.chats.release(self.session.session_id, self.holder)
        except KallaError as error:
            log.warning("the lease of conversation %s runs out: %s", self.session.session_id, error.code)


def hold(app: Kalla, session_id: str) -> Held:
    """Take the session's lease. Raises ServiceError ``chat.session_not_found``, ``chat.busy``."""
    holder = _name()
    row = app.chats.take(session_id, holder, LEASE_SECONDS)
    if row is None:
        found_row(app, session_id)
        raise busy()
    return Held(app, Session.from_row(row.values), holder, row.turn)


def hold_new(app: Kalla) -> Held:
    """A new session, stored and held."""
    session, holder = Session(str(uuid.uuid4())), _name()
    app.chats.insert(session.session_id, session.to_row(), holder, LEASE_SECONDS)
    return Held(app, session, holder, IDLE)


def _name() -> str:
    return f"{gethostname()}:{os.getpid()}:{uuid.uuid4()}"


def busy() -> ServiceError:
    return ServiceError(
        "This conversation is at work already.",
        code="chat.busy",
        hint="Wait for the answer, then go on.",
        headers={"Retry-After": "2"},
    )
