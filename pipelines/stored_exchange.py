"""The exchange of a run whose machines share no folder: files go through an object store, each process keeps copies.

Below the staging folder a run has one of its own, ``kalla-scratch-<run id>.<attempt>``, with ``scratch/`` and
``evidence/``. A process asks for the versions that are there now before it reads, so that a step that was tried again
is never mixed with what its first try left, and sends what it has finished before its step counts as done. The driver
removes the folder at the end; one that a killed driver left goes with a later run.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hmac
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from connectors import ConnectorError, ObjectFolder
from pipelines.at_once import each
from pipelines.errors import FAILURES, PipelineError, as_text
from pipelines.exchange import TOKEN, Exchange
from pipelines.locks import lock, remove_unlocked
from pipelines.parts import Part, sha256_file
from pipelines.paths import glob_escape, partial
from pipelines.progress import EVENTS
from pipelines.workdir import ASIDE, SETS, WorkDir

STAGING_UNREACHABLE = "run.staging_unreachable"
_SCRATCH, _EVIDENCE = "scratch/", "evidence/"
_TRIES = 4
_NEWS_SECONDS = 2.0
_MARK_BYTES = 32  # of SHA-256
_DEAD = timedelta(days=1)  # a run whose newest object is older than this is over
_COPIES = "kalla-copies-"
_OWN = frozenset({TOKEN, "nothing.txt"})  # the driver's, of no use to others

_State: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class StoredExchange(Exchange):
    """``address`` is the run's own folder in the store; ``key`` seals what is unpickled from there, and reaches the
    workers with their work. All methods raise PipelineError ``run.staging_unreachable`` where the store does not do
    what is asked."""

    address: str
    key: bytes = field(repr=False)

    @property
    def scratch(self) -> Path:
        return _copies(self.address).scratch

    @property
    def evidence(self) -> Path:
        return _copies(self.address).evidence

    def _fetch(self, names: Iterable[str]) -> None:
        with _reached(self.address):
            _copies(self.address).bring(names)

    def seal(self, name: str, data: bytes) -> bytes:
        return self._mark(name, data) + data

    def unseal(self, name: str, data: bytes) -> bytes:
        mark, data = data[:_MARK_BYTES], data[_MARK_BYTES:]
        if not hmac.compare_digest(mark, self._mark(name, data)):
            raise PipelineError(
                f"Scratch data in {self.address} is not what a step of the run left there: {name}.",
                code="run.scratch_changed",
                hint="Nothing was committed. See that nobody else writes to the staging folder, and run again.",
            )
        return data

    def _mark(self, name: str, data: bytes) -> bytes:
        return hmac.digest(self.key, name.encode() + b"\0" + data, "sha256")

    def send(self) -> None:
        with _reached(self.address):
            _copies(self.address).send()

    def news(self) -> None:
        _copies(self.address).look()

    def collect(self, parts: Iterable[Part]) -> None:
        with _reached(self.address):
            _copies(self.address).collect(parts)

    def greet(self, token: str) -> dict[str, str]:
        with _reached(self.address):
            ObjectFolder.at(self.address).put(TOKEN, token.encode("ascii"))
        return {"store": self.address}


@contextlib.contextmanager
def stored_exchange(staging: str, run_id: str, work: WorkDir) -> Iterator[StoredExchange]:
    """The driver's end: a folder of the run's own below ``staging``, which is gone afterwards. The driver's copies lie
    in its work folder."""
    with _reached(staging):
        remove_abandoned_objects(staging, run_id)
        exchange = StoredExchange(f"{staging.rstrip('/')}/{ASIDE}{work.attempt}", secrets.token_bytes(_MARK_BYTES))
        store = ObjectFolder.at(exchange.address)
    with _lock:
        copies = _known[exchange.address] = _Copies(store, work.scratch, work.evidence)
    try:
        yield exchange
    finally:
        copies.end_looking()
        with contextlib.suppress(ConnectorError):  # what stays goes with a later run
            _remove(store)


def remove_abandoned_objects(staging: str, run_id: str) -> None:
    """Delete what earlier attempts at this run and runs that are long over have left in a store. Raises
    ConnectorError."""
    folder = ObjectFolder.at(staging)
    newest: dict[str, datetime] = {}
    for entry in folder.entries(ASIDE):
        attempt = entry.key.partition("/")[0]
        newest[attempt] = max(entry.modified, newest.get(attempt, entry.modified))
    now = datetime.now(UTC)
    for attempt, at in newest.items():
        if attempt.startswith(f"{ASIDE}{run_id}.") or now - at > _DEAD:
            _remove(folder.within(attempt))


def _remove(folder: ObjectFolder) -> None:
    each(folder.delete, [(entry.key,) for entry in folder.entries()])


def not_reached(address: str, token: str) -> PipelineError | None:
    """Why this machine cannot take part in the exchange at ``address``; None where it can. The token must be there, and
    what is written there must stay."""
    try:
        folder = ObjectFolder.at(address)
        if folder.read(TOKEN, len(token) + 1) != token.encode("ascii"):
            return _unreachable(address, "It is not the store that the run was planned with.")
        probe = f"{TOKEN}-{os.getpid()}-{time.monotonic_ns()}"
        folder.put(probe, b"")
        folder.delete(probe)
    except ConnectorError as error:
        return _unreachable(address, error.message)
    return None


class StagingUnreachable(PipelineError):
    """The store of the exchange does not do what is asked. On a worker no file can tell of it: its text does."""

    default_code: ClassVar[str] = STAGING_UNREACHABLE

    def __str__(self) -> str:
        return as_text(self)


def _unreachable(address: str, why: str) -> StagingUnreachable:
    return StagingUnreachable(
        f"Scratch data cannot be exchanged through {address}: {why}",
        hint="Give the driver and every worker pool the same settings of the store (S3_ENDPOINT and keys, or "
        "Google's), with the right to read, write, list and delete there.",
    )


@contextlib.contextmanager
def _reached(address: str) -> Iterator[None]:
    """What the store refuses becomes an error of the run."""
    try:
        yield
    except ConnectorError as error:
        raise _unreachable(address, error.message) from error


# --- copies of this process -------------------------------------------------------------------------------------------


class _Copies:
    """The files of one run that this process has read or made."""

    def __init__(self, store: ObjectFolder, scratch: Path, evidence: Path) -> None:
        self.scratch, self.evidence = scratch, evidence
        self._store = store
        self._looked, self._looking = float("-inf"), threading.Thread()
        self._versions: dict[str, Any] = {}  # by name in the store, of what lies here
        self._sent: dict[str, _State] = {}
        self._sending = threading.Lock()
        self._bringing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def bring(self, names: Iterable[str]) -> None:
        self._fetch([_SCRATCH + name for name in names])

    def look(self) -> None:
        """Have what workers tell here, soon: a store that hangs must not keep the driver from ending its job."""
        if not self._looking.is_alive() and time.monotonic() - self._looked >= _NEWS_SECONDS:
            self._looked = time.monotonic()
            self._looking = threading.Thread(target=self._look, daemon=True)
            self._looking.start()

    def _look(self) -> None:
        # The next look may be luckier; the result does not depend on it.
        with contextlib.suppress(ConnectorError, OSError):
            self.bring((EVENTS.format("*"), FAILURES))

    def end_looking(self) -> None:
        """Wait, not for long, until nothing more comes into folders that are about to go."""
        if self._looking.is_alive():
            self._looking.join(_NEWS_SECONDS)

    def collect(self, parts: Iterable[Part]) -> None:
        expected = {part.path: part.sha256 for part in parts}
        self._fetch([_EVIDENCE + path for path in expected])
        for path, digest in expected.items():
            if not (self.evidence / path).exists() or sha256_file(self.evidence / path) != digest:
                raise PipelineError(
                    f"The part {path} in {self._store.shown} is not what a worker sent there.",
                    code="run.commit_failed",
                    hint="Nothing was committed. See that nobody else writes there, and run again.",
                )

    def _fetch(self, names: list[str]) -> None:
        """Have the objects of these names here, which may be patterns. One that is replaced meanwhile is looked up
        again."""
        exact, patterns = frozenset(names), [name for name in names if "*" in name]
        for attempt in range(_TRIES):
            try:
                listed = self._store.entries(_beginning(names))
                found = [entry for entry in listed if entry.key in exact or _fits(entry.key, patterns)]
                each(self._fetch_one, [(entry.key, entry.identity) for entry in found])
                return
            except ConnectorError as error:
                if error.code not in ("storage.changed", "storage.not_found") or attempt == _TRIES - 1:
                    raise

    def _fetch_one(self, name: str, identity: dict[str, Any]) -> None:
        with self._bringing[name]:
            path = self._path(name)
            if self._versions.get(name) == _version(identity) and path.exists():
                return
            written = partial(path)
            try:
                self._store.download(name, written, identity)
                state = _state(written)
                os.replace(written, path)
            finally:
                written.unlink(missing_ok=True)
            self._versions[name], self._sent[name] = _version(identity), state

    def send(self) -> None:
        with self._sending:  # whoever waits finds its own files sent, or sends them
            new = [(name, state) for name, state in self._finished() if self._sent.get(name) != state]
            each(self._send_one, [(name, state) for name, state in new if not _is_told(name)])
            with contextlib.suppress(ConnectorError):  # a run does not fail for want of progress; the next send has it
                each(self._send_one, [(name, state) for name, state in new if _is_told(name)])

    def _send_one(self, name: str, state: _State) -> None:
        self._store.upload(name, self._path(name))
        self._versions[name] = _version(self._store.identity(name))
        self._sent[name] = state

    def _finished(self) -> Iterator[tuple[str, _State]]:
        """Names in the store and states of the files that lie here under their final names."""
        folders = {_SCRATCH: self.scratch, **{f"{_EVIDENCE}{name}/": self.evidence / name for name in SETS}}
        for prefix, folder in folders.items():
            for entry in os.scandir(folder):
                if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".") and entry.name not in _OWN:
                    with contextlib.suppress(FileNotFoundError):  # replaced this moment: the next look sees it
                        yield prefix + entry.name, _state(Path(entry.path))

    def _path(self, name: str) -> Path:
        if name.startswith(_SCRATCH):
            return self.scratch / name.removeprefix(_SCRATCH)
        return self.evidence / name.removeprefix(_EVIDENCE)


_known: dict[str, _Copies] = {}
_lock = threading.Lock()
_folder: tuple[Path, int] | None = None


def _copies(address: str) -> _Copies:
    """This process's copies of a run. A worker lays them below its folder for temporary files."""
    with _lock:
        if address not in _known:
            root = _own_folder() / address.rpartition("/")[2]
            for folder in ("scratch", *(f"evidence/{name}" for name in SETS)):
                (root / folder).mkdir(parents=True)
            _known[address] = _Copies(ObjectFolder.at(address), root / "scratch", root / "evidence")
        return _known[address]


