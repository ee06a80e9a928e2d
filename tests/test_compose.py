"""The compose files name only what exists: commands, settings, ports, folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pipelines.cli.app import cli
from tests.helpers import AskedEnvironment
from webapp.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(ROOT.glob("docker-compose.*.yml"))
OTHERS = {"ANTHROPIC_API_KEY"}  # read by the chat
IMAGE_SETTINGS = {"postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}}


def read_settings() -> set[str]:
    """Every variable that Settings asks its environment for."""

    asked = AskedEnvironment()
    Settings.from_environment(asked)
    return asked.names


def documents() -> list[tuple[str, dict[str, Any]]]:
    return [(path.name, yaml.safe_load(path.read_text())) for path in FILES]


def services() -> list[tuple[str, str, dict[str, Any]]]:
    return [(file, name, service) for file, d in documents() for name, service in d["services"].items()]


def ours() -> list[tuple[str, str, dict[str, Any]]]:
    return [entry for entry in services() if entry[2].get("image", "").startswith("kalla:")]


def test_there_is_a_file_for_one_machine() -> None:
    assert ROOT / "docker-compose.single.yml" in FILES


@pytest.mark.parametrize(("file", "name", "service"), ours())
def test_commands_settings_and_ports_exist(file: str, name: str, service: dict[str, Any]) -> None:
    program, command, *options = service["command"]
    assert program == "kalla"
    help_text = CliRunner().invoke(cli, [command, "--help"])
    assert help_text.exit_code == 0, command
    assert all(option in help_text.output for option in options if option.startswith("--"))
    unknown = set(service["environment"]) - read_settings() - OTHERS
    assert not unknown, f"{file}: {name} sets what nothing reads: {unknown}"
    port = service["environment"].get("PORT") or service["environment"].get("HTTP_PORT")
    assert f"127.0.0.1:{port}/health" in " ".join(service["healthcheck"]["test"])
    assert all(published.split(":")[-1] == port for published in service.get("ports", []))


@pytest.mark.parametrize(("file", "document"), documents())
def test_addresses_name_services_and_their_ports(file: str, document: dict[str, Any]) -> None:
    known = document["services"]
    ports = {"postgres": "5432"}
    for name, service in known.items():
        environment = service.get("environment", {})
        ports.setdefault(name, str(environment.get("PORT") or environment.get("HTTP_PORT")))
    text = (ROOT / file).read_text()
    for host, port in re.findall(r"(?:http://|@)([a-z][a-z0-9-]*):([0-9]+)", text):
        assert host in known and ports[host] == port, f"{file}: {host}:{port}"
    for service in known.values():
        assert set(service.get("depends_on", {})) <= set(known)
        assert {v.split(":")[0] for v in service.get("volumes", [])} <= set(document["volumes"])


@pytest.mark.parametrize(("file", "name", "service"), services())
def test_images_are_pinned_and_hold_no_password(file: str, name: str, service: dict[str, Any]) -> None:
    image = service["image"]
    assert re.search(r":[0-9]", image) and not image.endswith(":latest"), image
    assert service["healthcheck"]
    for key, value in service.get("environment", {}).items():
        if re.search("PASSWORD|SECRET|TOKEN|KEY", key) and key != "ANTHROPIC_API_KEY":
            assert re.fullmatch(r"\$\{" + key + r":\?[^}]+\}", str(value)), f"{file}: {name}: {key}"
    allowed = IMAGE_SETTINGS.get(image.split(":")[0])
    if allowed is not None:
        assert set(service["environment"]) <= allowed


def test_the_example_asks_for_every_secret() -> None:
    text = (ROOT / "docker-compose.single.yml").read_text()
    example = (ROOT / "deploy/single.env.example").read_text()
    for name in set(re.findall(r"\$\{([A-Z_]+):\?", text)):
        assert re.search(rf"^{name}=$", example, re.MULTILINE), name


def test_the_image_copies_what_exists() -> None:
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            *sources, _ = line.split()[1:]
            assert all((ROOT / source).exists() for source in sources), line
