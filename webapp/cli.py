"""``kalla serve`` and ``kalla runner``. Importing this costs nothing: a command brings in what it needs when called."""

from __future__ import annotations

import os
from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path)


@click.command("serve", short_help="Serve pages and API on this machine.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of pages and API; PORT, else 3000.")
@click.option("--bind-host", help="Address to listen on; BIND_HOST, else 127.0.0.1.")
@click.option("--staging-path", type=_FOLDER, help="Folder of all data; STAGING_PATH, else ./staging.")
@click.option(
    "--sample",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of sample recipes, stored where nothing is stored yet.",
)
@click.option("--first", metavar="RECIPE", help="Reconcile this recipe while the app starts, and show the result.")
@click.option("--output", metavar="DIR", help="The folder for its evidence, as kalla run takes it; replaced if there.")
def serve(
    port: int | None, bind_host: str | None, staging_path: Path | None, sample: Path | None,
    first: str | None, output: str | None,
) -> int:  # fmt: skip
    """Serve pages and API. Without WORKER_URL and NATS_URL a runner is started beside it and kept alive."""
    from webapp.app_server import serve_app
    from webapp.listening import check_address
    from webapp.serve import Together, is_alone, say_where
    from webapp.settings import Settings

    environment = _environment(PORT=port, BIND_HOST=bind_host, STAGING_PATH=staging_path)
    settings = Settings.from_environment(environment)
    if first is not None and not is_alone(settings):
        raise click.UsageError("--first needs an app that starts its own runner: without WORKER_URL and NATS_URL.")
    if output is not None and first is None:
        raise click.UsageError("--output is for the evidence of --first.")
    check_address(settings.bind_host, settings.port)
    if is_alone(settings):
        return Together(settings, environment, sample, _run(first, output)).run()
    say_where(settings)
    serve_app(settings, sample)
    return 0


@click.command("runner", short_help="Serve the runner, which executes runs for an app.")
@click.option("--http-port", type=click.IntRange(0, 65535), help="HTTP_PORT, else 8080.")
@click.option("--bind-host", help="Address to listen on; BIND_HOST, else 127.0.0.1.")
@click.option("--staging-path", type=_FOLDER, help="Journal and staging; STAGING_PATH, else ./staging.")
@click.option("--partitions", type=click.IntRange(1, 1024), help="Parallel reads a source; KALLA_PARTITIONS, else 4.")
@click.option("--max-jobs", type=click.IntRange(1), help="Runs at once; MAX_CONCURRENT_JOBS, else 4.")
@click.option("--memory-limit", metavar="SIZE", help="Memory of one run; KALLA_MEMORY_LIMIT, else half of the machine.")
def runner(
    http_port: int | None, bind_host: str | None, staging_path: Path | None, partitions: int | None,
    max_jobs: int | None, memory_limit: str | None,
) -> int:  # fmt: skip
    """Execute runs: takes jobs over HTTP, or from NATS when NATS_URL is set, and reports to the app."""
    from webapp.serve import serve_runner
    from webapp.settings import Settings

    environment = _environment(
        HTTP_PORT=http_port, BIND_HOST=bind_host, STAGING_PATH=staging_path, KALLA_PARTITIONS=partitions,
        MAX_CONCURRENT_JOBS=max_jobs, KALLA_MEMORY_LIMIT=memory_limit,
    )  # fmt: skip
    serve_runner(Settings.from_environment(environment))
    return 0


def _run(recipe: str | None, output: str | None) -> list[str]:
    """The command that reconciles ``recipe``; nothing without one."""
    if recipe is None:
        return []
    return ["run", recipe, "--overwrite", *([] if output is None else ["--output", output])]


def _environment(**given: object) -> dict[str, str]:
    """The process's environment with the options that were given."""
    return {**os.environ, **{name: str(value) for name, value in given.items() if value is not None}}
