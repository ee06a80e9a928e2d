"""The Beam graph of a run: wiring and labels. What a step does stands in ``steps`` under the name it has here.

CreateSplits -> StageSplits -> Relations
  local:      -> MatchLocal
  broadcast:  -> PartsOfLargeSide -> MatchParts
  shuffle:    -> KeyLeft, KeyRight -> CoGroupByKey -> MatchBuckets
-> MergeShards -> RouteRight -> AssembleLeft -> Summarise
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipelines import progress, steps
from pipelines.errors import recorded
from pipelines.stage import Staged, StageTask, stage_split
from pipelines.steps import RunState
from recipe import LEFT, RIGHT


class _Step(beam.DoFn):
    """Calls a function for each element, counts elements in and out, and leaves the first failure where the driver
    finds it."""

    def __init__(self, name: str, call: Callable[..., Iterable[Any]], folder: str) -> None:
        self._name, self._call, self._folder = name, call, folder

    def process(self, element: Any, *sides: Any) -> Iterator[Any]:
        Metrics.counter("kalla", f"{self._name}-in").inc()
        with recorded(self._folder):
            for result in self._call(element, *sides):
                Metrics.counter("kalla", f"{self._name}-out").inc()
                yield result


def build(pipeline: beam.Pipeline, state: RunState, tasks: list[StageTask]) -> None:
    """Add the whole run to ``pipeline``; its summary is left in the scratch folder."""

    def step(name: str, call: Callable[..., Iterable[Any]], *sides: Any) -> beam.ParDo:
        return beam.ParDo(_Step(name, call, state.scratch), *sides)

    ready = (
        pipeline
        | "CreateSplits" >> beam.Create(tasks)
        | "SpreadSplits" >> beam.Reshuffle()
        | "StageSplits" >> step("stage-splits", _stage)
        | "AllStaged" >> beam.combiners.ToList()
        | "Relations" >> step("relations", lambda staged: [steps.with_relations(state, staged)])
    )
    one = beam.pvalue.AsSingleton
    made = (
        _STRATEGIES[state.strategy](ready, step)
        | "AllShards" >> beam.combiners.ToList()
        | "MergeShards" >> step("merge-shards", lambda _, held: [steps.merge(held)], one(ready))
    )
    routed = (
        made
        | "RightChunks" >> step("right-chunks", lambda found: found.right)
        | "SpreadRight" >> beam.Reshuffle()
        | "RouteRight" >> step("route-right", lambda chunk, held: [steps.route(chunk, held)], one(made))
        | "AllRouted" >> beam.combiners.ToList()
    )
    assembled = (
        routed
        | "LeftSlices" >> step("left-slices", lambda _, held: held.left, one(made))
        | "SpreadLeft" >> beam.Reshuffle()
        | "AssembleLeft" >> step("assemble-left", lambda chunk, held: [steps.assemble(chunk, held)], one(made))
        | "AllAssembled" >> beam.combiners.ToList()
    )
    _ = assembled | "Summarise" >> step(
        "summarise",
        lambda left, held, made_, right: _only(steps.summarise(held, made_, left, right)),
        one(ready),
        one(made),
        one(routed),
    )


def _stage(task: StageTask) -> list[Staged]:
    progress.emit("progress", stage="staging", source=task.alias, progress=0.0)
    staged = stage_split(task)
    progress.emit("staged", source=task.alias, rows=staged.rows)
    return [staged]


def _only(_: object) -> Iterable[Any]:
    """A last step has no output."""
    return ()


def _local(ready: beam.PCollection, step: Callable[..., beam.ParDo]) -> beam.PCollection:
    return ready | "MatchLocal" >> step("match-local", lambda state: [steps.match_local(state)])


def _broadcast(ready: beam.PCollection, step: Callable[..., beam.ParDo]) -> beam.PCollection:
    held = beam.pvalue.AsSingleton(ready)
    return (
        ready
        | "PartsOfLargeSide" >> step("parts", steps.large_parts)
        | "SpreadParts" >> beam.Reshuffle()
        | "MatchParts" >> step("match-parts", lambda part, state: [steps.match_part(part, state)], held)
    )


def _shuffle(ready: beam.PCollection, step: Callable[..., beam.ParDo]) -> beam.PCollection:
    held = beam.pvalue.AsSingleton(ready)

    def keyed(side: str, label: str) -> beam.PCollection:
        return (
            ready
            | f"{label}Files" >> step(f"files-{side}", lambda state: state.relations[side].each_file())
            | f"{label}Spread" >> beam.Reshuffle()
            | label >> step(f"key-{side}", steps.keyed_rows, held)
        )

    return (
        {LEFT: keyed(LEFT, "KeyLeft"), RIGHT: keyed(RIGHT, "KeyRight")}
        | "GroupByBucket" >> beam.CoGroupByKey()
        | "MatchBuckets" >> step("match-buckets", _match_bucket, held)
    )


def _match_bucket(grouped: tuple[int, dict[str, Iterable[bytes]]], state: RunState) -> Iterator[int]:
    bucket, rows = grouped
    return steps.match_bucket(bucket, rows[LEFT], rows[RIGHT], state)


_STRATEGIES: dict[str, Callable[..., beam.PCollection]] = {
    "local": _local,
    "broadcast": _broadcast,
    "shuffle": _shuffle,
}
