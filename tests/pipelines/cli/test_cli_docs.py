"""docs/cli.md names every command and every option, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from pipelines.cli.app import COMMANDS, cli
from tests.pipelines.evidence.samples import ROOT

SERVICES = ["serve", "runner"]  # added by the web application
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli)
    for name in [*COMMANDS, *SERVICES]:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", found) for inner, found in command.commands.items())
        else:
            yield name, command


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_options(name: str):
    section = re.split(rf"\n## kalla {name}(?: \S+)?\n", PAGE)[1].split("\n## ", 1)[0]
    documented = re.findall(r"^\| `(--[a-z-]+)` \|", section, re.M)
    options = [p for p in ALL[name].params if isinstance(p, click.Option)]
    assert sorted(documented) == sorted(option.opts[0] for option in options)
    for option in options:
        assert option.help
        row = next(line for line in section.splitlines() if line.startswith(f"| `{option.opts[0]}` |"))
        assert option.envvar is None or f"`{option.envvar}`" in row


def test_commands():
    assert re.findall(r"^## kalla ([a-z-]+(?: [a-z]+)?)(?: [A-Z].*)?$", PAGE, re.M) == list(ALL)
