"""What every connector must do, written once. Each connector's test module subclasses ``ConnectorContract``.

A subclass gives two fixtures, ``make`` and ``missing``, and says in class attributes what its source cannot
hold:

    class TestThing(ConnectorContract):
        @pytest.fixture
        def make(self, tmp_path):
            return lambda columns, rows: connector over a source with exactly these columns and rows

        @pytest.fixture
        def missing(self, tmp_path):
            return connector over a source that does not exist
"""

from __future__ import annotations

import contextlib
import datetime as dt
import pickle
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from connectors import Connector, ConnectorError, Preview
from recipe import Column, FilterCondition, FilterOp, Kind, RecipeError, format_cell, passes

Row = tuple[Any, ...]
Make = Callable[[Sequence[Column], Sequence[Row]], Connector]

UTC = dt.UTC
COLUMNS = (
    Column("id", Kind.INTEGER),
    Column("code", Kind.TEXT),
    Column("amount", Kind.DECIMAL, precision=18, scale=2),
    Column("ratio", Kind.DOUBLE),
    Column("day", Kind.DATE),
    Column("at", Kind.TIMESTAMP),
    Column("at_utc", Kind.TIMESTAMPTZ),
    Column("flag", Kind.BOOLEAN),
)
ROWS: tuple[Row, ...] = (
    (1, "007", Decimal("100.00"), 0.5, dt.date(2026, 1, 31), dt.datetime(2026, 1, 31, 12, 0, 1),
     dt.datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC), True),
    (2, "a,b;c|d\te", Decimal("-0.01"), -1.25, dt.date(1999, 12, 31), dt.datetime(1999, 12, 31),
     dt.datetime(1999, 12, 31, tzinfo=UTC), False),
    (3, 'say "hi"', None, None, None, None, None, None),
    (4, None, Decimal("9999999999999999.99"), 1e300, dt.date(2026, 2, 1),
     dt.datetime(2026, 2, 1, 0, 0, 0, 123456), dt.datetime(2026, 2, 1, 0, 0, 0, 123456, tzinfo=UTC), True),
    (5, "line one\nline two", Decimal("0.00"), 0.1, dt.date(2026, 2, 1), dt.datetime(2026, 2, 1),
     dt.datetime(2026, 2, 1, tzinfo=UTC), None),
    (None, "ünï ✓ 数", Decimal("100.01"), 2.0, dt.date(2026, 3, 1), dt.datetime(2026, 3, 1, 23, 59, 59),
     dt.datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), False),
    (7, "100%_sure\\", Decimal("12.30"), 3.5, None, None, None, True),
)  # fmt: skip

FILTERS: tuple[tuple[FilterCondition, ...], ...] = tuple(
    tuple(FilterCondition(column=c, op=o, value=v) for c, o, v in conditions)
    for conditions in [
        [("id", "eq", Decimal(1))],
        [("id", "neq", Decimal(1))],
        [("code", "eq", "007")],
        [("code", "neq", "007")],
        [("code", "eq", Decimal(7))],
        [("code", "gte", "b")],
        [("code", "like", "%i%")],
        [("code", "like", "100\\%\\_s_re\\\\")],
        [("code", "in", ["007", 'say "hi"', "nothing"])],
        [("amount", "gt", Decimal("0"))],
        [("amount", "lte", Decimal("100.00"))],
        [("amount", "between", [Decimal("-0.01"), Decimal("100.005")])],
        [("amount", "in", [Decimal("100"), Decimal("12.3")])],
        [("id", "gt", Decimal(1)), ("id", "lt", Decimal("4.5")), ("code", "neq", "zzz")],
        [("id", "eq", Decimal("1.5"))],
        [("id", "gt", Decimal("1e30"))],
    ]
)
TYPED_FILTERS: tuple[tuple[FilterCondition, ...], ...] = tuple(
    tuple(FilterCondition(column=c, op=o, value=v) for c, o, v in conditions)
    for conditions in [
        [("ratio", "lt", Decimal("0.5"))],
        [("ratio", "eq", Decimal("0.1"))],
        [("day", "gte", "2026-02-01")],
        [("day", "between", ["1999-12-31", "2026-01-31"])],
        [("at", "lt", "2026-02-01T00:00:00.2")],
        [("at_utc", "gte", "2026-02-01T00:00:00Z")],
        [("flag", "eq", "true")],
        [("flag", "neq", "true")],
        [("amount", "eq", "100.00")],
    ]
)


