"""What was found out about sources, for whoever asks next: in memory, and in files for the other processes of the app.

A shortcut only: what is gone, too old or cannot be stored is found out again. The files hold rows of sources, as the
database does for each conversation; they are the app's own, for some minutes. They are pickles, so each is sealed with
a key that only the processes of this start have: a file that anybody else has written is never read.
"""

from __future__ import annotations

import fcntl
import hmac
import logging
import os
import pickle
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from webapp.readable import FINDINGS
from webapp.settings import Settings

log = logging.getLogger(__name__)

SECONDS = 600.0
_PATIENCE_SECONDS = 60.0  # with somebody else who finds out the same
_POLL_SECONDS = 0.02
_MOST_BYTES = 64 << 20  # of a file
_KEY = secrets.token_bytes(32)  # made when this is loaded, before the processes of the app are forked
_SEAL = "sha256"
_SEAL_BYTES = 32


class Findings:
    """The latest ``most`` findings of one kind, each for ``SECONDS``; ``name`` is the kind's, in names of files."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[str, ...], tuple[float, Future[Any]]] = OrderedDict()

    def once(
        self,
        settings: Settings,
        key: Sequence[str],
        find: Callable[[], Any],
        worth_keeping: Callable[[Any], bool] = lambda value: True,
    ) -> Any:
        """What is known under the key, else what ``find`` gives. Whoever asks meanwhile, in any process, waits for it.

        Raises what ``find`` raises; errors are not kept.
        """
        key = (str(settings.staging_path), *key)
        mine: Future[Any] = Future()
        with self._lock:
            found = self._known(key)
            if found is None:
                self._keep(key, mine)
        if found is not None:
            try:
                return found.result(_PATIENCE_SECONDS)
            except TimeoutError:
                return find()
        try:
            value = self._shared(settings, key, find, worth_keeping)
        except BaseException as error:
            self._forget(key, mine)
            mine.set_exception(error)
            raise
        mine.set_result(value)
        if not worth_keeping(value):
            self._forget(key, mine)
        return value

    def _known(self, key: tuple[str, ...]) -> Future[Any] | None:
        kept = self._found.get(key)
        if kept is None or time.monotonic() - kept[0] > SECONDS:
            return None
        self._found.move_to_end(key)
        return kept[1]

    def _keep(self, key: tuple[str, ...], found: Future[Any]) -> None:
        self._found[key] = (time.monotonic(), found)
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            self._found.popitem(last=False)

    def _forget(self, key: tuple[str, ...], mine: Future[Any]) -> None:
        with self._lock:
            if (kept := self._found.get(key)) is not None and kept[1] is mine:
                del self._found[key]

    # --- files -----------------------------------------------------------------------------------------

    def change(self, settings: Settings, key: Sequence[str], how: Callable[[Any], Any]) -> Any:
        """What ``how`` makes of what stands in the file of the key, None where nothing does; kept in its place. Of
        several processes one changes it at a time."""
        place = self._place(settings, (str(settings.staging_path), *key))
        if place is None:
            return how(None)
        path, lock = place
        with _turn(lock):
            value = how(_read(path))
            self._store(path, value)
            return value

    def _shared(
        self, settings: Settings, key: tuple[str, ...], find: Callable[[], Any], worth_keeping: Callable[[Any], bool]
    ) -> Any:
        place = self._place(settings, key)
        if place is None:
            return find()
        path, lock = place
        with _turn(lock):
            value = _read(path)
            if value is None:
                value = find()
                if worth_keeping(value):
                    self._store(path, value)
            return value

    def _place(self, settings: Settings, key: tuple[str, ...]) -> tuple[Path, int] | None:
        """The file of a key, and a descriptor of its lock; None where there can be none."""
        folder = settings.staging_path / FINDINGS
        digest = hmac.digest(_KEY, "\0".join(key).encode("utf-8", "surrogatepass"), _SEAL).hex()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / f"{digest[:2]}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.warning("findings cannot be shared: %s", error.strerror)
            return None
        return folder / f"{self._name}-{digest}", lock

    def _store(self, path: Path, value: Any) -> None:
        try:
            data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        except RuntimeError:  # a part of it that another thread is at work with has grown meanwhile
            log.info("a finding is not kept for other processes: it is in use")
            return
        if len(data) > _MOST_BYTES:
            return
        draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(hmac.digest(_KEY, data, _SEAL))
                file.write(data)
            os.replace(draft, path)
            kept = sorted(path.parent.glob(f"{self._name}-*"), key=_age)
            for old in kept[self._most :]:
                old.unlink(missing_ok=True)
        except OSError as error:
            draft.unlink(missing_ok=True)
            log.warning("a finding is not kept for other processes: %s", error.strerror)


def expire(settings: Settings) -> None:
    """Remove the files whose time is over."""
    for path in (settings.staging_path / FINDINGS).glob("*-*"):
        if _age(path) > SECONDS:
            path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _read(path: Path) -> Any:
    """The value; None where there is none that can be used."""
    if _age(path) > SECONDS:
        return None
    try:
        whole = memoryview(path.read_bytes())
    except FileNotFoundError:
        return None
    data = whole[_SEAL_BYTES:]
    if not hmac.compare_digest(hmac.digest(_KEY, data, _SEAL), whole[:_SEAL_BYTES]):
        log.warning("a finding was not read: its file is damaged, or somebody else's")
        return None
    return pickle.loads(data)  # noqa: S301 - sealed by ourselves


@contextmanager
def _turn(descriptor: int) -> Iterator[None]:
    """Hold the lock file, waited for, and close it; after ``_PATIENCE_SECONDS`` go on without it."""
    ends = time.monotonic() + _PATIENCE_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= ends:
                    break
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
