"""Which strategy and engine a run takes, and why: decided from the plan, the sizes and the runner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.beam_sql.statement import SqlMatch, sql_matches
from recipe import MatchPlan, PlanClass, RecipeError

# A side up to this size is sent whole to every worker.
BROADCAST_BYTES = 64 << 20


@dataclass(frozen=True)
class RunPlan:
    """``reasons`` are sentences, one for each choice; ``sql`` is what engine beam-sql is given, empty for the other."""

    strategy: str
    engine: str
    runner: str
    partitions: int
    plan_class: str
    reasons: tuple[str, ...]
    sql: tuple[SqlMatch, ...] = ()

    @property
    def statements(self) -> list[str]:
        """What Beam SQL is asked."""
        return [statement for match in self.sql for statement in match.statements]

    def as_dict(self) -> dict[str, Any]:
        statements = {"sql": self.statements} if self.sql else {}
        return {
            "class": self.plan_class,
            "strategy": self.strategy,
            "engine": self.engine,
            "runner": self.runner,
            "partitions": self.partitions,
            "reasons": list(self.reasons),
            **statements,
        }


def choose(
    plan: MatchPlan, strategy: str, engine: str, runner: str, partitions: int,
    left_bytes: int | None, right_bytes: int | None, runner_reason: str = "",
) -> RunPlan:  # fmt: skip
    """The run's plan. Raises RecipeError ``run.strategy_impossible`` for a strategy that statement or engine do not
    allow, ``run.sql_unsupported`` for a statement that engine beam-sql cannot run."""
    reasons: list[str] = []
    sql: tuple[SqlMatch, ...] = ()
    if engine == "beam-sql":
        sql = sql_matches(plan)
        chosen = _sql_strategy(strategy, reasons)
        reasons.append("Engine beam-sql: asked for; Beam SQL finds the pairs.")
    else:
        chosen = _strategy(plan, strategy, runner, left_bytes, right_bytes, reasons)
        why = "asked for." if engine == "vectorized" else "it starts at once and joins whole batches of columns."
        reasons.append(f"Engine vectorized: {why}")
    if runner_reason:
        reasons.append(runner_reason)
    taken = "beam-sql" if sql else "vectorized"
    return RunPlan(chosen, taken, runner, partitions, str(plan.kind), tuple(reasons), sql)


def _sql_strategy(asked: str, reasons: list[str]) -> str:
    if asked not in ("auto", "shuffle"):
        raise RecipeError(
            f"Engine beam-sql brings equal keys together itself; it has no strategy {asked}.",
            code="run.strategy_impossible",
            hint="Leave --strategy out, or use --engine vectorized.",
        )
    reasons.append("Strategy shuffle: Beam SQL brings equal keys together.")
    return "shuffle"


def _strategy(
    plan: MatchPlan, asked: str, runner: str, left_bytes: int | None, right_bytes: int | None, reasons: list[str]
) -> str:
    if asked != "auto":
        _check_possible(plan, asked)
        reasons.append(f"Strategy {asked}: asked for.")
        return asked
    if plan.kind is PlanClass.GENERAL:
        reasons.append("Strategy local: the statement groups, unites or ranks rows, so it runs whole in one place.")
        return "local"
    if runner == "direct":
        reasons.append("Strategy local: one machine, so nothing is gained by moving rows between workers.")
        return "local"
    sizes = [size for size in (left_bytes, right_bytes) if size is not None]
    if sizes and min(sizes) <= BROADCAST_BYTES:
        reasons.append("Strategy broadcast: one side is small enough to send to every worker.")
        return "broadcast"
    if plan.kind is PlanClass.EQUI:
        reasons.append("Strategy shuffle: both sides are large, and equal keys can be brought together.")
        return "shuffle"
    reasons.append("Strategy broadcast: the statement has no equality to shuffle by.")
    return "broadcast"


def _check_possible(plan: MatchPlan, strategy: str) -> None:
    if strategy == "shuffle" and plan.kind is not PlanClass.EQUI:
        raise RecipeError(
            "The shuffle strategy needs an equality between the two sides in match_sql.",
            code="run.strategy_impossible",
            hint="Use --strategy local.",
        )
    if strategy == "broadcast" and plan.kind is PlanClass.GENERAL:
        raise RecipeError(
            "The broadcast strategy cannot run a statement that groups, unites or ranks rows.",
            code="run.strategy_impossible",
            hint="Use --strategy local.",
        )
