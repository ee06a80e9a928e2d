"""Writing an answer: JSON without loss."""

from __future__ import annotations

import json
from typing import Any

from flask.json.provider import JSONProvider

from recipe import read_json, write_json


class ExactJson(JSONProvider):
    """Decimals stay numbers, digit for digit, in both directions; NaN is refused."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        indent: int | None = kwargs.get("indent")  # templates ask for it
        try:
            return json.dumps(obj, ensure_ascii=False, allow_nan=False, indent=indent)
        except TypeError:  # a Decimal is in it, which takes the longer way
            return write_json(obj, indent=indent)

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return read_json(s)
