"""The runner service: takes jobs, runs each in its own process, reports to the app. Needs no database."""

from webapp.runner.app import create_runner, runner_of

__all__ = ["create_runner", "runner_of"]
