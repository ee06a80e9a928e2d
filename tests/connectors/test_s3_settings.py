"""How the S3 store is found in the environment."""

from __future__ import annotations

import pytest

from connectors import ConnectorError, S3Settings

KEYS = {"S3_ACCESS_KEY": "own", "S3_SECRET_KEY": "hush"}
AMAZON = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "hush"}


def test_nothing_is_built_in() -> None:
    found = S3Settings.from_environment({})
    assert (found.endpoint, found.access_key, found.secret_key) == (None, None, None)
    assert (found.region, found.path_style) == ("us-east-1", False)


def test_our_names_win_and_keys_come_as_a_pair() -> None:
    both = S3Settings.from_environment(
        {**KEYS, **AMAZON, "S3_ENDPOINT": "http://s3:1", "AWS_ENDPOINT_URL": "https://x"}
    )
    assert (both.endpoint, both.access_key, both.session_token) == ("http://s3:1", "own", None)
    theirs = S3Settings.from_environment({**AMAZON, "AWS_REGION": "eu-west-1"})
    assert (theirs.access_key, theirs.session_token, theirs.region) == ("theirs", "hush", "eu-west-1")
    assert "hush" not in repr(both) + repr(theirs)


@pytest.mark.parametrize(
    ("endpoint", "style", "expected"),
    [
        ("http://minio:9000", "", True),
        ("https://s3.eu-west-1.amazonaws.com", "", False),
        ("https://s3.eu-west-1.amazonaws.com", "true", True),
        ("http://minio:9000", "False", False),
    ],
)
def test_path_style(endpoint: str, style: str, expected: bool) -> None:
    assert S3Settings.from_environment({"S3_ENDPOINT": endpoint, "S3_PATH_STYLE": style}).path_style is expected


@pytest.mark.parametrize(
    "environment",
    [
        {"S3_ACCESS_KEY": "a"},
        {"AWS_SECRET_ACCESS_KEY": "hush"},
        {"S3_ENDPOINT": "minio:9000"},
        {"S3_ENDPOINT": "http://user:hush@minio:9000"},
        {"S3_ENDPOINT": "http://minio:9000/folder"},
        {"S3_ENDPOINT": "http://minio:99999999"},
        {"S3_ENDPOINT": "ftp://minio"},
        {"AWS_ENDPOINT_URL": "http://minio:9000"},
        {"S3_PATH_STYLE": "maybe"},
    ],
)
def test_what_is_no_setting_is_named_and_secrets_are_not(environment: dict[str, str]) -> None:
    with pytest.raises(ConnectorError) as caught:
        S3Settings.from_environment(environment)
    assert caught.value.code == "settings.invalid"
    assert caught.value.hint and "hush" not in str(caught.value)


def test_plain_http_has_to_be_allowed_under_amazons_names() -> None:
    found = S3Settings.from_environment({"AWS_ENDPOINT_URL": "http://minio:9000/", "AWS_ALLOW_HTTP": "TRUE"})
    assert found.endpoint == "http://minio:9000"
