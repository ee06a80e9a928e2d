"""How the steps of a run hand files on, on whatever machines they work.

Two folders are meant: ``scratch`` with staged sources, pairs and what else a step leaves for others, and ``evidence``
with the parts. Where all machines share them there is nothing to do; ``stored_exchange`` does it through an object
store.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.parts import Part
from recipe import KallaError

TOKEN = "shared-with-workers"  # noqa: S105 - a file's name


class Exchange(ABC):
    """Picklable: it travels with the work, and each process finds its own folders by it."""

    @property
    @abstractmethod
    def scratch(self) -> Path:
        """Where this process reads and writes scratch files."""

    @property
    @abstractmethod
    def evidence(self) -> Path:
        """Where this process writes parts."""

    def bring(self, *names: str) -> None:
        """Have scratch files here, as those who wrote them last left them. A name may hold ``*``, for what there is;
        one without must be there. Raises PipelineError ``run.scratch_missing``: whoever deletes scratch data, or a
        store that does not list all it has, must not turn pairs into unmatched rows."""
        self._fetch(names)
        for name in names:
            if "*" not in name and not (self.scratch / name).exists():
                raise PipelineError(
                    f"Scratch data that another step of the run left is gone: {name}.",
                    code="run.scratch_missing",
                    hint="Nothing was committed. See that nobody else deletes scratch data, and run again.",
                )

    @abstractmethod
    def _fetch(self, names: Iterable[str]) -> None:
        """Have here what there is of these names."""

    def seal(self, name: str, data: bytes) -> bytes:
        """What is written to the file ``name`` so that ``unseal`` takes it: objects that are to be unpickled. Nothing
        is added where nobody but the run's own processes can write."""
        return data

    def unseal(self, name: str, data: bytes) -> bytes:
        """The data behind what ``seal`` gave. Raises PipelineError ``run.scratch_changed`` for anything else."""
        return data

    @abstractmethod
    def send(self) -> None:
        """Let the other processes have what is finished here."""

    @abstractmethod
    def news(self) -> None:
        """For the driver, at any time: have what workers told of progress and failures here, if not for the last
        moment's."""

    @abstractmethod
    def collect(self, parts: Iterable[Part]) -> None:
        """For the driver, once all steps are done: have these parts here."""

    @abstractmethod
    def greet(self, token: str) -> dict[str, str]:
        """Leave a token where a worker must find it; gives the parameters by which the worker looks for it."""


@dataclass(frozen=True)
class SharedFolders(Exchange):
    """Two folders that lie at the same paths for everybody."""

    scratch_path: str
    evidence_path: str

    @property
    def scratch(self) -> Path:
        return Path(self.scratch_path)

    @property
    def evidence(self) -> Path:
        return Path(self.evidence_path)

    def _fetch(self, names: Iterable[str]) -> None:
        pass

    def send(self) -> None:
        pass

    def news(self) -> None:
        pass

    def collect(self, parts: Iterable[Part]) -> None:
        pass

    def greet(self, token: str) -> dict[str, str]:
        # Not the evidence itself, which becomes the output and holds nothing else, but the folder that it lies in.
        folders = {"scratch": self.scratch, "evidence": self.evidence.parent}
        for folder in folders.values():
            (folder / TOKEN).write_text(token, encoding="ascii")
        return {name: str(folder) for name, folder in folders.items()}


@contextlib.contextmanager
def sent(exchange: Exchange) -> Iterator[None]:
    """Send what was finished inside; after a failure what tells of it, as far as that can be."""
    try:
        yield
    except Exception:
        with contextlib.suppress(KallaError):
            exchange.send()
        raise
    exchange.send()
