"""Settings: read once, refused when they are none, documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors import S3Settings
from tests.helpers import AskedEnvironment
from webapp.errors import STATUS, ServiceError, SettingsError, status_of
from webapp.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs/settings.md"


def asked_for() -> set[str]:
    asked = AskedEnvironment()
    Settings.from_environment(asked)
    S3Settings.from_environment(asked)
    return asked.names


def test_every_setting_is_documented_and_nothing_else() -> None:
    named = {
        name
        for line in DOCS.read_text().splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", line.split("|")[1])
    }
    assert named == asked_for()


def test_defaults_are_a_machine_of_ones_own(tmp_path: Path) -> None:
    found = Settings.from_environment({"STAGING_PATH": str(tmp_path)})
    assert found.is_loopback and found.port == 3000 and found.worker_url is None
    assert found.database_url == f"sqlite:///{tmp_path}/kalla.db"
    assert found.readable_roots == (tmp_path,)


def test_lists_and_numbers(tmp_path: Path) -> None:
    found = Settings.from_environment(
        {
            "KALLA_LOCAL_ROOTS": "/a: /b :",
            "KALLA_CALLBACK_SECRET": "new, old",
            "PORT": " 81 ",
            "BIND_HOST": "0.0.0.0",
            "NATS_URL": " ",
        }
    )
    assert found.local_roots == (Path("/a"), Path("/b"))
    assert found.callback_secrets == ("new", "old")
    assert (found.port, found.is_loopback, found.nats_url) == (81, False, None)


def test_scratch_data_lies_in_a_folder_and_for_a_cluster_perhaps_in_a_store(tmp_path: Path) -> None:
    """A store that no run could use is told at the start, not by every run."""
    assert Settings.from_environment({}).scratch_path is None
    assert Settings.from_environment({"KALLA_STAGING": "fast/disk"}).scratch_path == Path("fast/disk").absolute()
    cluster = {"KALLA_RUNNER": "auto", "KALLA_JOB_ENDPOINT": "here:1", "KALLA_STAGING": "s3://bucket/folder"}
    found = Settings.from_environment(cluster)
    assert (found.exchange, found.scratch_path) == ("s3://bucket/folder", None)
    wrong = (
        {"KALLA_RUNNER": "direct"},
        {"KALLA_STAGING": "s3://bucket"},
        {"KALLA_STAGING": "https://me:my-password@host/folder"},
        {"KALLA_STAGING": "s3://me:my-password@b/folder"},
    )
    for change in wrong:
        with pytest.raises(SettingsError, match="KALLA_STAGING") as caught:
            Settings.from_environment(cluster | change)
        assert "my-password" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "-1"),
        ("PORT", "70000"),
        ("PORT", "x"),
        ("MAX_CONCURRENT_JOBS", "0"),
        ("KALLA_QUEUE_SIZE", "1.5"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_is_none_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: value})


def test_secrets_do_not_show() -> None:
    found = Settings.from_environment(
        {
            "DATABASE_URL": "postgresql://u:hush@h/d",
            "KALLA_ACCESS_TOKEN": "hush",
            "KALLA_SECRET_KEY": "hush",
            "KALLA_CALLBACK_SECRET": "hush",
            "NATS_URL": "nats://u:hush@h",
        }
    )
    assert "hush" not in repr(found)


def test_statuses_of_codes() -> None:
    assert status_of("recipe.sql.forbidden") == 400
    assert status_of("source.not_found") == 404
    assert status_of("nobody.listed") == 500
    assert ServiceError("x", code="runner.queue_full").status == 503
    assert all(400 <= status <= 599 for status in STATUS.values())
