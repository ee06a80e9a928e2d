"""Sample sources and a sample recipe for an app that holds none yet."""

from __future__ import annotations

from pathlib import Path

from recipe import dump_recipe, load_recipe, resolve_paths
from webapp.context import Kalla


def seed_sample(app: Kalla, folder: Path) -> bool:
    """Store the recipes of ``folder`` and register their sources, paths absolute; False where anything is stored
    already, for what a person has deleted must not come back.

    Raises RecipeError.
    """
    if app.sources.count() or app.recipes.count():
        return False
    for path in sorted(folder.glob("*.json")):
        recipe = resolve_paths(load_recipe(path)[0], path.resolve().parent)
        app.recipes.put(dump_recipe(recipe))
        for source in (recipe.sources.left, recipe.sources.right):
            if source.uri is not None:
                app.sources.put(source.alias, source.uri, source.type)
    return True
