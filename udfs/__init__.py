"""Functions for match_sql: each one a signature, a Python reference and a DuckDB lowering that agree.

Importing the package fills the registry. ``lower`` turns a plan's trees into DuckDB trees,
``register_functions`` prepares a connection for them, ``from_engine`` explains an error that evaluating
them raised.
"""

from __future__ import annotations

from udfs.arithmetic import divide, exact_decimal
from udfs.dates import date_within
from udfs.engine import LOGICAL, lower, register_functions
from udfs.errors import UdfError, from_engine
from udfs.numbers import percent_match, tolerance_match
from udfs.patterns import read_pattern
from udfs.registry import REGISTRY, ArrowFunction, MatchFunction, signatures, udf
from udfs.text import normalize_ref, regex_extract, text_similarity

__all__ = [
    "LOGICAL",
    "REGISTRY",
    "ArrowFunction",
    "MatchFunction",
    "UdfError",
    "date_within",
    "divide",
    "exact_decimal",
    "from_engine",
    "lower",
    "normalize_ref",
    "percent_match",
    "read_pattern",
    "regex_extract",
    "register_functions",
    "signatures",
    "text_similarity",
    "tolerance_match",
    "udf",
]
