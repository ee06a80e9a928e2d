"""Fixtures over a real OpenSearch node, one for all processes of a test run; skipped where Java or Maven is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.search_servers import Front, SearchNode, front, search_node


@pytest.fixture(scope="session")
def node() -> SearchNode:
    """The node."""
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    try:
        return search_node(owner)
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture
def search(node: SearchNode) -> Iterator[Front]:
    """The node as OpenSearch, open to everybody, behind a front that remembers what was asked."""
    with front(node) as found:
        yield found
