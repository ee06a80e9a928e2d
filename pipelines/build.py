"""The Beam graph of a run: wiring and labels. What a step does stands in ``steps``.

    CreateSplits -> [StageSplits] -> Relations
      local:      -> MatchLocal
      broadcast:  -> PartsOfLargeSide -> [MatchParts]
      beam-sql:   -> [RowsLeft], [RowsRight] -> SqlJoin -> SqlFilter -> [KeepPairs] -> [ExplainRest]
                  of each SELECT, and MatchWhole in place of ExplainRest, where UNION ALL puts several together
      shuffle:    -> [CountKeys] -> HotKeys -> [KeyLeft], [KeyRight] -> CoGroupByKey -> MatchBuckets
    -> MergeShards -> [RouteRight] -> LeftSlices -> [AssembleLeft] -> Summarise

Steps in brackets run on many workers: their work is spread by its own number and their results are gathered under one
key. Both are plain GroupByKeys, which is all the barriers a run needs; what every worker must know lies among the
run's scratch files. Each round carries a ``None`` along, so that one with nothing to do still reaches the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pipelines import steps
from pipelines.beam_sql.rows import Batch
from pipelines.beam_sql.statement import SqlMatch
from pipelines.errors import recorded
from pipelines.exchange import Exchange, sent
from pipelines.loading import loading_beam
from pipelines.progress import told_in
from pipelines.run_state import RunState
from pipelines.stage import StageTask
from recipe import LEFT, RIGHT, PlanClass

with loading_beam():
    import apache_beam as beam
    from apache_beam.metrics import Metrics

_Numbered = tuple[int, Any]
_GATHERED = 0
_NOTHING = (-1, None)


class _Step(beam.DoFn):
    """Calls a function for each element, counts elements in and out, and leaves the first failure where the driver
    finds it. What a step leaves is sent before it counts as done."""

    def __init__(self, name: str, call: Callable[[Any], Iterable[Any]], exchange: Exchange) -> None:
        self._name, self._call, self._exchange = name, call, exchange

    def __dir__(self) -> list[str]:
        """Beam reads the signature of every method named here, dozens of times a run, to find state and timers."""
        return list(vars(_Step))

    def process(self, element: Any) -> Iterator[Any]:
        Metrics.counter("kalla", f"{self._name}-in").inc()
        folder = str(self._exchange.scratch)
        with sent(self._exchange), recorded(folder), told_in(folder):
            for result in self._call(element):
                Metrics.counter("kalla", f"{self._name}-out").inc()
                yield result


class _Wiring:
    """Labels and wraps the steps of one run."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def step(self, label: str, call: Callable[[Any], Iterable[Any]]) -> beam.PTransform:
        return label >> beam.ParDo(_Step(label, call, self.exchange))

    def once(
        self, numbered: beam.PCollection, label: str, call: Callable[[list[Any]], Iterable[Any]]
    ) -> beam.PCollection:
        """Call ``call`` once, with all results of the round before."""
        gathered = numbered | f"{label}Gather" >> beam.GroupByKey()
        return gathered | self.step(label, lambda found: call([item for item in found[1] if item is not None]))

    def each(self, numbered: beam.PCollection, label: str, call: Callable[[Any], Any]) -> beam.PCollection:
        """Call ``call`` for every (number, item), on whatever worker is free; gives what ``once`` takes."""

        def results(grouped: tuple[int, Iterable[Any]]) -> Iterator[_Numbered]:
            for item in grouped[1]:
                yield _GATHERED, None if item is None else call(item)

        return numbered | f"{label}Spread" >> beam.GroupByKey() | self.step(label, results)


def build(pipeline: beam.Pipeline, state: RunState, tasks: list[StageTask], sql_service: str | None = None) -> None:
    """Add the whole run to ``pipeline``; its summary is left in the scratch folder.

    ``sql_service`` is the address of the service that engine beam-sql needs.
    """
    wiring, exchange = _Wiring(state.exchange), state.exchange
    splits = pipeline | "CreateSplits" >> beam.Create(_numbered(tasks), reshuffle=False)
    staged = wiring.each(splits, "StageSplits", steps.stage)
    ready = wiring.once(staged, "Relations", lambda found: [steps.with_relations(state, found)])
    if not state.sql:
        shards = _STRATEGIES[state.strategy](wiring, ready)
    else:
        assert sql_service is not None, "engine beam-sql needs its service"
        kept = _pairs_by_sql(wiring, ready, state.sql, sql_service, state.buckets)
        shards = (_match_whole if state.plan.kind is PlanClass.GENERAL else _explain_rest)(wiring, kept)
    chunks = wiring.once(shards, "MergeShards", lambda found: _numbered(steps.merge(exchange, found).right))
    routed = wiring.each(chunks, "RouteRight", lambda chunk: steps.route(exchange, chunk))
    slices = wiring.once(routed, "LeftSlices", lambda found: _numbered(steps.left_slices(exchange, found)))
    assembled = wiring.each(slices, "AssembleLeft", lambda chunk: steps.assemble(exchange, chunk))
    wiring.once(assembled, "Summarise", lambda found: [steps.summarise(exchange, found)])


