"""How a CSV is written (contract 1.2): found at preview, stored in the recipe, correctable by people."""

from __future__ import annotations

import codecs
from enum import StrEnum

from pydantic import Field, ValidationInfo, field_validator

from recipe.fields import FrozenModel, invalid, one_of


class DateOrder(StrEnum):
    """The order of day, month and year in dates that are not ISO."""

    YMD = "ymd"
    DMY = "dmy"
    MDY = "mdy"


class Ragged(StrEnum):
    """What a CSV row with more or fewer fields than the header does."""

    ERROR = "error"
    KEEP = "keep"


DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "utf-16", "windows-1252", "iso-8859-1", "iso-8859-15")
DECIMALS = (".", ",")
THOUSANDS = ("", ",", ".", " ", "'", "’")
# Python's codec names of ENCODINGS; people write them in many ways
_CODECS = {codecs.lookup(name).name: name for name in ENCODINGS} | {"utf-8-sig": "utf-8"}


class CsvFormat(FrozenModel):
    """How a CSV is written. ``delimiter`` and ``encoding`` None: found from the file.

    ``decimal``, ``thousands`` and ``date_order`` say how its texts are read where a number or date is needed;
    ``thousands`` "" means none. ``ragged`` "keep" keeps a row of the wrong width as unparseable.
    """

    delimiter: str | None = Field(None, json_schema_extra={"enum": [*DELIMITERS, None]})
    encoding: str | None = Field(None, json_schema_extra={"examples": [*ENCODINGS]})
    decimal: str = Field(".", json_schema_extra={"enum": [*DECIMALS]})
    thousands: str = Field("", json_schema_extra={"enum": [*THOUSANDS]})
    date_order: DateOrder = DateOrder.YMD
    ragged: Ragged = Ragged.ERROR

    @field_validator("delimiter", mode="before")
    @classmethod
    def _check_delimiter(cls, value: object) -> str | None:
        return None if value is None else one_of(value, DELIMITERS)

    @field_validator("encoding", mode="before")
    @classmethod
    def _check_encoding(cls, value: object) -> str | None:
        return None if value is None else one_of(_encoding_name(value), ENCODINGS)

    @field_validator("decimal", mode="before")
    @classmethod
    def _check_decimal(cls, value: object) -> str:
        return one_of(value, DECIMALS)

    @field_validator("thousands", mode="before")
    @classmethod
    def _check_thousands(cls, value: object, info: ValidationInfo) -> str:
        # a no-break blank, narrow or not, is read wherever a blank is
        text = one_of(" " if value in ("\u00a0", "\u202f") else value, THOUSANDS)
        if text and text == info.data.get("decimal"):
            raise invalid("must differ from decimal")
        return text

    @field_validator("date_order", mode="before")
    @classmethod
    def _check_date_order(cls, value: object) -> str:
        return one_of(value, tuple(DateOrder))

    @field_validator("ragged", mode="before")
    @classmethod
    def _check_ragged(cls, value: object) -> str:
        return one_of(value, tuple(Ragged))


def _encoding_name(value: object) -> object:
    try:
        return _CODECS.get(codecs.lookup(value).name, value) if isinstance(value, str) else value
    except (LookupError, ValueError):
        return value
