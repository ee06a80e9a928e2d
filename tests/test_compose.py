"""The compose files name only what exists: commands, settings, ports, folders."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml

from connectors import S3Settings
from pipelines.cli.app import cli
from pipelines.cluster.jars import FOLDER_VARIABLE
from pipelines.cluster.parts import REST_PORT, WORKER_PORT
from tests.helpers import AskedEnvironment
from tests.object_servers import VERSITYGW_MODULE, versitygw_program
from tests.servers import free_port
from tests.webapp.served.serving import answers
from webapp.app import create_app
from webapp.runner import create_runner, runner_of
from webapp.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(ROOT.glob("docker-compose.*.yml"))
OTHERS = {"ANTHROPIC_API_KEY"}  # read by the chat
IMAGE_SETTINGS = {
    "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"},
    "versity/versitygw": {"ROOT_ACCESS_KEY", "ROOT_SECRET_KEY"},
}


def read_settings() -> set[str]:
    """Every variable that app and runner ask their environment for."""

    asked = AskedEnvironment()
    Settings.from_environment(asked)
    S3Settings.from_environment(asked)
    return asked.names


def documents() -> list[tuple[str, dict[str, Any]]]:
    return [(path.name, yaml.safe_load(path.read_text())) for path in FILES]


def services() -> list[tuple[str, str, dict[str, Any]]]:
    return [(file, name, service) for file, d in documents() for name, service in d["services"].items()]


def ours() -> list[tuple[str, str, dict[str, Any]]]:
    return [entry for entry in services() if re.match("kalla(-cluster)?:", entry[2].get("image", ""))]


def test_there_is_a_file_for_one_machine_and_one_for_a_cluster() -> None:
    assert {path.name for path in FILES} == {"docker-compose.single.yml", "docker-compose.cluster.yml"}


@pytest.mark.parametrize(("file", "name", "service"), ours())
def test_commands_settings_and_ports_exist(file: str, name: str, service: dict[str, Any]) -> None:
    program, *arguments = service["command"]
    assert program == "kalla"
    parsed(cli, arguments)
    unknown = set(service.get("environment", {})) - read_settings() - OTHERS
    assert not unknown, f"{file}: {name} sets what nothing reads: {unknown}"
    port = port_of(service)
    health = " ".join(service["healthcheck"]["test"])
    assert f":{port}/" in health or f", {port})" in health, f"{name} is asked at another port than {port}"
    assert all(published.split(":")[-1] == port for published in service.get("ports", []))


def parsed(command: click.Command, arguments: list[str]) -> None:
    """The arguments fit the command: a wrong name, option or value raises."""
    if isinstance(command, click.Group):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, arguments
        parsed(found, arguments[1:])
        return
    command.make_context(command.name, list(arguments))


def port_of(service: dict[str, Any]) -> str:
    """Where one of our services listens."""
    environment, command = service.get("environment", {}), service["command"]
    if "--port" in command:
        return str(command[command.index("--port") + 1]).removeprefix(":")  # the store's names an address
    if "part" in command:
        return {"jobmanager": str(REST_PORT), "taskmanager": str(WORKER_PORT)}[command[command.index("part") + 1]]
    return str(environment.get("PORT") or environment.get("HTTP_PORT"))


def test_every_part_reaches_the_others_and_workers_share_no_folder() -> None:
    known = dict(documents())["docker-compose.cluster.yml"]["services"]
    for name, service in known.items():
        if name in ("postgres", "store"):
            continue
        assert service.get("volumes", []) == (["data:/srv/kalla/data"] if name in ("app", "runner") else []), name
        if "part" in service["command"]:
            command = service["command"]
            assert command[command.index("--master") + 1] == "jobmanager"
            assert command[command.index("--host") + 1] == name
        if "worker" in service["command"]:
            assert "networks" not in service
            assert known[service["network_mode"].removeprefix("service:")]["command"][3] == "taskmanager"
        assert not service.get("ports") or name == "app", f"{name} is published"
    assert len([s for s in known.values() if "network_mode" in s]) == 2


@pytest.mark.parametrize(("file", "document"), documents())
def test_addresses_name_services_and_their_ports(file: str, document: dict[str, Any]) -> None:
    known = document["services"]
    ports = {"postgres": "5432"}
    for name, service in known.items():
        if "command" in service:
            ports[name] = port_of(service)
    text = (ROOT / file).read_text()
    for host, port in re.findall(r"(?:http://|@|ENDPOINT: )([a-z][a-z0-9-]*):([0-9]+)", text):
        if host == "localhost":  # as a browser on the machine sees it
            assert port in ports.values(), port
            continue
        assert host in known and ports[host] == port, f"{file}: {host}:{port}"
    for service in known.values():
        assert set(service.get("depends_on", {})) <= set(known)
        assert {v.split(":")[0] for v in service.get("volumes", [])} <= set(document["volumes"])


@pytest.mark.parametrize(("file", "name", "service"), services())
def test_images_are_pinned_and_hold_no_password(file: str, name: str, service: dict[str, Any]) -> None:
    image = service["image"]
    assert re.search(r":v?[0-9]", image) and not image.endswith(":latest"), image
    assert service["healthcheck"]
    for key, value in service.get("environment", {}).items():
        if re.search("PASSWORD|SECRET|TOKEN|KEY", key) and key != "ANTHROPIC_API_KEY":
            needed = {"ROOT_ACCESS_KEY": "S3_ACCESS_KEY", "ROOT_SECRET_KEY": "S3_SECRET_KEY"}.get(key, key)
            assert re.fullmatch(r"\$\{" + needed + r":\?[^}]+\}", str(value)), f"{file}: {name}: {key}"
    allowed = IMAGE_SETTINGS.get(image.split(":")[0])
    if allowed is not None:
        assert set(service["environment"]) <= allowed


@pytest.mark.parametrize(("file", "document"), documents())
def test_uploads_and_evidence_lie_in_a_store_that_all_who_read_and_write_share(
    file: str, document: dict[str, Any]
) -> None:
    known = document["services"]
    app = known["app"]["environment"]
    names = ("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_PUBLIC_ENDPOINT")
    readers = ["runner", *(name for name, service in known.items() if "worker" in service.get("command", ()))]
    assert len(readers) == (3 if "cluster" in file else 1)
    for reader in readers:
        assert {n: app[n] for n in names} == {n: known[reader]["environment"][n] for n in names}
    store = known[str(app["S3_ENDPOINT"]).removeprefix("http://").partition(":")[0]]
    assert store["environment"] == {"ROOT_ACCESS_KEY": app["S3_ACCESS_KEY"], "ROOT_SECRET_KEY": app["S3_SECRET_KEY"]}
    for user in ("app", "runner"):
        assert known[user]["depends_on"]["store"] == {"condition": "service_healthy"}


def test_the_store_starts_with_the_command_of_the_files(tmp_path: Path) -> None:
    """The image's program is the one that the tests use; its health check answers."""
    service, *others = [document["services"]["store"] for _, document in documents()]
    assert others == [service]
    assert service["image"].partition(":")[2] == VERSITYGW_MODULE.partition("@")[2]
    try:
        program = versitygw_program()
    except RuntimeError as error:
        pytest.skip(str(error))
    port = free_port()
    command = [a.replace(":7070", f"127.0.0.1:{port}").replace("/data", str(tmp_path)) for a in service["command"]]
    command[command.index("posix") : command.index("posix") + 1] = ["posix", "--nometa"]  # whatever disk this is
    keys = {"ROOT_ACCESS_KEY": "some-key", "ROOT_SECRET_KEY": "some-secret"}
    process = subprocess.Popen([program, *command], env=keys, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = service["healthcheck"]["test"][-1].replace(":7070", f":{port}")
        deadline = time.monotonic() + 30
        while not answers(address):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("form", ["single", "cluster"])
def test_the_example_asks_for_every_secret(form: str) -> None:
    text = (ROOT / f"docker-compose.{form}.yml").read_text()
    example = (ROOT / f"deploy/{form}.env.example").read_text()
    for name in set(re.findall(r"\$\{([A-Z_]+):\?", text)):
        assert re.search(rf"^{name}=$", example, re.MULTILINE), name


def test_the_image_copies_what_exists() -> None:
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            *sources, _ = line.split()[1:]
            if sources[0].startswith("--from="):
                continue
            assert all((ROOT / source).exists() for source in sources), line


@pytest.mark.parametrize(("file", "document"), documents())
def test_folders_lie_in_the_image(file: str, document: dict[str, Any]) -> None:
    """What is mounted is made there for the user that the services run as; what may be read was copied there."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    (user,) = {line.split()[1] for line in dockerfile.splitlines() if line.startswith("USER ")} - {"root"}
    made = set(re.findall(rf"install -d -o {user} -g {user} (\S+)", dockerfile))
    copied = {line.split()[-1] for line in dockerfile.splitlines() if line.startswith("COPY ")}
    mounted = {
        volume.split(":")[1] for known, _, service in ours() if known == file for volume in service.get("volumes", ())
    }
    assert mounted == made == {image_settings()["STAGING_PATH"]}
    roots = [
        service["environment"].get("KALLA_LOCAL_ROOTS")
        for service in document["services"].values()
        if "environment" in service
    ]
    for root in filter(None, [*roots, image_settings()["KALLA_LOCAL_ROOTS"]]):
        assert set(root.split(":")) <= copied, file


def image_settings() -> dict[str, str]:
    """What the images set themselves."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split()[1:])


def test_what_the_images_set_is_read() -> None:
    known = read_settings() | {FOLDER_VARIABLE}
    assert not {n for n in image_settings() if not n.startswith(("PYTHON", "PIP_"))} - known


@pytest.mark.parametrize(("file", "document"), documents())
def test_paths_of_urls_are_routes(file: str, document: dict[str, Any], tmp_path: Path) -> None:
    """Of what app and runner are asked for, and of where the runner reports to; that of Flink is asked for in
    tests/cluster/test_parts.py."""
    settings = Settings.from_environment({"STAGING_PATH": str(tmp_path), "WORKER_URL": "http://runner"})
    runner = create_runner(settings)
    runner_of(runner).close(5)
    rules = {"app": create_app(settings).url_map, "runner": runner.url_map}
    routes = {name: {str(rule) for rule in found.iter_rules()} for name, found in rules.items()}
    for name, found in routes.items():
        (path,) = re.findall(
            r"http://127\.0\.0\.1:\d+(/[a-z]+)", " ".join(document["services"][name]["healthcheck"]["test"])
        )
        assert path in found, f"{file}: {name}: {path}"
    callback = urlsplit(document["services"]["app"]["environment"]["KALLA_CALLBACK_URL"])
    assert {f"{callback.path}/{word}" for word in ("progress", "complete", "error")} <= routes["app"]
    origin = document["services"]["runner"]["environment"]["KALLA_CALLBACK_ORIGINS"]
    assert origin == f"{callback.scheme}://{callback.netloc}"


@pytest.mark.parametrize("form", ["single", "cluster"])
def test_the_example_names_what_the_file_takes_and_nothing_else(form: str) -> None:
    taken = set(re.findall(r"\$\{([A-Z0-9_]+)", (ROOT / f"docker-compose.{form}.yml").read_text()))
    named = set(re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / f"deploy/{form}.env.example").read_text(), re.MULTILINE))
    assert taken == named


@pytest.mark.parametrize(("file", "name", "service"), [entry for entry in ours() if "environment" in entry[2]])
def test_the_settings_of_the_files_are_valid(file: str, name: str, service: dict[str, Any], tmp_path: Path) -> None:
    """With secrets filled in, and the defaults of the file."""
    secret = "0123456789abcdef" * 4
    filled = {n: re.sub(r"\$\{\w+:\?[^}]*\}", secret, str(v)) for n, v in service["environment"].items()}
    given = {n: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", v) for n, v in filled.items()}
    assert not [value for value in given.values() if "$" in value]
    Settings.from_environment(image_settings() | given | {"STAGING_PATH": str(tmp_path)})
    assert S3Settings.from_environment(given).endpoint == "http://store:7070"
