"""The seven phases of contract 4.1 as one table, and the walk along it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webapp.agent.entries import Moved
from webapp.agent.session import SIDES, Session

WANTED_PAIRS = 3


@dataclass(frozen=True)
class Need:
    """Something that must be there before a phase is entered."""

    words: str
    holds: Callable[[Session], bool]


@dataclass(frozen=True)
class Phase:
    """One phase. ``context`` names what the model is told of the data; ``advances`` says when the phase is over."""

    name: str
    title: str
    goal: str
    tools: tuple[str, ...]
    needs: tuple[Need, ...]
    context: tuple[str, ...]
    advances: Callable[[Session], bool]
    until: str  # ``advances`` in words


def _has_schemas(session: Session) -> bool:
    return all(session.schema(side) is not None for side in SIDES)


def _has_samples(session: Session) -> bool:
    return all(session.sample(side) for side in SIDES)


def _has_enough_pairs(session: Session) -> bool:
    confirmed = len(session.confirmed_pairs)
    return confirmed >= WANTED_PAIRS or (confirmed >= 1 and session.working.enough)


SCHEMAS = Need("the columns of both sources", _has_schemas)
SAMPLES = Need("a sample of both sources with rows in it", _has_samples)
PAIR = Need("at least one confirmed pair", lambda session: bool(session.confirmed_pairs))
DRAFT = Need("a draft of the recipe", lambda session: session.recipe_draft is not None)
APPROVAL = Need("the approval of the sample's result", lambda session: session.validation_approved)

_LOOK = ("list_sources", "get_source_preview", "request_file_upload")

PHASES: tuple[Phase, ...] = (
    Phase(
        "greeting",
        "Welcome",
        "welcome, list sources, look at attached files without asking again",
        _LOOK,
        (),
        (),
        lambda s: s.sources_list is not None or s.schema_left is not None,
        "sources were listed, or the left source is known",
    ),
    Phase(
        "intent",
        "Sources",
        "settle which source is left and which is right, and look at both",
        _LOOK,
        (),
        ("sources",),
        lambda s: _has_schemas(s) and not s.working.choosing,
        "the columns of both sources are known",
    ),
    Phase(
        "scoping",
        "Rows",
        "agree on filters and load samples; a file whose sample is there needs none",
        ("load_scoped", "get_source_preview", "request_file_upload", "list_sources"),
        (SCHEMAS,),
        ("schemas", "samples"),
        _has_samples,
        "both samples hold rows",
    ),
    Phase(
        "demonstration",
        "Pairs",
        "propose candidate pairs, by card only, and learn from the answers",
        ("propose_match", "get_source_preview"),
        (SAMPLES,),
        ("schemas", "samples", "pairs"),
        _has_enough_pairs,
        f"{WANTED_PAIRS} pairs are confirmed, or at least one and the person says that this is enough",
    ),
    Phase(
        "inference",
        "Rule",
        "derive the rule, write match_sql, build the recipe, have it approved and save it",
        ("infer_rules", "build_recipe", "save_recipe", "propose_match"),
        (SAMPLES, PAIR),
        ("schemas", "pairs"),
        lambda s: s.recipe_draft is not None and s.working.saved,
        "the draft is valid and saved",
    ),
    Phase(
        "validation",
        "Check",
        "validate the recipe, run it on the sample, and have the result approved or adjusted",
        ("validate_recipe", "run_sample", "save_recipe", "get_source_preview"),
        (DRAFT,),
        ("draft", "schemas"),
        lambda s: s.validation_approved,
        "the person approves the sample's result",
    ),
    Phase(
        "execution",
        "Run",
        "run on everything, with live progress, and sum up the result",
        ("run_full", "validate_recipe"),
        (DRAFT, APPROVAL),
        ("draft",),
        lambda s: False,
        "this is the last phase",
    ),
)
BY_NAME = {phase.name: phase for phase in PHASES}
NAMES = tuple(BY_NAME)
_PLACES = {name: place for place, name in enumerate(NAMES)}


def phase_of(session: Session) -> Phase:
    """The phase that a session is in."""
    return BY_NAME[session.phase]


def missing(phase: Phase, session: Session) -> list[str]:
    """What is not there yet that the phase needs, in words."""
    return [need.words for need in phase.needs if not need.holds(session)]


def is_before(one: str, other: str) -> bool:
    """Whether a phase comes before another."""
    return _PLACES[one] < _PLACES[other]


def settle(session: Session) -> list[Moved]:
    """Walk back while a phase's needs are gone, then on while phases are over; all moves, in order."""
    moves: list[Moved] = []
    while session.phase != NAMES[0] and (gone := missing(phase_of(session), session)):
        moves.append(move(session, NAMES[_PLACES[session.phase] - 1], f"{' and '.join(gone)} is missing"))
    while session.phase != NAMES[-1] and phase_of(session).advances(session):
        following = PHASES[_PLACES[session.phase] + 1]
        if missing(following, session):
            break
        moves.append(move(session, following.name, phase_of(session).until))
    return moves


def move(session: Session, to: str, why: str) -> Moved:
    """Go to a phase."""
    moved = Moved(session.phase, to, why)
    session.phase = to
    return moved


def go_back(session: Session, to: str) -> list[Moved]:
    """Go back to an earlier phase because the person wants it; what it and later ones found is dropped, but for the
    sources, which stay until others are chosen, and the draft, which ``inference`` changes."""
    if not is_before(to, session.phase):
        return []
    if to == "intent":
        session.working.choosing = True
    elif to == "inference":
        session.working.saved = False
        session.withdraw_approval()
    else:
        session.clear_from(to)
    return [move(session, to, "the person wants to change something")]
