"""filter_batch against ``recipe.passes``, the definition, on random rows and conditions."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.arrow_filters import BatchFilter, filter_batch
from recipe import Column, CsvFormat, FilterCondition, Kind, RecipeError, check_filters, passes

UTC = dt.UTC
texts = st.sampled_from(
    ["", "a", "A", "ab", "é", "\U0001f600", "\uffff",
     "a\nb", "%", "_", "\\", "a%b", ".*", "10", "9", "007", "-1.5",
     "+2", "1e3", "1.50", "1.", ".5", " 7 ", "\u22123", "1,5", "1.234,5", "1,234.5", "1234", "0.12345678901",
     "9" * 28, "9" * 29, "NaN", "inf", "0x10", "1_000", "١"]
) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)  # fmt: skip
numbers = st.sampled_from(
    [Decimal(n) for n in ("0", "-0", "1", "1.5", "-1.5", "7", "9", "10", "1000", "1234.5",
     "0.1", "1e-11", "1e40", "-1e40", "1e400",
     "127", "128", "9223372036854775808", "0.10", "16777217", "1e308", "5e-324")]
) | st.decimals(-1000, 1000, places=2)  # fmt: skip
days = st.dates(dt.date(1999, 12, 25), dt.date(2000, 1, 5))
moments = st.datetimes(dt.datetime(1999, 12, 31, 23), dt.datetime(2000, 1, 1, 1))
doubles = st.sampled_from([0.1, 0.5, -0.0, 1.5, 1e300, float("inf"), float("-inf"), float("nan"), 0.1 + 0.2, 5e-324])

KINDS: dict[str, tuple[Column, pa.DataType, Any]] = {
    "text": (Column("c", Kind.TEXT), pa.string(), texts),
    "tiny": (Column("c", Kind.INTEGER), pa.int8(), st.integers(-128, 127)),
    "integer": (Column("c", Kind.INTEGER), pa.int64(),
                st.integers(-10, 10) | st.integers(-(2**63), 2**63 - 1)),
    "decimal": (Column("c", Kind.DECIMAL, precision=9, scale=2), pa.decimal128(9, 2),
                st.decimals(-2000, 2000, places=2)),
    "double": (Column("c", Kind.DOUBLE), pa.float64(), doubles | st.floats()),
    "date": (Column("c", Kind.DATE), pa.date32(), days),
    "timestamp": (Column("c", Kind.TIMESTAMP), pa.timestamp("us"), moments),
    "timestamptz": (Column("c", Kind.TIMESTAMPTZ), pa.timestamp("us", tz="UTC"),
                    moments.map(lambda m: m.replace(tzinfo=UTC))),
    "boolean": (Column("c", Kind.BOOLEAN), pa.bool_(), st.booleans()),
}  # fmt: skip
patterns = st.text(st.sampled_from("a%_\\é.b\n(["), max_size=6)


def operands(name: str) -> st.SearchStrategy[Any]:
    """Scalars that the column accepts."""
    written = {
        "text": texts | numbers,
        "date": days.map(str),
        "timestamp": moments.map(lambda m: m.isoformat()),
        "timestamptz": moments.map(lambda m: m.isoformat() + "+01:00"),
        "boolean": st.sampled_from(["true", "false"]),
    }
    return written.get(name, numbers | numbers.map(lambda n: format(n, "f")))


def conditions(name: str) -> st.SearchStrategy[FilterCondition]:
    scalar = operands(name)
    text, number = scalar.filter(lambda v: isinstance(v, str)), numbers
    lists = st.lists(text, min_size=1, max_size=4)
    pairs = st.lists(text, min_size=2, max_size=2)
    if name in ("text", "tiny", "integer", "decimal", "double"):
        lists |= st.lists(number, min_size=1, max_size=4)
        pairs |= st.lists(number, min_size=2, max_size=2)
    choices = [
        st.tuples(st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"]), scalar),
        st.tuples(st.just("in"), lists),
        st.tuples(st.just("between"), pairs),
    ]
    if name == "text":
        choices.append(st.tuples(st.just("like"), patterns))
    return st.one_of(choices).map(lambda c: FilterCondition(column="c", op=c[0], value=c[1]))


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=200)
@given(data=st.data())
def test_filter_batch_is_passes(name: str, data: st.DataObject) -> None:
    column, arrow, values = KINDS[name]
    cells = data.draw(st.lists(st.none() | values, max_size=8), label="cells")
    filters = data.draw(st.lists(conditions(name), min_size=1, max_size=2), label="filters")
    decimal, thousands = data.draw(st.sampled_from([(".", ""), (".", ","), (",", "."), (",", " "), (".", "'")]))
    batch = pa.RecordBatch.from_arrays([pa.array(cells, arrow), pa.array(range(len(cells)), pa.int64())], ["c", "row"])
    schema = (column, Column("row", Kind.INTEGER))
    if check_filters(filters, schema):
        with pytest.raises(RecipeError):
            filter_batch(batch, filters, schema)
        return
    csv_format = CsvFormat(decimal=decimal, thousands=thousands)
    expected = [i for i, cell in enumerate(cells) if passes({"c": cell, "row": i}, filters, schema, decimal, thousands)]
    kept = filter_batch(batch, filters, schema, csv_format)
    assert kept.column("row").to_pylist() == expected
    assert kept.schema == batch.schema


def test_no_filters_keep_the_batch() -> None:
    batch = pa.RecordBatch.from_pydict({"c": [1, None]})
    assert filter_batch(batch, [], (Column("c", Kind.INTEGER),)) is batch


def test_a_filter_is_checked_once_and_used_for_many_batches() -> None:
    schema = (Column("c", Kind.TEXT),)
    keep = BatchFilter.of([FilterCondition(column="c", op="gt", value=Decimal("1.5"))], schema)
    for cells in (["1", "2"], [], [None], ["x", "1.6", "2e0"]):
        batch = pa.RecordBatch.from_arrays([pa.array(cells, pa.string())], ["c"])
        assert keep(batch).column("c").to_pylist() == [c for c in cells if c in ("2", "1.6", "2e0")]


def test_a_pattern_too_large_for_arrow() -> None:
    text = "ab" * 60_000
    batch = pa.RecordBatch.from_pydict({"c": [text, text[:-1], None]})
    condition = FilterCondition(column="c", op="like", value=text.replace("b", "_"))
    assert filter_batch(batch, [condition], (Column("c", Kind.TEXT),)).num_rows == 1
