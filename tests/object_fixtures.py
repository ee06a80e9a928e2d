"""Fixtures over real object stores: one server of each kind a test process, skipped where its program is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import pytest

from tests.object_servers import GcsServer, S3Server, gcs_server, s3_server

T = TypeVar("T")
NAMES = (
    "S3_ENDPOINT", "S3_PUBLIC_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_REGION", "S3_PATH_STYLE", "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE",
    "AWS_ALLOW_HTTP", "GCS_BUCKET", "STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS",
)  # fmt: skip


@pytest.fixture
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that leads to no store."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    """A real S3 store, versitygw."""
    yield from _served(s3_server())


@pytest.fixture(scope="session")
def gcs_process() -> Iterator[GcsServer]:
    """fake-gcs-server."""
    yield from _served(gcs_server())


def _served(server: AbstractContextManager[T]) -> Iterator[T]:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(server)
        except RuntimeError as error:
            pytest.skip(str(error))
        yield found


@pytest.fixture
def s3_store(s3_process: S3Server, no_store: None, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 store, and this process's environment set for it."""
    for name, value in s3_process.environment().items():
        monkeypatch.setenv(name, value)
    return s3_process


@pytest.fixture
def gcs_store(gcs_process: GcsServer, no_store: None, monkeypatch: pytest.MonkeyPatch) -> GcsServer:
    """The Google store, and this process's environment set for it."""
    for name, value in gcs_process.environment().items():
        monkeypatch.setenv(name, value)
    return gcs_process


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> S3Server | GcsServer:
    """Either store."""
    found: S3Server | GcsServer = request.getfixturevalue("s3_store" if request.param == "s3" else "gcs_store")
    return found
