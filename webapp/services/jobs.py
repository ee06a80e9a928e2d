"""The job that the runner gets (contract 3.2), made from a recipe whose two sources have their addresses."""

from __future__ import annotations

from typing import Any

from recipe import Recipe, dump_source
from webapp.objects import GCS_RESULTS
from webapp.settings import Settings

SIDE_OF = {"left_src": "left", "right_src": "right"}


def job_of(recipe: Recipe, run_id: str, settings: Settings) -> dict[str, Any]:
    """The whole job document, secrets included; uploads keep their ``s3://`` URIs.

    Numbers of filters are int or Decimal: send it with ``recipe.write_json``.
    """
    sources = {table: getattr(recipe.sources, side) for table, side in SIDE_OF.items()}
    return {
        "run_id": run_id,
        "callback_url": callback_url(settings),
        "match_sql": recipe.match_sql,
        "sources": [_source(table, dump_source(source)) for table, source in sources.items()],
        "output_path": output_path(settings, run_id),
        "primary_keys": {table: list(source.primary_key) for table, source in sources.items()},
        "recipe": {
            "recipe_id": recipe.recipe_id,
            "name": recipe.name,
            "description": recipe.description,
            "match_description": recipe.match_description,
        },
    }


def callback_url(settings: Settings) -> str:
    """The base that the runner appends ``/progress``, ``/complete`` and ``/error`` to."""
    return (settings.callback_url or f"http://127.0.0.1:{settings.port}/api/worker").rstrip("/")


def output_path(settings: Settings, run_id: str) -> str:
    """The folder for the run's evidence, in the store where there is one."""
    if settings.store == "s3":
        return f"s3://{settings.results_bucket}/runs/{run_id}/"
    if settings.store == "gs":
        return f"gs://{settings.gcs_bucket}/{GCS_RESULTS}runs/{run_id}/"
    return f"{settings.staging_path / 'results' / 'runs' / run_id}/"


def _source(table: str, document: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in document.items() if name not in ("alias", "primary_key")}
    return {"alias": table, "name": document["alias"], **shown}
