"""The one shape of every error that reaches a person or a program.

    KallaError
    ├── RecipeError            recipe: the document, its SQL, its filters
    ├── udfs.UdfError          a match function got arguments it cannot work with
    ├── connectors.ConnectorError   a source could not be opened or read
    └── pipelines.PipelineError     a run could not be planned, executed or committed

Each error has a stable ``code``, one sentence that says what happened, a ``hint`` that says what to do, and
``details``: a list of ``{"path", "message", "code"}`` where several places are wrong at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a document, and where."""

    path: str
    message: str
    code: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class KallaError(Exception):
    """Base of all errors of the product.

    Constructible from one positional string, so that it survives pickling and process borders;
    everything else is set by keyword.
    """

    default_code: ClassVar[str] = "internal.error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        details: Iterable[Problem | Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.details: list[dict[str, Any]] = [d.as_dict() if isinstance(d, Problem) else dict(d) for d in details]

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}" + (f" {self.hint}" if self.hint else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.code, self.hint, self.details)

    def as_dict(self) -> dict[str, Any]:
        """The body that the CLI prints with ``--json`` and the services send."""
        message = self.message + (f" {self.hint}" if self.hint else "")
        return {"code": self.code, "message": message, "details": self.details}


def _rebuild(cls: type[KallaError], message: str, code: str, hint: str, details: list[dict[str, Any]]) -> KallaError:
    return cls(message, code=code, hint=hint, details=details)


class RecipeError(KallaError):
    """The recipe cannot be used as written; ``details`` names every problem at once."""

    default_code = "recipe.invalid"

    @classmethod
    def from_problems(cls, problems: Iterable[Problem]) -> RecipeError:
        found = list(problems)
        first = found[0]
        rest = "" if len(found) == 1 else f" (and {len(found) - 1} more)"
        return cls(f"{first.path}: {first.message}{rest}" if first.path else first.message + rest, details=found)
