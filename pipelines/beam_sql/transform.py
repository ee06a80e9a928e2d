"""Beam's part of the engine beam-sql: SqlTransforms over rows with a schema. Importing it brings Beam in."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, setcontext
from typing import Any, Optional

import apache_beam as beam
import grpc
from apache_beam.transforms.sql import SqlTransform
from apache_beam.typehints.row_type import RowTypeConstraint

from pipelines.beam_sql.rows import Batch
from pipelines.beam_sql.statement import SqlKind, SqlMatch
from pipelines.errors import PipelineError
from pipelines.runners.causes import shortened
from recipe import LEFT, RIGHT

_TYPES: Mapping[SqlKind, Any] = {
    SqlKind.TEXT: Optional[str],  # noqa: UP045 - Beam reads this spelling alone
    SqlKind.NUMBER: Optional[Decimal],  # noqa: UP045
    SqlKind.BOOLEAN: Optional[bool],  # noqa: UP045
}
_LABELS = {LEFT: "LeftSchema", RIGHT: "RightSchema"}
# Python rounds to 28 digits unless told otherwise, also where Beam writes a decimal.
_DIGITS = 80


def sql_pairs(
    batches: Mapping[str, beam.PCollection], match: SqlMatch, service: str, label: str = ""
) -> beam.PCollection:
    """Rows ``lr, rr`` of every pair, from the batches that ``rows.sql_rows`` gives for each side. ``label`` tells
    several statements of a run apart.

    The service at host:port expands the statements here and now. Raises PipelineError ``run.sql_refused`` for one that
    Beam SQL does not take after all, ``run.sql_service_unreachable``.
    """
    tables = {side: _with_schema(batches[side], side, match, label) for side in (LEFT, RIGHT)}
    try:
        found = tables | f"SqlJoin{label}" >> _transform(match.join, service)
        if match.residual is None:
            return found
        return found | f"SqlFilter{label}" >> _transform(match.residual, service)
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        raise PipelineError(
            f"The service for Beam SQL at {service} does not answer: {shortened(str(error))}",
            code="run.sql_service_unreachable",
            hint="Start it, or correct KALLA_SQL_SERVICE; without it a run on this machine starts its own.",
        ) from error
    except RuntimeError as error:
        raise PipelineError(
            f"Beam SQL does not take the statement: {shortened(str(error))}",
            code="run.sql_refused",
            hint="Use --engine vectorized, and please report this with the recipe.",
        ) from error


def _with_schema(batches: beam.PCollection, side: str, match: SqlMatch, label: str) -> beam.PCollection:
    fields: list[tuple[str, Any]] = [("rid", int), *((f"k{i}", str) for i in range(match.keys))]
    fields += [(lifted.name, _TYPES[lifted.kind]) for lifted in match.lifted(side)]
    names = [name for name, _ in fields]

    def named(batch: Batch) -> Iterator[Any]:
        setcontext(Context(prec=_DIGITS))  # of this thread, which writes what it is given
        row: Any = namedtuple("SqlRow", names)  # type: ignore[misc]  # made here, as a class made at run time cannot travel
        return map(row._make, batch)

    rows = batches | f"{_LABELS[side]}{label}" >> beam.FlatMap(named)
    rows.element_type = RowTypeConstraint.from_fields(
        fields
    )  # pipelines here are not type-checked: nothing else says it
    return rows


def _transform(query: str, service: str) -> SqlTransform:
    transform = SqlTransform(query, expansion_service=service)
    transform.get_type_hints()  # makes them, which the type check would do; expansion asks for them
    return transform
