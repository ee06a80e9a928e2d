"""The recipe as immutable models: what a document means once it has been checked (contract 1.1 to 1.4).

Models can be built directly in Python; documents come in through ``recipe.document``, which reports every
problem at once. Messages never repeat a URI, so no secret reaches them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator

from recipe.addresses import FileAddress
from recipe.csv_format import CsvFormat
from recipe.errors import RecipeError
from recipe.fields import FrozenModel, columns, has_unstorable, invalid, problem, stored_text
from recipe.masking import mask_uri
from recipe.uris import parse_uri
from recipe.values import MAX_EXPONENT

MAX_SQL = 65_536
MAX_NAME = 255
MAX_KEY_COLUMNS = 16
MAX_IN_VALUES = 10_000

_RECIPE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class FilterOp(StrEnum):
    """The nine comparisons of a pre-filter."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    BETWEEN = "between"
    IN = "in"
    LIKE = "like"


FilterScalar = str | Decimal
FilterValue = str | Decimal | tuple[str, ...] | tuple[Decimal, ...]

_SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number"]}
_LIST_SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_IN_VALUES,
    "anyOf": [{"items": {"type": "string"}}, {"items": {"type": "number"}}],
}


class FilterCondition(FrozenModel):
    """``column op value``. Numbers are exact decimals; lists are tuples. NULL cells satisfy no operator."""

    column: str
    op: FilterOp
    value: Annotated[FilterValue, WithJsonSchema({"anyOf": [_SCALAR_SCHEMA, _LIST_SCHEMA]})]

    @field_validator("column", mode="before")
    @classmethod
    def _check_column(cls, value: object) -> str:
        if not isinstance(value, str) or not value or has_unstorable(value):
            raise problem("filter.unknown_column", "must be the name of a column")
        return value

    @field_validator("op", mode="before")
    @classmethod
    def _check_op(cls, value: object) -> FilterOp:
        if not isinstance(value, str) or value not in set(FilterOp):
            raise problem("filter.unknown_op", f"must be one of {', '.join(FilterOp)}")
        return FilterOp(value)

    @field_validator("value", mode="plain")
    @classmethod
    def _check_value(cls, value: object, info: ValidationInfo) -> FilterValue:
        op = info.data.get("op")
        if op is None:
            return ""  # the operator is already reported; a value has no rule without it
        return _filter_value(FilterOp(op), value)


def _filter_value(op: FilterOp, value: object) -> FilterValue:
    if op is FilterOp.LIKE:
        if not isinstance(value, str):
            raise problem("filter.invalid_value", "like needs a text pattern")
        return _scalar(value, op)
    if op not in (FilterOp.BETWEEN, FilterOp.IN):
        return _scalar(value, op)
    if not isinstance(value, (list, tuple)):
        raise problem("filter.invalid_value", f"{op} needs a list")
    if op is FilterOp.BETWEEN and len(value) != 2:
        raise problem("filter.invalid_value", "between needs exactly two values")
    if not 1 <= len(value) <= MAX_IN_VALUES:
        raise problem("filter.invalid_value", f"{op} needs 1 to {MAX_IN_VALUES} values")
    scalars = [_scalar(item, op) for item in value]
    texts = tuple(item for item in scalars if isinstance(item, str))
    numbers = tuple(item for item in scalars if isinstance(item, Decimal))
    if texts and numbers:
        raise problem("filter.invalid_value", f"{op} needs all texts or all numbers")
    return texts or numbers


def _scalar(value: object, op: FilterOp) -> FilterScalar:
    if isinstance(value, str):
        if has_unstorable(value):
            raise problem("filter.invalid_value", "must not contain NUL or half of a surrogate pair")
        return value
    if isinstance(value, float) and math.isfinite(value):
        value = Decimal(repr(value))
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise problem("filter.invalid_value", f"{op} needs a text or a finite number")
    if not value:
        return Decimal(0)
    if value.adjusted() > MAX_EXPONENT or -int(value.as_tuple().exponent) > MAX_EXPONENT:
        raise problem("filter.invalid_value", f"a number may have at most {MAX_EXPONENT} digits on each side")
    return value


# letters, the marks that belong to them in many scripts, and decimal digits
_ALIAS_CATEGORIES = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"}


def is_alias(text: str) -> bool:
    """Whether a text may name a source: 1 to 255 letters of any script, digits, ``.``, ``_``, ``-``."""
    plain = all(c in "._-" or unicodedata.category(c) in _ALIAS_CATEGORIES for c in text)
    return plain and 1 <= len(text) <= MAX_NAME


