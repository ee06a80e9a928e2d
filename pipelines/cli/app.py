"""The group ``kalla``, how its commands are found, and how every error ends."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pipelines.cli.exits import DONE, FAILED, INTERRUPTED, INVALID, TERMINATED, exit_status

if TYPE_CHECKING:
    from importlib import metadata

ENTRY_POINTS = "kalla.commands"
# name -> where it is, and its line in the help; nothing of it is imported until it is called.
COMMANDS = {
    "run": ("pipelines.cli.run:run", "Reconcile the two sources of a recipe and write evidence."),
    "validate": ("pipelines.cli.validate:validate", "Check a recipe, and its sources, without running it."),
    "explain": ("pipelines.cli.explain:explain", "Say in words what a recipe does and how it would run."),
    "preview": ("pipelines.cli.preview:preview", "Show the first records of a source."),
    "source": ("pipelines.cli.source:source", "Test, list, count and preview a source, and find its key."),
    "verify": ("pipelines.cli.verify:verify", "Check that evidence holds what its manifest says."),
    "replay": ("pipelines.cli.replay:replay", "Run the recipe of some evidence again and compare."),
    "worker": ("pipelines.cli.worker:worker", "Serve Python workers to a Flink or Spark cluster."),
    "sql-service": ("pipelines.cli.sql_service:sql_service", "Serve engine beam-sql to runs."),
    "cluster": ("pipelines.cli.cluster:cluster", "Start a Flink or Spark cluster, whole or part by part."),
    "evidence": ("pipelines.cli.evidence:evidence", "Look at evidence, or export it."),
}


class Failed(Exception):
    """A command that ends with an error it has not printed yet. ``document`` is the JSON object for programs."""

    def __init__(self, code: str, message: str, document: dict[str, Any], trace: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.document, self.trace = code, message, document, trace


class Terminated(BaseException):
    """Somebody asked the process to end."""


class LazyGroup(click.Group):
    """Finds commands by name: the built-in ones first, then those of installed packages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(set(_added()) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name][0].partition(":")
            return _checked(cmd_name, getattr(importlib.import_module(module), name))
        added = _added().get(cmd_name)
        return None if added is None else _checked(cmd_name, added.load())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, help_line) for name, (_, help_line) in COMMANDS.items()]
        for name in self.list_commands(ctx)[len(COMMANDS) :]:
            command = self.get_command(ctx, name)
            rows.append((name, command.get_short_help_str() if command else ""))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _added() -> dict[str, metadata.EntryPoint]:
    from importlib import metadata  # takes as long as everything else here, and built-in commands do not need it

    return {point.name: point for point in metadata.entry_points(group=ENTRY_POINTS)}


def _checked(name: str, found: object) -> click.Command:
    if not isinstance(found, click.Command):
        raise click.UsageError(f"The command {name!r} of an installed package is no click command.")
    return found


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="kalla", message="kalla %(version)s")
def cli() -> None:
    """Reconcile two record sets; every record accounted for, every break explained.

    A recipe names two sources and says when their records belong together. A run leaves evidence: matched records,
    unmatched ones with the reason, and a manifest with control totals.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """The program: runs a command and ends the process with its status."""
    given = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _on_terminate)
    sys.exit(call(given))


def call(arguments: list[str]) -> int:
    """Run a command; returns the exit status. Whatever goes wrong is printed here, in one way."""
    as_json = "--json" in arguments
    try:
        found = cli.main(arguments, prog_name="kalla", standalone_mode=False)
        return found if isinstance(found, int) else DONE
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        return _usage(error, as_json)
    except Failed as error:
        return _failed(error.code, error.message, error.document, error.trace, as_json)
    except (click.Abort, KeyboardInterrupt) as error:
        return _ended("run.interrupted", _noted("Interrupted", error.__cause__ or error), INTERRUPTED, as_json)
    except Terminated as error:
        return _ended("run.terminated", _noted("Asked to end", error), TERMINATED, as_json)
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does; flushing at the end would fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last door: no traceback reaches a person who did not ask for one
        return _unforeseen(error, "--debug" in arguments, as_json)


def _on_terminate(signum: int, frame: object) -> NoReturn:
    raise Terminated


def _usage(error: click.ClickException, as_json: bool) -> int:
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(message)
        return INVALID
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"See {error.ctx.command_path} --help."
    shown = f"{message} {hint}".strip()
    return _failed("usage.invalid", shown, _failure("usage.invalid", shown, []), "", as_json)


def _failure(code: str, message: str, details: list[Any]) -> dict[str, Any]:
    return {"status": "failed", "error": {"code": code, "message": message, "details": details}}


def _noted(what: str, error: BaseException) -> str:
    """With what is known of the run that was ended."""
    return "; ".join([what, *getattr(error, "__notes__", ())]) + "."


def _ended(code: str, message: str, status: int, as_json: bool) -> int:
    document = {**_failure(code, message, []), "status": "cancelled"}
    _failed(code, message, document, "", as_json)
    return status


def _unforeseen(error: Exception, debug: bool, as_json: bool) -> int:
    from recipe import KallaError, mask_text

    trace = mask_text(traceback.format_exc()) if debug else ""
    if isinstance(error, KallaError):
        body = error.as_dict()
    else:
        from pipelines.errors import translate

        body = translate(error).as_dict()
        body["message"] = mask_text(body["message"])
    code, message = str(body["code"]), str(body["message"])
    return _failed(code, message, {"status": "failed", "error": body}, trace, as_json)


def _failed(code: str, message: str, document: dict[str, Any], trace: str, as_json: bool) -> int:
    from pipelines.cli.console import err, line, print_json, printable, styled

    if as_json:
        print_json(document)
    else:
        console = err()
        line(console, styled("Error ", "bold red"), styled(code, "bold"))
        for text in message.splitlines():
            line(console, text)
        details = document.get("error", {}).get("details", [])
        for detail in details if len(details) > 1 else []:
            line(console, "  ", styled(detail.get("path", ""), "bold"), "  ", detail.get("message", ""))
    if trace:
        click.echo("\n".join(map(printable, trace.splitlines())), err=True)
    return exit_status(code)
