"""What a source may name on this machine: files of people, never those of the services themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from webapp.context import EXTENSION, Kalla
from webapp.settings import Settings

OWN = (
    "secret.key",
    "app.key",
    ".key-x1y2",
    "kalla.db",
    "kalla.db-wal",
    "sweeper.lock",
    "runner/journal.db",
    "runner/work/a.csv",
    "uploads/someone/4a0ed1d5-56cc-4f0f-9c8e-3b5ef7f5ac6e/salaries.csv",
    "uploads/.incoming/a.csv",
)


def kinds(path: str) -> tuple[str, ...]:
    return ("csv", "parquet", "file") if path.endswith(".csv") else ("parquet", "file")


def refusal(client: FlaskClient, uri: object, kind: str) -> str | None:
    """The code of the error that registering gives; None when it is registered."""
    answer = client.post("/api/sources", json={"alias": "own", "uri": str(uri), "source_type": kind})
    code: str | None = answer.json.get("code")
    assert answer.status_code == (400 if code else 200)
    return code


@pytest.mark.parametrize("name", OWN)
def test_files_of_the_services_are_no_sources(client: FlaskClient, settings: Settings, data: Path, name: str) -> None:
    path = settings.staging_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    for kind in kinds(name):
        assert refusal(client, path, kind) == "source.path_forbidden"
        assert refusal(client, f"file://{path}", kind) == "source.path_forbidden"
        assert refusal(client, settings.staging_path / "in" / ".." / name, kind) == "source.path_forbidden"
    link = data / "link.csv"
    link.symlink_to(path)
    assert refusal(client, link, "csv") == "source.path_forbidden"


def test_a_recipe_a_run_and_a_stored_source_obey_the_same_rule(
    client: FlaskClient, parts: Kalla, settings: Settings, data: Path
) -> None:
    own = settings.staging_path / "uploads" / "someone" / "a.csv"
    own.parent.mkdir(parents=True)
    own.write_text("id\n1\n")
    (data / "b.csv").write_text("id\n1\n")
    side: dict[str, Any] = {"alias": "b", "type": "csv", "uri": str(data / "b.csv"), "primary_key": ["id"]}
    recipe: dict[str, Any] = {
        "recipe_id": "r",
        "name": "R",
        "match_sql": "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id",
        "sources": {"left": side | {"uri": str(own)}, "right": side},
    }
    checked = client.post("/api/recipes/validate", json=recipe).json
    assert [(d["path"], d["code"]) for d in checked["details"]] == [("sources.left.uri", "source.path_forbidden")]
    recipe["sources"]["left"] = side
    given = [{"alias": "left_src", "uri": str(own)}]
    started = client.post("/api/runs", json={"recipe": recipe, "resolved_sources": given})
    assert (started.status_code, started.json["code"]) == (400, "source.path_forbidden")
    parts.sources.put("earlier", str(own), "csv")  # from before this rule
    for path in ("preview", "primary-key"):
        assert client.get(f"/api/sources/earlier/{path}").json["code"] == "source.path_forbidden"
    assert client.post("/api/sources/earlier/load-scoped").json["code"] == "source.path_forbidden"


def test_a_database_elsewhere_is_no_source_either(make_app: Callable[..., Flask], data: Path) -> None:
    client = make_app(database_url=f"sqlite:///{data / 'app.db'}").test_client()
    for name in ("app.db", "app.db-wal", "app.db.lock"):
        assert refusal(client, data / name, "parquet") == "source.path_forbidden"
    assert refusal(client, data / "bank.parquet", "parquet") is None


@pytest.mark.parametrize("name", ["bank.csv", "in/bank.csv", "in/runner/bank.csv", "my uploads/bank.csv"])
def test_files_of_people_below_the_staging_folder_are(client: FlaskClient, settings: Settings, name: str) -> None:
    path = settings.staging_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("id\n1\n")
    assert refusal(client, path, "csv") is None
    assert client.get("/api/sources/own/preview").json["rows"] == [["1"]]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("{data}/ca.pem", None),
        ("/etc/shadow", "source.path_forbidden"),
        ("{staging}/secret.key", "source.path_forbidden"),
    ],
)
def test_certificates_for_mysql_are_files_that_may_be_read(
    client: FlaskClient, settings: Settings, data: Path, path: str, code: str | None
) -> None:
    given = path.format(data=data, staging=settings.staging_path)
    uri = f"mysql://u:p@localhost/books?table=t&ssl-mode=verify-ca&ssl-ca={given}"
    assert refusal(client, uri, "mysql") == code


@pytest.mark.parametrize(
    ("parameter", "code"),
    [
        ("sslmode=require", None),
        ("options=-csearch_path%3Dfin", None),
        ("sslrootcert=system", None),
        ("sslrootcert={data}/ca.pem", None),
        ("sslrootcert=/etc/shadow", "source.path_forbidden"),
        ("sslcert={staging}/secret.key", "source.path_forbidden"),
        ("sslkey=..%2Fkey.pem", "source.path_forbidden"),
        ("sslcrl=/etc/passwd", "source.path_forbidden"),
        ("sslcrldir=/etc", "source.path_forbidden"),
        ("passfile=/root/.pgpass", "source.path_forbidden"),
        ("sslkeylogfile={data}/log", "source.invalid_uri"),
        ("oauth_issuer=http%3A%2F%2F169.254.169.254", "source.invalid_uri"),
    ],
)
def test_parameters_for_the_driver_reach_no_other_files(
    app: Flask, client: FlaskClient, settings: Settings, data: Path, parameter: str, code: str | None
) -> None:
    given = parameter.format(data=data, staging=settings.staging_path)
    assert refusal(client, f"postgres://u:p@localhost/books?table=t&{given}", "postgres") == code
    stored = app.extensions[EXTENSION].sources.get("own")
    assert (stored is None) == (code is not None)