class SourceBase(FrozenModel):
    """What every source of a recipe has. ``schema_columns`` is the document's member ``schema``; ``uri`` None
    means the address of the registered alias, found when a run starts."""

    alias: str = Field(json_schema_extra={"minLength": 1, "maxLength": MAX_NAME})
    type: str
    uri: str | None = Field(None, repr=False)
    primary_key: tuple[str, ...] = Field(json_schema_extra={"minItems": 1, "maxItems": MAX_KEY_COLUMNS})
    schema_columns: tuple[str, ...] | None = Field(None, alias="schema")
    filters: tuple[FilterCondition, ...] = ()

    @property
    def masked_uri(self) -> str:
        """The address without secrets; "" when there is none."""
        return "" if self.uri is None else mask_uri(self.uri)

    @field_validator("alias", mode="before")
    @classmethod
    def _check_alias(cls, value: object) -> str:
        text = stored_text(value, MAX_NAME, 1)
        if not is_alias(text):
            raise invalid("must consist of letters, digits, '.', '_' and '-'")
        return text

    @field_validator("uri", mode="before")
    @classmethod
    def _check_uri(cls, value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or has_unstorable(value):
            raise problem("source.invalid_uri", "must be text")
        try:
            parse_uri(str(cls.model_fields["type"].default), value)
        except RecipeError as error:
            raise problem(error.code, f"{error.message} {error.hint}".strip()) from None
        return value

    @field_validator("primary_key", mode="before")
    @classmethod
    def _check_primary_key(cls, value: object) -> tuple[str, ...]:
        return columns(value, MAX_KEY_COLUMNS)

    @field_validator("schema_columns", mode="before")
    @classmethod
    def _check_schema(cls, value: object, info: ValidationInfo) -> tuple[str, ...] | None:
        if value is None:
            return None
        names = columns(value)
        missing = [name for name in info.data.get("primary_key", ()) if name not in names]
        if missing:
            raise invalid(f"must contain the primary key; {', '.join(map(repr, missing))} is missing")
        return names

    @field_validator("filters", mode="before")
    @classmethod
    def _check_filters(cls, value: Any) -> Any:
        return () if value is None else value


class _PlainSource(SourceBase):
    @property
    def format(self) -> CsvFormat | None:
        """Always None: this type is no CSV."""
        return None


class _CsvLikeSource(SourceBase):
    format: CsvFormat | None = None


class PostgresSource(_PlainSource):
    """A table, view, partitioned or foreign table of a Postgres server."""

    type: Literal["postgres"] = "postgres"


class ParquetSource(_PlainSource):
    """A Parquet file, local or in an object store."""

    type: Literal["parquet"] = "parquet"


class ElasticsearchSource(_PlainSource):
    """One index at one point in time."""

    type: Literal["elasticsearch"] = "elasticsearch"


class BigQuerySource(_PlainSource):
    """One table or view of BigQuery."""

    type: Literal["bigquery"] = "bigquery"


class SqliteSource(_PlainSource):
    """A table or view of a SQLite database file."""

    type: Literal["sqlite"] = "sqlite"


class MysqlSource(_PlainSource):
    """A table or view of a MySQL or MariaDB server."""

    type: Literal["mysql"] = "mysql"


class CsvSource(_CsvLikeSource):
    """A CSV at a lasting place, plain or gzip."""

    type: Literal["csv"] = "csv"


class CsvUploadSource(_CsvLikeSource):
    """An uploaded CSV that is kept for repeated runs."""

    type: Literal["csv_upload"] = "csv_upload"


class S3Source(_CsvLikeSource):
    """An object of an S3 store: CSV when its key says so, otherwise Parquet."""

    type: Literal["s3"] = "s3"


class FileSource(_CsvLikeSource):
    """A disposable CSV or Parquet file, uploaded afresh for each run and checked against ``schema``.

    It never has a ``uri``.
    """

    type: Literal["file"] = "file"
    schema_columns: tuple[str, ...] = Field(alias="schema")

    @field_validator("schema_columns", mode="before")
    @classmethod
    def _require_schema(cls, value: object) -> object:
        if value is None:
            raise invalid("must not be empty")
        return value


Source = (
    PostgresSource
    | CsvUploadSource
    | CsvSource
    | S3Source
    | ParquetSource
    | FileSource
    | ElasticsearchSource
    | BigQuerySource
    | SqliteSource
    | MysqlSource
)
SOURCE_CLASSES: dict[str, type[SourceBase]] = {
    "postgres": PostgresSource,
    "csv_upload": CsvUploadSource,
    "csv": CsvSource,
    "s3": S3Source,
    "parquet": ParquetSource,
    "file": FileSource,
    "elasticsearch": ElasticsearchSource,
    "bigquery": BigQuerySource,
    "sqlite": SqliteSource,
    "mysql": MysqlSource,
}


class Sources(FrozenModel):
    """The two sides."""

    left: Annotated[Source, Field(discriminator="type")]
    right: Annotated[Source, Field(discriminator="type")]


class Recipe(FrozenModel):
    """Two sources and the SQL that says which of their rows belong together."""

    recipe_id: str = Field(json_schema_extra={"pattern": rf"^{_RECIPE_ID.pattern}$"})
    name: str = Field(json_schema_extra={"minLength": 1, "maxLength": MAX_NAME})
    description: str = ""
    match_sql: str = Field(json_schema_extra={"minLength": 1, "maxLength": MAX_SQL})
    match_description: str = ""
    sources: Sources

    @field_validator("recipe_id", mode="before")
    @classmethod
    def _check_id(cls, value: object) -> str:
        text = stored_text(value)
        if not _RECIPE_ID.fullmatch(text):
            raise invalid("must be 1 to 255 ASCII letters, digits, '.', '_' or '-', the first one a letter or digit")
        return text

    @field_validator("name", mode="before")
    @classmethod
    def _check_name(cls, value: object) -> str:
        return stored_text(stored_text(value).strip(), MAX_NAME, 1)

    @field_validator("description", "match_description", mode="before")
    @classmethod
    def _check_description(cls, value: object) -> str:
        return "" if value is None else stored_text(value)

    @field_validator("match_sql", mode="before")
    @classmethod
    def _check_sql(cls, value: object) -> str:
        text = stored_text(value, MAX_SQL)
        if not text.strip():
            raise invalid("must not be empty")
        return text


def is_csv_source(source: Source) -> bool | None:
    """Whether a source is read as CSV; None for a disposable file, whose kind shows only when it arrives."""
    if isinstance(source, (CsvSource, CsvUploadSource)):
        return True
    if isinstance(source, FileSource):
        return None
    if isinstance(source, S3Source) and source.uri is not None:
        address = parse_uri("s3", source.uri)
        return isinstance(address, FileAddress) and address.is_csv
    return False
