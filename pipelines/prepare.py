"""From a request to a compiled plan: recipe, connectors, schemas, match_sql, strategy. Nothing is read but schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors import Connector, ObjectFolder, connector_for
from pipelines.beam_sql.service import check_service
from pipelines.errors import PipelineError
from pipelines.options import ENGINES, RUNNERS, STRATEGIES, Choice, RunRequest
from pipelines.planner import RunPlan, choose
from pipelines.runners.choice import choose_runner
from recipe import (
    LEFT,
    RIGHT,
    CsvFormat,
    MatchPlan,
    Problem,
    Recipe,
    RecipeError,
    Schema,
    SideInput,
    Source,
    check_filters,
    compile_match_sql,
    load_recipe,
    nearest_names,
    parse_recipe,
    resolve_paths,
    with_source,
)
from udfs import lower, signatures

SIDES = {LEFT: "left", RIGHT: "right"}


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start."""

    recipe: Recipe
    sources: Mapping[str, Source]
    connectors: Mapping[str, Connector]
    schemas: Mapping[str, Schema]
    plan: MatchPlan
    run_plan: RunPlan
    runner: Choice
    warnings: tuple[Problem, ...]


def prepare(request: RunRequest, runner: Choice | None = None) -> Prepared:
    """Check everything that can be checked before a row is read; raises RecipeError, ConnectorError, PipelineError.

    ``runner`` stands in for the request's choice.
    """
    _check_options(request)
    recipe, warnings = read_recipe(request)
    sources: dict[str, Source] = {LEFT: recipe.sources.left, RIGHT: recipe.sources.right}
    for side, source in sources.items():
        _check_address(side, source)
    connectors = {
        side: connector_for(source, roots=request.roots, hosts=request.hosts) for side, source in sources.items()
    }
    schemas = {side: connector.schema() for side, connector in connectors.items()}
    problems = [p for side in SIDES for p in _check_columns(side, sources[side], schemas[side])]
    if problems:
        raise RecipeError.from_problems(problems)
    plan = compile_match_sql(
        recipe.match_sql,
        side_input(sources[LEFT], schemas[LEFT]),
        side_input(sources[RIGHT], schemas[RIGHT]),
        signatures(),
    )
    check_functions(plan)
    runner = runner or request.choice or choose_runner(request.runner, request.cluster)
    _check_staging(request, runner)
    run_plan = choose(
        plan, request.strategy, request.engine, runner.runner, request.partitions,
        connectors[LEFT].estimated_bytes(), connectors[RIGHT].estimated_bytes(), runner.reason,
    )  # fmt: skip
    if run_plan.sql:
        _check_sql_service(request, runner)
    found = (*warnings, *plan.warnings, *([runner.warning] if runner.warning else []))
    return Prepared(recipe, sources, connectors, schemas, plan, run_plan, runner, found)


def _check_staging(request: RunRequest, runner: Choice) -> None:
    """An object store can hold the scratch data of a run on a cluster; one that fell back to this machine, where a
    cluster was tried first, lays it where it would without."""
    if request.exchange is None:
        return
    ObjectFolder.at(request.exchange)
    if request.runner == runner.runner == "direct":
        raise PipelineError(
            "Scratch data of a run on this machine cannot lie in an object store.",
            code="run.staging_denied",
            hint="Name a folder with --staging (KALLA_STAGING), or run on a cluster.",
        )


def _check_sql_service(request: RunRequest, runner: Choice) -> None:
    """What engine beam-sql needs beside the statement, asked before anything runs."""
    named = request.cluster.sql_service
    job_server = (request.cluster.job_endpoint or "").rpartition(":")[0]
    if named is None and runner.runner != "direct" and job_server not in ("localhost", "127.0.0.1"):
        raise PipelineError(
            "No service for Beam SQL is named, and one of this machine could not be reached by the cluster.",
            code="run.sql_service_not_set",
            hint="Start it beside every worker pool and set KALLA_SQL_SERVICE to its host:port.",
        )
    check_service(named)


def read_recipe(request: RunRequest) -> tuple[Recipe, tuple[Problem, ...]]:
    """The recipe with this run's addresses, local paths absolute."""
    if isinstance(request.recipe, str):
        path = Path(request.recipe)
        recipe, warnings = load_recipe(path)
        recipe = resolve_paths(recipe, path.resolve().parent)
    else:
        checked = parse_recipe(request.recipe)
        if checked.recipe is None:
            raise RecipeError.from_problems(checked.problems)
        recipe, warnings = checked.recipe, tuple(checked.warnings)
    for side, uri in request.sources.items():
        recipe = resolve_paths(with_source(recipe, side, uri), Path.cwd())
    return recipe, tuple(warnings)


def check_functions(plan: MatchPlan) -> None:
    """Refuse constants that no run could work with; raises UdfError."""
    trees = [tree for key in plan.keys for tree in (key.left, key.right)]
    trees += [c.tree for c in (*plan.conditions, *plan.left_only, *plan.right_only)]
    trees += [o.tree for o in plan.outputs]
    if plan.traced is not None:
        trees.append(plan.traced.tree)
    for tree in trees:
        lower(tree.copy())


def side_input(source: Source, schema: Schema | None) -> SideInput:
    """What the compiler is told of one side."""
    form = source.format or CsvFormat()
    return SideInput(schema, source.primary_key, form.decimal, form.thousands, str(form.date_order))


def _check_options(request: RunRequest) -> None:
    allowed = (
        ("strategy", request.strategy, STRATEGIES),
        ("engine", request.engine, ENGINES),
        ("runner", request.runner, RUNNERS),
    )
    for name, value, known in allowed:
        if value not in known:
            raise RecipeError(
                f"There is no {name} {value!r}.", code="run.invalid_option", hint=f"Use {', '.join(known)}."
            )
    if not 1 <= request.partitions <= 1024:
        raise RecipeError("--partitions must lie between 1 and 1024.", code="run.invalid_option")
    unknown = set(request.sources) - set(SIDES.values())
    if unknown:
        raise RecipeError(
            f"There is no side {sorted(unknown)[0]!r}.", code="run.unknown_alias", hint="Use left or right."
        )


def _check_address(side: str, source: Source) -> None:
    if source.uri is None:
        name = SIDES[side]
        code = "run.file_required" if source.type == "file" else "run.source_missing"
        raise RecipeError(
            f"The {name} source {source.alias!r} has no address.", code=code, hint=f"Give one with --set {name}=URI."
        )


def _check_columns(side: str, source: Source, schema: Schema) -> list[Problem]:
    """Columns that key, declared schema or filters need and the source lacks."""
    names = [c.name for c in schema]
    path = f"sources.{SIDES[side]}"
    problems = []
    needed = [("primary_key", name) for name in source.primary_key]
    if source.type == "file" and source.schema_columns:
        needed += [("schema", name) for name in source.schema_columns]
    for member, name in dict.fromkeys(needed):
        if name not in names:
            close = nearest_names(name, names)
            hint = f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(map(repr, names[:20]))}"
            message = f"the source {source.alias!r} has no column {name!r}{hint}"
            problems.append(Problem(f"{path}.{member}", message, "source.column_missing"))
    return problems + check_filters(source.filters, schema, f"{path}.filters")
