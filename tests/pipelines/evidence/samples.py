"""Evidence made by real runs, for the tests of everything that reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.launch import launch
from pipelines.options import RunRequest

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "docs" / "sample" / "invoice-payment-match.json"

GROUPED = """
SELECT l.customer, sum(CAST(l.amount AS DECIMAL(18, 2))) AS total, count(*) AS n
FROM left_src l JOIN right_src r ON l.customer = r.customer GROUP BY l.customer
"""


def run_recipe(recipe: Path | dict[str, Any], output: Path, **options: Any) -> dict[str, Any]:
    """Run to the end; the outcome must be a completed run."""
    given = str(recipe) if isinstance(recipe, Path) else recipe
    outcome = launch(RunRequest(recipe=given, output=str(output), run_id=f"run-{output.name}", **options))
    assert outcome["status"] == "completed", outcome
    return outcome


def csv_recipe(folder: Path, left: str, right: str, match_sql: str, **members: Any) -> Path:
    """A recipe file over two CSV files beside it. Keys are ``id`` on both sides."""
    (folder / "left.csv").write_text(left, encoding="utf-8")
    (folder / "right.csv").write_text(right, encoding="utf-8")
    document = {
        "recipe_id": "test",
        "name": "Test",
        "match_sql": match_sql,
        "sources": {
            side: {"alias": f"{side}s", "type": "csv", "uri": f"{side}.csv", "primary_key": ["id"]}
            for side in ("left", "right")
        },
        **members,
    }
    path = folder / "recipe.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest in place."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def rehash(folder: Path) -> None:
    """Give every part the hash and size in the manifest that its file has, as a careful forger would."""

    def change(document: dict[str, Any]) -> None:
        for part in document["parts"]:
            content = (folder / part["path"]).read_bytes()
            part["sha256"], part["bytes"] = hashlib.sha256(content).hexdigest(), len(content)

    edit_manifest(folder, change)