AWKWARD_COLUMNS = (COLUMNS[0], COLUMNS[1], COLUMNS[2], COLUMNS[4], COLUMNS[6], COLUMNS[7])
_TEXTS = (
    None,
    "",
    " ",
    "007",
    "7",
    "7.0",
    " 7 ",
    "-0",
    "1e2",
    "a",
    "A",
    "ä",
    "a%b",
    "a_b",
    "a\\b",
    "x\ny",
    "2026-01-31",
    "NULL",
)
_AMOUNTS = (None, "0.00", "-0.01", "0.01", "7.00", "100.00", "9999999999999999.99", "-9999999999999999.99")
_DAYS = (None, "1999-12-31", "2000-02-29", "2026-01-31", "2026-02-01")
AWKWARD_ROWS: tuple[Row, ...] = tuple(
    (
        None if i == 5 else i,
        text,
        None if (amount := _AMOUNTS[i % len(_AMOUNTS)]) is None else Decimal(amount),
        None if (day := _DAYS[i % len(_DAYS)]) is None else dt.date.fromisoformat(day),
        None if day is None else dt.datetime.fromisoformat(f"{day}T12:00:00.5+00:00"),
        (True, False, None)[i % 3],
    )
    for i, text in enumerate(_TEXTS)
)
_COMPARISONS = ("eq", "neq", "gt", "gte", "lt", "lte")
_VALUES: dict[str, tuple[Any, ...]] = {
    "id": (Decimal(0), Decimal("4.5"), Decimal("-1e30")),
    "code": ("", " ", "007", "a", "ä", "zz", Decimal(7), Decimal(0), Decimal("100.0"), Decimal("0.5")),
    "amount": (Decimal(0), Decimal("0.005"), Decimal("100"), "7.00", Decimal("1e20"), Decimal("9999999999999999.99")),
    "day": ("2000-02-29", "2026-01-31", "1900-01-01"),
    "at_utc": ("2026-01-31T12:00:00.5Z", "2026-01-31T13:00:00.5+01:00", "2026-01-31"),
    "flag": ("true", "false"),
}
_PAIRS: tuple[tuple[str, list[Any]], ...] = (
    ("id", [Decimal(2), Decimal("6.5")]), ("id", [Decimal(6), Decimal(2)]), ("code", ["", "a"]), ("code", ["a", "A"]),
    ("code", [Decimal(0), Decimal(7)]), ("amount", [Decimal("-0.01"), Decimal("0.01")]), ("amount", ["0", "100"]),
    ("day", ["1999-12-31", "2026-01-31"]), ("at_utc", ["2000-01-01", "2026-01-31T12:00:00.5Z"]),
)  # fmt: skip
_LISTS: tuple[tuple[str, list[Any]], ...] = (
    ("id", [Decimal(1), Decimal("1.5"), Decimal(17)]), ("code", ["", "A", "nothing"]), ("code", [Decimal(7), Decimal(0)]),
    ("amount", [Decimal("0.005")]), ("amount", [Decimal(7), Decimal("100")]), ("day", ["2026-02-01"]),
)  # fmt: skip
AWKWARD_FILTERS: tuple[FilterCondition, ...] = (
    *(FilterCondition(column=c, op=o, value=v) for o in _COMPARISONS for c, values in _VALUES.items() for v in values),
    *(FilterCondition(column=c, op="between", value=v) for c, v in _PAIRS),
    *(FilterCondition(column=c, op="in", value=v) for c, v in _LISTS),
    *(
        FilterCondition(column="code", op="like", value=v)
        for v in ("", "%", "_", "a%", "%7%", "a\\%b", "a\\_b", "%\\\\%", "x_y")
    ),
)


def read_rows(connector: Connector, splits: int = 1, filters: Sequence[FilterCondition] = ()) -> list[Row]:
    """All rows, split by split, with every batch checked against ``arrow_schema``."""
    rows: list[Row] = []
    schema = connector.arrow_schema()
    with connector.open_snapshot() as snapshot:
        for split in connector.plan_splits(snapshot, splits):
            for batch in connector.read(snapshot, split, filters):
                assert batch.schema.equals(schema)
                batch.validate(full=True)
                rows += rows_of(batch)
    return rows


def rows_of(batch: pa.RecordBatch) -> list[Row]:
    """The rows as tuples, also where the batch has no column."""
    columns = [column.to_pylist() for column in batch.columns]
    return list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows


