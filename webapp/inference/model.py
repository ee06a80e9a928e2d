"""What inference takes and gives: tables of texts, profiles, links, proposals, rules, drafts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from recipe import CsvFormat, Kind

Cells = Sequence[str | None]
Row = Mapping[str, str | None]  # one record by column name, as sessions keep it
Pair = Mapping[str, Row]  # {"left": row, "right": row}, as sessions keep it


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of one side as texts (contract 1.5), NULL as None.

    ``format`` says how texts are read as numbers and dates. ``total_rows`` counts the whole source, None where
    nobody has counted it; ``is_whole`` is whether ``rows`` are all of them.
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    rows: Sequence[Cells]
    format: CsvFormat = field(default_factory=CsvFormat)
    total_rows: int | None = None
    is_whole: bool = True
    memory: dict[str, Any] = field(default_factory=dict, repr=False)  # what was found out about it

    def column(self, name: str) -> list[str | None]:
        """The cells of one column; not to be changed. Raises KeyError for a name that is none."""
        if name not in self._columns:
            at = self.place(name)
            self._columns[name] = [row[at] for row in self.rows]
        return self._columns[name]

    def place(self, name: str) -> int:
        """The place of a column. Raises KeyError for a name that is none."""
        return self._places[name]

    def kind(self, name: str) -> Kind:
        """The kind of a column. Raises KeyError for a name that is none."""
        return self.kinds[self.place(name)]

    def row(self, index: int) -> dict[str, str | None]:
        """One record by column name."""
        return dict(zip(self.names, self.rows[index], strict=True))

    @cached_property
    def _columns(self) -> dict[str, list[str | None]]:
        return {}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.names)}


@dataclass(frozen=True)
class ColumnProfile:
    """What one column holds. Counts are over the rows read.

    ``kind`` is ``number``, ``date`` or ``text`` by content (a number column of a CSV is text by its schema).
    ``is_code`` marks texts that look like references: short, with digits. ``forms`` are words such as "decimal
    comma", "day first", "currency signs". ``cleaning`` names values that SQL must clean first.
    """

    name: str
    kind: str
    rows: int
    filled: int
    distinct: int
    is_unique: bool
    is_constant: bool
    is_code: bool = False
    forms: tuple[str, ...] = ()
    cleaning: tuple[str, ...] = ()
    looks_personal: str = ""  # "" or what it looks like: "a name", "an IBAN", "an e-mail address" ...
    examples: tuple[str, ...] = ()
    first: str = ""  # smallest and largest value of numbers and dates, as texts to show; "" for text
    last: str = ""


@dataclass(frozen=True)
class Profile:
    """What one side holds. ``keys`` are the columns, or combinations, that tell its rows apart, best first."""

    columns: tuple[ColumnProfile, ...]
    keys: tuple[tuple[str, ...], ...]
    rows: int

    def column(self, name: str) -> ColumnProfile:
        """Raises KeyError for a name that is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True)
class Link:
    """Two columns that share values in some form.

    ``op`` is eq, normalized, contains or regex (both texts hold a reference). ``share_left`` and ``share_right``
    are the shares of filled rows that find a partner; ``partners`` is the mean number of right rows that a
    left row with a partner finds. ``left_pattern`` and ``right_pattern`` extract the reference, "" for the
    whole text.
    """

    left_col: str
    right_col: str
    op: str
    share_left: float
    share_right: float
    partners: float
    why: str
    left_pattern: str = ""
    right_pattern: str = ""
    strip_zeros: bool = False


@dataclass(frozen=True)
class Proposal:
    """A pair worth asking. ``why`` is clear, inside, outside or form."""

    left_row: dict[str, str | None]
    right_row: dict[str, str | None]
    reasoning: str
    why: str


@dataclass(frozen=True)
class CounterExample:
    """A pair that speaks against a rule: confirmed and not satisfied, or rejected and satisfied."""

    left: dict[str, str | None]
    right: dict[str, str | None]
    verdict: str  # confirmed | rejected
    words: str


@dataclass(frozen=True)
class Rule:
    """One comparison of two columns.

    ``op`` is eq, normalized, contains, regex, tolerance, percent, date_within or similarity. ``threshold`` is an
    exact decimal, a number of days or a similarity as text; None where there is none. ``support`` is the share
    of confirmed pairs with both values. ``matches`` and ``leaves`` count the left rows that this rule alone
    gives a partner or none; None where that was not counted.
    """

    left_col: str
    right_col: str
    op: str
    threshold: str | None
    confidence: float
    support: float
    discriminating: bool
    reasoning: str
    sentence: str
    matches: int | None = None
    leaves: int | None = None
    counter_examples: tuple[CounterExample, ...] = ()
    left_pattern: str = ""
    right_pattern: str = ""
    strip_zeros: bool = False
    negated: bool = False  # the right amount has the other sign

    @property
    def is_key(self) -> bool:
        """Whether the rule is an equality, which finds partners fast."""
        return self.op in ("eq", "normalized", "contains", "regex")


@dataclass(frozen=True)
class Point:
    """One place of the slider: the tolerance and how many left and right rows find a partner with it."""

    threshold: str
    matched_left: int
    matched_right: int


@dataclass(frozen=True)
class Curve:
    """Matched rows by tolerance, exact over the rows read. ``unit`` is amount, percent or days."""

    label: str
    unit: str
    threshold: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Verdicts:
    """What the person said of proposed pairs."""

    confirmed: Sequence[Pair] = ()
    rejected: Sequence[Pair] = ()
    unsure: Sequence[Pair] = ()


@dataclass(frozen=True)
class Figures:
    """Exact counts from running the draft over the rows read."""

    left_total: int
    right_total: int
    matched_left: int
    matched_right: int
    pairs: int
    left_many: int  # left rows with more than one partner
    right_many: int
    is_sample: bool


@dataclass(frozen=True)
class Draft:
    """A recipe's heart, ready for ``build_recipe``. ``proven`` says whether each key was unique in all rows; ``choice``
    how one of several partners is chosen, "" where all of them count."""

    rules: tuple[Rule, ...]
    match_sql: str
    match_description: str
    left_pk: tuple[str, ...]
    right_pk: tuple[str, ...]
    left_pk_proven: bool
    right_pk_proven: bool
    ambiguities: tuple[str, ...]
    figures: Figures
    curve: Curve | None = None
    notes: tuple[str, ...] = field(default=())
    choice: str = ""