def _numbered(items: Iterable[Any]) -> list[_Numbered]:
    return [_NOTHING, *enumerate(items)]


def _local(wiring: _Wiring, ready: beam.PCollection) -> beam.PCollection:
    return ready | wiring.step("MatchLocal", lambda state: [(_GATHERED, steps.match_local(state))])


def _broadcast(wiring: _Wiring, ready: beam.PCollection) -> beam.PCollection:
    parts = ready | wiring.step("PartsOfLargeSide", lambda state: _numbered(steps.large_parts(state)))
    return wiring.each(parts, "MatchParts", steps.match_part)


def _shuffle(wiring: _Wiring, ready: beam.PCollection) -> beam.PCollection:
    exchange = wiring.exchange

    def keyed(side: str, label: str) -> beam.PCollection:
        def rows(grouped: tuple[int, Iterable[Any]]) -> Iterator[tuple[int, bytes]]:
            for item in grouped[1]:
                if item is None:
                    yield -1, b""
                else:
                    yield from steps.keyed_rows(item)

        files = spread | wiring.step(f"{label}Files", lambda state: _numbered(steps.side_files(state, side)))
        return files | f"{label}Spread" >> beam.GroupByKey() | wiring.step(label, rows)

    def match(grouped: tuple[int, dict[str, Iterable[bytes]]]) -> list[_Numbered]:
        bucket, rows = grouped
        return [(_GATHERED, None if bucket < 0 else steps.match_bucket(exchange, bucket, rows[LEFT], rows[RIGHT]))]

    counted = wiring.each(
        ready | wiring.step("FilesToCount", lambda state: _numbered(steps.countable_files(state))), "CountKeys",
        steps.count_keys_of,
    )  # fmt: skip
    spread = wiring.once(counted, "HotKeys", lambda found: [steps.find_hot_keys(exchange, found)])
    sides = {LEFT: keyed(LEFT, "KeyLeft"), RIGHT: keyed(RIGHT, "KeyRight")}
    return sides | "GroupByBucket" >> beam.CoGroupByKey() | wiring.step("MatchBuckets", match)


def _pairs_by_sql(
    wiring: _Wiring, ready: beam.PCollection, matches: Sequence[SqlMatch], service: str, places: int
) -> beam.PCollection:
    """Pairs by Beam SQL, gathered by the place of their left row."""
    from pipelines.beam_sql.transform import sql_pairs

    exchange = wiring.exchange

    def batches(side: str, label: str, number: int) -> beam.PCollection:
        def rows(grouped: tuple[int, Iterable[Any]]) -> Iterator[Batch]:
            for item in grouped[1]:
                if item is not None:
                    yield from steps.rows_for_sql(item, number)

        files = ready | wiring.step(f"{label}Files", lambda state: _numbered(steps.side_files(state, side)))
        return files | f"{label}Spread" >> beam.GroupByKey() | wiring.step(label, rows)

    def placed(match: SqlMatch, number: int) -> beam.PCollection:
        label = str(number + 1) if len(matches) > 1 else ""
        sides = {LEFT: batches(LEFT, f"RowsLeft{label}", number), RIGHT: batches(RIGHT, f"RowsRight{label}", number)}
        found = sql_pairs(sides, match, service, label)
        return found | f"PlacePairs{label}" >> beam.Map(lambda row: (row.lr % places, (row.lr, row.rr)))

    def keep(grouped: tuple[int, Iterable[Any]]) -> list[_Numbered]:
        place, pairs = grouped
        return [(_GATHERED, None if place < 0 else steps.keep_found(exchange, place, pairs))]

    nothing = ready | wiring.step("NoPairs", lambda _: [_NOTHING])
    all_pairs = (*(placed(match, number) for number, match in enumerate(matches)), nothing)
    gathered = all_pairs | "AllPairs" >> beam.Flatten() | "PairsByPlace" >> beam.GroupByKey()
    return gathered | wiring.step("KeepPairs", keep)


def _explain_rest(wiring: _Wiring, kept: beam.PCollection) -> beam.PCollection:
    """What is to be said of the rows that are in no pair."""
    rest = wiring.once(kept, "RestFiles", lambda found: _numbered(steps.explainable_files(wiring.exchange, found)))
    return wiring.each(rest, "ExplainRest", steps.explain_part)


def _match_whole(wiring: _Wiring, kept: beam.PCollection) -> beam.PCollection:
    """The result of a statement that runs whole, held against the pairs."""
    return wiring.once(kept, "MatchWhole", lambda found: [(_GATHERED, steps.match_checked(wiring.exchange, found))])


_STRATEGIES: dict[str, Callable[[_Wiring, beam.PCollection], beam.PCollection]] = {
    "local": _local,
    "broadcast": _broadcast,
    "shuffle": _shuffle,
}