class ConnectorContract:
    """The shared tests. ``typed`` False means that the source holds text only (CSV)."""

    typed: ClassVar[bool] = True
    awkward_filters: ClassVar[int | None] = None  # how many of AWKWARD_FILTERS, where each is a request; None: all
    keeps_empty_text: ClassVar[bool] = True  # False: an empty text reads as NULL
    missing_code: ClassVar[str] = "source.not_found"
    secret: ClassVar[str | None] = None  # a secret that the connector was given
    identity_keys: ClassVar[frozenset[str]] = frozenset()  # what the snapshot's identity must name

    @pytest.fixture
    def make(self) -> Make:
        raise NotImplementedError("the subclass gives this fixture")

    @pytest.fixture
    def missing(self) -> Connector:
        raise NotImplementedError("the subclass gives this fixture")

    def expected(self, columns: Sequence[Column], rows: Sequence[Row]) -> list[Row]:
        """The rows as this source gives them back, cells in the order of ``seen``."""
        if self.typed:
            return [tuple(row) for row in rows]
        nothing = "" if self.keeps_empty_text else None
        return [tuple(nothing if (text := format_cell(value)) == "" else text for value in row) for row in rows]

    def seen(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        """The columns as this source describes them, in its order: name and kind."""
        return tuple(columns) if self.typed else tuple(Column(c.name, Kind.TEXT) for c in columns)

    def test_schema_names_and_kinds(self, make: Make) -> None:
        connector = make(COLUMNS, ROWS)
        seen = self.seen(COLUMNS)
        assert [(c.name, c.kind, c.precision, c.scale) for c in connector.schema()] == [
            (c.name, c.kind, c.precision, c.scale) for c in seen
        ]
        assert connector.arrow_schema().names == [c.name for c in seen]

    def test_every_value_arrives(self, make: Make) -> None:
        assert read_rows(make(COLUMNS, ROWS)) == self.expected(COLUMNS, ROWS)

    @pytest.mark.parametrize("splits", [*range(1, 18)])
    def test_any_number_of_splits_gives_the_same_rows_in_order(self, make: Make, splits: int) -> None:
        rows = [(i, f"row {i}" if i % 7 else "two\nlines", Decimal(i) / 100) for i in range(60)]
        columns = (COLUMNS[0], COLUMNS[1], COLUMNS[2])
        connector = make(columns, rows)
        assert read_rows(connector, splits) == self.expected(columns, rows)

    def test_more_splits_than_rows(self, make: Make) -> None:
        assert read_rows(make(COLUMNS, ROWS), 100) == self.expected(COLUMNS, ROWS)

    @pytest.mark.parametrize("splits", [1, 3])
    def test_no_rows(self, make: Make, splits: int) -> None:
        connector = make(COLUMNS, [])
        assert read_rows(connector, splits) == []
        assert connector.count() == 0
        assert connector.preview(5) == Preview(connector.schema(), [], 0)

    def test_one_row(self, make: Make) -> None:
        assert read_rows(make(COLUMNS, ROWS[:1]), 4) == self.expected(COLUMNS, ROWS[:1])

    def test_empty_text(self, make: Make) -> None:
        columns = (COLUMNS[0], COLUMNS[1])
        place = [c.name for c in self.seen(columns)].index("code")
        found = read_rows(make(columns, [(1, ""), (2, None)]))
        assert [row[place] for row in found] == ["" if self.keeps_empty_text else None, None]

    @pytest.mark.parametrize("filters", FILTERS, ids=lambda f: " and ".join(f"{c.column} {c.op}" for c in f))
    def test_filters_mean_the_same_as_everywhere(self, make: Make, filters: tuple[FilterCondition, ...]) -> None:
        self.check_filters(make(COLUMNS, ROWS), filters)

    @pytest.mark.parametrize("filters", TYPED_FILTERS, ids=lambda f: " and ".join(f"{c.column} {c.op}" for c in f))
    def test_typed_filters_mean_the_same(self, make: Make, filters: tuple[FilterCondition, ...]) -> None:
        self.check_filters(make(COLUMNS, ROWS), filters)

    def test_the_nine_operators_over_awkward_cells(self, make: Make) -> None:
        """Every operator beside NULLs, empty texts, numbers in texts, decimals at the edge and days, against plain
        Python."""
        connector = make(AWKWARD_COLUMNS, AWKWARD_ROWS)
        schema = connector.schema()
        names = [column.name for column in schema]
        rows = [dict(zip(names, row, strict=True)) for row in self.expected(AWKWARD_COLUMNS, AWKWARD_ROWS)]
        chosen = random.Random(7).sample(AWKWARD_FILTERS, self.awkward_filters or len(AWKWARD_FILTERS))
        assert {condition.op for condition in chosen} == set(FilterOp)
        with connector.open_snapshot() as snapshot:
            (split,) = connector.plan_splits(snapshot, 1)
            for i, condition in enumerate(chosen):
                expected = [tuple(row.values()) for row in rows if passes(row, [condition], schema)]
                found = [row for b in connector.read(snapshot, split, [condition]) for row in rows_of(b)]
                assert found == expected, condition
                if i % 8 == 0:
                    assert connector.count([condition]) == len(expected), condition

    def check_filters(self, connector: Connector, filters: tuple[FilterCondition, ...]) -> None:
        """read, count and preview agree with ``passes`` on the unfiltered rows."""
        schema = connector.schema()
        names = [column.name for column in schema]
        expected = [
            row for row in self.expected(COLUMNS, ROWS) if passes(dict(zip(names, row, strict=True)), filters, schema)
        ]
        assert read_rows(connector, 1, filters) == expected
        assert read_rows(connector, 3, filters) == expected
        assert connector.count(filters) == len(expected)
        preview = connector.preview(2, filters)
        assert preview.total_rows == len(expected)
        assert len(preview.rows) == min(2, len(expected))

    def test_a_filter_on_an_unknown_column_is_refused(self, make: Make) -> None:
        connector = make(COLUMNS, ROWS)
        filters = [FilterCondition(column="nowhere", op="eq", value="x")]
        for use in (
            lambda: read_rows(connector, 1, filters),
            lambda: connector.count(filters),
            lambda: connector.preview(1, filters),
        ):
            with pytest.raises(RecipeError, match="nowhere") as caught:
                use()
            assert caught.value.details[0]["code"] == "filter.unknown_column"

    @pytest.mark.parametrize("wanted", [["id"], ["at_utc", "code"], ["flag", "id", "amount"]])
    def test_projection(self, make: Make, wanted: list[str]) -> None:
        connector = make(COLUMNS, ROWS)
        names = [column.name for column in self.seen(COLUMNS)]
        filters = [FilterCondition(column="code", op="neq", value="007")]
        expected = [row for row in self.expected(COLUMNS, ROWS) if row[names.index("code")] not in (None, "007")]
        with connector.open_snapshot() as snapshot:
            batches = [
                b for s in connector.plan_splits(snapshot, 3) for b in connector.read(snapshot, s, filters, wanted)
            ]
        assert all(batch.schema.names == wanted for batch in batches)
        found = [row for batch in batches for row in rows_of(batch)]
        assert found == [tuple(row[names.index(name)] for name in wanted) for row in expected]

    def test_preview_prints_cells(self, make: Make) -> None:
        connector = make(COLUMNS, ROWS)
        preview = connector.preview(4)
        assert preview.columns == connector.schema()
        assert preview.total_rows == len(ROWS)
        expected = self.expected(COLUMNS, ROWS[:4])
        assert preview.rows == [[format_cell(value) for value in row] for row in expected]
        assert connector.preview(0).rows == []

    def test_count(self, make: Make) -> None:
        assert make(COLUMNS, ROWS).count() == len(ROWS)

    def test_snapshot_identity_is_stable_and_plain(self, make: Make) -> None:
        connector = make(COLUMNS, ROWS)
        with connector.open_snapshot() as first, connector.open_snapshot() as second:
            assert first.identity.keys() >= self.identity_keys
            assert {k: first.identity[k] for k in self.identity_keys} == {
                k: second.identity[k] for k in self.identity_keys
            }
            assert all(isinstance(v, str | int | float | bool | None) for v in first.identity.values())

    def test_a_pickled_connector_reads_the_same_splits(self, make: Make) -> None:
        connector = make(COLUMNS, ROWS)
        with connector.open_snapshot() as snapshot:
            work = pickle.dumps((connector, snapshot, connector.plan_splits(snapshot, 2)))
            copy, snapshot_copy, splits = pickle.loads(work)
            rows = [row for s in splits for batch in copy.read(snapshot_copy, s) for row in rows_of(batch)]
        assert rows == self.expected(COLUMNS, ROWS)

    def test_splits_can_be_read_out_of_order_and_again(self, make: Make) -> None:
        connector = make(COLUMNS, ROWS)
        with connector.open_snapshot() as snapshot:
            splits = connector.plan_splits(snapshot, 3)
            assert [s.index for s in splits] == list(range(len(splits)))
            parts = {s.index: list(connector.read(snapshot, s)) for s in reversed(splits)}
            again = {s.index: list(connector.read(snapshot, s)) for s in splits}
        assert parts == again

    def test_a_missing_source_says_so(self, request: pytest.FixtureRequest) -> None:
        missing: Connector = request.getfixturevalue("missing")
        for use in (missing.schema, missing.count, lambda: missing.preview(1), lambda: read_rows(missing)):
            with pytest.raises(ConnectorError) as caught:
                use()
            assert caught.value.code == self.missing_code
            assert caught.value.hint
            self.check_no_secret(str(caught.value), repr(caught.value.as_dict()))

    def test_nothing_shows_a_secret(self, make: Make) -> None:
        connector = make(COLUMNS, ROWS)
        self.check_no_secret(connector.masked_uri, repr(connector), str(connector))
        with connector.open_snapshot() as snapshot:
            self.check_no_secret(repr(snapshot.identity))
        with contextlib.suppress(ConnectorError):
            self.check_no_secret(repr(connector.estimated_rows()), repr(connector.in_place_path()))

    def check_no_secret(self, *texts: str) -> None:
        for text in texts:
            assert self.secret is None or self.secret not in text
