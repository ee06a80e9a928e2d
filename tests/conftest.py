"""Settings and fixtures of the whole suite.

Tests marked ``slow`` run only with ``KALLA_REQUIRE_ALL=1``; there a skipped test is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.object_fixtures"]
REQUIRE_ALL = os.environ.get("KALLA_REQUIRE_ALL") == "1"

# Examples are judged by their answers, not by how busy the machine is.
settings.register_profile("suite", deadline=None, print_blob=True)
settings.load_profile("suite")

# For properties of whole runs, which take a fifth of a second an example: CI looks further than a desk does.
whole_runs = settings(
    deadline=None,
    max_examples=40 if REQUIRE_ALL else 12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out unless everything is asked for."""
    if REQUIRE_ALL:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With KALLA_REQUIRE_ALL=1 nothing may be skipped: what a machine lacks must be put there."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"KALLA_REQUIRE_ALL=1 allows no skipped test: {reason}"
    return report


@pytest.fixture
def numbered(tmp_path: Path) -> Callable[[], Path]:
    """Fresh folders below the test's own, for tests that run many times in one."""
    made = iter(range(1_000_000))

    def fresh() -> Path:
        folder = tmp_path / f"n{next(made)}"
        folder.mkdir()
        return folder

    return fresh
