"""One conversation as it is kept: the fields of contract 4.4, and what only the engine needs (``working``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from webapp.agent.entries import Entry, entry_from_json, entry_to_json

SIDES = ("left", "right")
STATUSES = ("active", "recipe_ready", "running", "completed")
Row = dict[str, str | None]
Pair = dict[str, Row]


@dataclass
class Place:
    """A source that a side has, or may have. ``uri`` is kept for uploads only: addresses of registered sources stay in
    their table, so that no password gets here.

    ``columns`` are ``{name, data_type, nullable}``; ``personal`` are names of columns whose values look personal;
    ``shown`` is how many rows the sample holds of ``total_rows``.
    """

    alias: str
    source_type: str
    uri: str | None = None
    filename: str | None = None
    columns: list[dict[str, Any]] = field(default_factory=list)
    total_rows: int | None = None
    personal: list[str] = field(default_factory=list)

    @property
    def is_upload(self) -> bool:
        return self.uri is not None

    @property
    def column_names(self) -> list[str]:
        return [str(column["name"]) for column in self.columns]


@dataclass
class TurnState:
    """The turn that is under way, or was when the app went: with it a restarted app goes on."""

    id: str
    began: str
    steps: int = 0
    seconds: float = 0.0  # used before a restart
    failures: dict[str, int] = field(default_factory=dict)
    withdrawn: list[str] = field(default_factory=list)
    resumed: int = 0


@dataclass
class Working:
    """What the engine keeps besides the fields of the contract."""

    entries: list[Entry] = field(default_factory=list)
    sides: dict[str, Place | None] = field(default_factory=lambda: {"left": None, "right": None})
    uploads: dict[str, Place] = field(default_factory=dict)  # attached files by alias
    unmasked: dict[str, list[str]] = field(default_factory=lambda: {"left": [], "right": []})
    turn: TurnState | None = None
    saved: bool = False  # the draft is stored as a recipe
    enough: bool = False  # the person says that the confirmed pairs are enough
    choosing: bool = False  # the person wants another source
    rules: list[dict[str, Any]] = field(default_factory=list)  # the latest output of infer_rules
    driver: str | None = None
    mask_key: str = field(default_factory=lambda: token_hex(16))


@dataclass
class Session:
    """A conversation. Lists and objects are JSON values; times are aware."""

    session_id: str
    status: str = "active"
    phase: str = "greeting"
    left_source_alias: str | None = None
    right_source_alias: str | None = None
    sources_list: list[dict[str, Any]] | None = None
    schema_left: list[dict[str, Any]] | None = None
    schema_right: list[dict[str, Any]] | None = None
    scope_left: list[dict[str, Any]] | None = None
    scope_right: list[dict[str, Any]] | None = None
    sample_left: list[Row] | None = None
    sample_right: list[Row] | None = None
    confirmed_pairs: list[Pair] = field(default_factory=list)
    rejected_pairs: list[Pair] = field(default_factory=list)
    unsure_pairs: list[Pair] = field(default_factory=list)
    recipe_draft: dict[str, Any] | None = None
    run_id: str | None = None
    title: str | None = None
    validation_approved: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    version: int = 0
    working: Working = field(default_factory=Working)

    # --- the sides -------------------------------------------------------------------------------------

    def alias(self, side: str) -> str | None:
        found: str | None = getattr(self, f"{side}_source_alias")
        return found

    def schema(self, side: str) -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] | None = getattr(self, f"schema_{side}")
        return found

    def sample(self, side: str) -> list[Row] | None:
        found: list[Row] | None = getattr(self, f"sample_{side}")
        return found

    def scope(self, side: str) -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] | None = getattr(self, f"scope_{side}")
        return found

    def place(self, side: str) -> Place | None:
        return self.working.sides[side]

    def masked_columns(self, side: str) -> list[str]:
        """Columns whose values the model does not get to see: they look personal and nobody said to show them."""
        place = self.working.sides[side]
        shown = self.working.unmasked[side]
        return [] if place is None else [name for name in place.personal if name not in shown]

    def give_side(self, side: str, place: Place) -> bool:
        """Let a side be this source. Returns whether it replaced another one; then all that depended on that is gone.
        The same source again only brings its columns up to date."""
        before = self.working.sides[side]
        is_same = before is not None and (before.alias, before.uri) == (place.alias, place.uri)
        is_other = before is not None and not is_same
        if is_other:
            self.clear_side(side)
        self.working.sides[side] = place
        setattr(self, f"{side}_source_alias", place.alias)
        setattr(self, f"schema_{side}", place.columns)
        self.working.choosing = False
        return is_other

    def set_sample(self, side: str, rows: list[Row], scope: list[dict[str, Any]]) -> None:
        """The sample of a side and the conditions that it was taken under."""
        setattr(self, f"sample_{side}", rows)
        setattr(self, f"scope_{side}", scope)

    def clear_side(self, side: str) -> None:
        """Forget a side's source and all that was found with it."""
        self.working.sides[side] = None
        self.working.unmasked[side] = []
        for name in (f"{side}_source_alias", f"schema_{side}", f"sample_{side}", f"scope_{side}"):
            setattr(self, name, None)
        self.clear_from("demonstration")

    def clear_from(self, phase: str) -> None:
        """Forget what a phase and those after it found: samples from ``scoping`` on, pairs from ``demonstration`` on,
        the draft from ``inference`` on, and always the approval."""
        if phase == "scoping":
            for name in ("sample_left", "sample_right", "scope_left", "scope_right"):
                setattr(self, name, None)
        if phase in ("scoping", "demonstration"):
            self.confirmed_pairs, self.rejected_pairs, self.unsure_pairs = [], [], []
            self.working.rules = []
            self.working.enough = False
        if phase in ("scoping", "demonstration", "inference"):
            self.recipe_draft = None
        self.working.saved = False
        self.withdraw_approval()

    def withdraw_approval(self) -> None:
        self.validation_approved = False
        self.run_id = None
        self.status = "recipe_ready" if self.working.saved else "active"

    # --- pairs -----------------------------------------------------------------------------------------

    def judge(self, pair: Pair, verdict: str) -> None:
        """Keep what the person said of a pair (``confirmed``, ``rejected``, ``unsure``); the last word counts."""
        for name in ("confirmed", "rejected", "unsure"):
            pairs: list[Pair] = getattr(self, f"{name}_pairs")
            kept = [known for known in pairs if known != pair]
            setattr(self, f"{name}_pairs", [*kept, pair] if name == verdict else kept)

    @property
    def judged_pairs(self) -> list[Pair]:
        return [*self.confirmed_pairs, *self.rejected_pairs, *self.unsure_pairs]

    # --- history ---------------------------------------------------------------------------------------

    def log(self, *entries: Entry) -> None:
        self.working.entries.extend(entries)

    # --- as stored -------------------------------------------------------------------------------------

    def to_row(self) -> dict[str, Any]:
        """Columns of ``chat_sessions`` but for id, version and times."""
        names = [f.name for f in fields(self) if f.name not in _APART]
        return {name: getattr(self, name) for name in names} | {"working": _working_to_json(self.working)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Session:
        """The session of a stored row, ``id`` included."""
        names = [f.name for f in fields(cls) if f.name not in ("session_id", "working")]
        working = _working_from_json(row["working"])
        return cls(session_id=str(row["id"]), working=working, **{name: row[name] for name in names})


_APART = ("session_id", "working", "version", "created_at", "updated_at")


def _working_to_json(working: Working) -> dict[str, Any]:
    plain = {f.name: getattr(working, f.name) for f in fields(working)}
    plain["entries"] = [entry_to_json(entry) for entry in working.entries]
    plain["sides"] = {side: None if place is None else asdict(place) for side, place in working.sides.items()}
    plain["uploads"] = {alias: asdict(place) for alias, place in working.uploads.items()}
    plain["turn"] = None if working.turn is None else asdict(working.turn)
    return plain


def _working_from_json(value: Mapping[str, Any]) -> Working:
    known = {f.name for f in fields(Working)}
    plain = {name: member for name, member in value.items() if name in known}
    plain["entries"] = [entry_from_json(entry) for entry in value["entries"]]
    plain["sides"] = {side: None if place is None else Place(**place) for side, place in value["sides"].items()}
    plain["uploads"] = {alias: Place(**place) for alias, place in value["uploads"].items()}
    turn = value["turn"]
    plain["turn"] = None if turn is None else TurnState(**turn | {"seconds": float(turn["seconds"])})
    return Working(**plain)
