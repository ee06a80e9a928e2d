"""Shared by the connector tests: files written as people's tools write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors import Connector, connector_for
from recipe import CsvSource


@pytest.fixture
def csv_of(tmp_path: Path) -> Callable[..., Connector]:
    """A connector over a CSV with the given content; keyword arguments are the source's format."""

    def make(content: bytes | str, name: str = "data.csv", **format_: str) -> Connector:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        source = CsvSource.model_validate(
            {
                "alias": "a",
                "uri": str(path).replace("%", "%25"),
                "primary_key": ["id"],
                "format": format_ or None,
            }
        )
        return connector_for(source)

    return make