def _own_folder() -> Path:
    """A locked folder of this process."""
    global _folder
    if _folder is None:
        remove_abandoned_copies()
        path = Path(tempfile.mkdtemp(prefix=_COPIES))
        _folder = path, lock(path)
    return _folder[0]


def remove_abandoned_copies() -> None:
    """Delete the copies that workers of this machine had when they died."""
    remove_unlocked(Path(tempfile.gettempdir()), f"{glob_escape(_COPIES)}*")


def remove_own_copies() -> None:
    """Delete what this process has copied or made for the runs of others."""
    global _folder
    with _lock:
        if _folder is None:
            return
        path, lock_fd = _folder
        for address in [address for address, copies in _known.items() if copies.scratch.is_relative_to(path)]:
            del _known[address]
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock_fd)
        _folder = None


def _is_told(name: str) -> bool:
    return fnmatch.fnmatchcase(name, _SCRATCH + EVENTS.format("*"))


def _version(identity: dict[str, Any]) -> Any:
    """What both a listing and a look at one object tell of its version."""
    return identity.get("generation") or identity.get("etag")


def _state(path: Path) -> _State:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _beginning(patterns: list[str]) -> str:
    """What all names of these patterns begin with."""
    return os.path.commonprefix([pattern.partition("*")[0] for pattern in patterns])  # noqa: RUF071 - of keys, not of paths


def _fits(name: str, patterns: list[str]) -> bool:
    """Whether a name fits one of these; a ``*`` stands for no slash, so that no name leads to another folder."""
    return any(fnmatch.fnmatchcase(name, p) and name.count("/") == p.count("/") for p in patterns)
