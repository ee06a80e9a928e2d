"""``/recipes/new``: choose two sources, see their rows, say what belongs together; the SQL is made from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import redirect, render_template, request, url_for

from recipe import KallaError
from webapp.context import kalla
from webapp.inference import formats
from webapp.objects import is_sheet
from webapp.pages import running, uploading
from webapp.pages.forms import Form, refused, typed, wrong
from webapp.pages.frame import blueprint, status_for
from webapp.pages.rule import KeyRow, Rule, build_match_sql, limit_problem, rule_in_words
from webapp.pages.sources import default_alias
from webapp.pages.words import rule_sentences
from webapp.services import previews, uploads
from webapp.services import recipes as service
from webapp.services import runs as run_service
from webapp.services import sources as source_service

Answer = Any  # a page, or a page with its status, or a redirect
SIDES = ("left", "right")
KEY_ROWS, KEY_COLUMNS = 3, 3
PREVIEW_ROWS = 50
UPLOAD = "upload:"
NAMES = {
    "sources.left.primary_key": "left_key_0",
    "sources.right.primary_key": "right_key_0",
    "sources.left.filters": "left_filter_0",
    "sources.right.filters": "right_filter_0",
    "match_sql": "key_0",
}
FIELDS = (
    *("name", "recipe_id", "description", "amount", "tolerance", "date", "days", "left_key_0", "right_key_0"),
    *(f"key_{row}" for row in range(KEY_ROWS)),
    *(f"{side}_filter_{row}" for side in SIDES for row in range(running.FILTER_ROWS)),
)


@dataclass(frozen=True)
class Chosen:
    """One side of the form: which source, its first rows, or why they cannot be shown."""

    reference: str
    alias: str
    type: str
    table: dict[str, Any] | None
    error: KallaError | None = None
    upload: str | None = None
    is_sheet: bool = False

    @property
    def columns(self) -> list[str]:
        """Names of its columns."""
        return [column["name"] for column in self.table["columns"]] if self.table else []

    @property
    def is_csv(self) -> bool:
        """Whether its texts need a way to be read as numbers and dates."""
        return self.type in ("csv", "csv_upload", "file")


@blueprint.get("/recipes/new")
def recipe_new() -> Answer:
    """The choice of sources; with both chosen, their rows and the rule."""
    references = {name: request.args.get(name, "") for name in SIDES}
    if not all(references.values()):
        return _choose(Form(references))
    try:
        sides = {name: _chosen(reference) for name, reference in references.items()}
    except KallaError as error:
        return _choose(wrong(references, {"": f"{error.message} {error.hint}".strip()}, SIDES)), status_for(error)
    return _rule_page(sides, Form(_suggestions(sides)))


@blueprint.post("/recipes/new/sources")
def recipe_sources() -> Answer:
    """Take the choice, with a sample file where one is uploaded for each run."""
    values = typed()
    session, problems, references = uploading.new_session(), {}, {}
    for side in SIDES:
        reference = values.get(side, "")
        if reference == UPLOAD:
            try:
                address = uploading.uploaded(f"{side}_file", session)
                if address is not None:
                    values[f"{side}_file_uploaded"] = address
                    uploads.preview(kalla(), {"s3_uri": address})
            except KallaError as error:
                address = None
                problems[f"{side}_file"] = f"{error.message} {error.hint}".strip()
            reference = f"{UPLOAD}{address}" if address else ""
            if address is None:
                problems.setdefault(f"{side}_file", "Choose a file that looks like those of the runs.")
        elif not reference:
            problems[side] = "Choose a source."
        references[side] = reference
    if problems:
        return _choose(wrong(values, problems, [*SIDES, *(f"{side}_file" for side in SIDES)])), 400
    return redirect(url_for("pages.recipe_new", left=references["left"], right=references["right"]), 303)


def _choose(form: Form) -> str:
    options = [(source["alias"], source["alias"]) for source in source_service.list_sources(kalla())]
    return render_template("recipe_sources.html", form=form, options=options, upload=UPLOAD)


def _chosen(reference: str) -> Chosen:
    """Raises ServiceError ``source.not_found``; what else goes wrong is told beside the side."""
    app = kalla()
    if reference.startswith(UPLOAD):
        address = reference.removeprefix(UPLOAD)
        alias = default_alias(address)
        try:
            table = _as_table(uploads.preview(app, {"s3_uri": address}))
            return Chosen(reference, alias, "file", table, upload=address, is_sheet=is_sheet(app.settings, address))
        except KallaError as error:
            return Chosen(reference, alias, "file", None, error, address)
    source = source_service.get_source(app, reference)
    kind = _recipe_type(source)
    try:
        table = previews.preview_source(app, reference, PREVIEW_ROWS)
        return Chosen(reference, reference, kind, table, is_sheet=is_sheet(app.settings, str(source["uri"])))
    except KallaError as error:
        return Chosen(reference, reference, kind, None, error)


def _recipe_type(source: Mapping[str, Any]) -> str:
    """A registered file is a lasting place; in a recipe ``file`` would mean one uploaded for each run."""
    if source["source_type"] != "file":
        return str(source["source_type"])
    return "csv" if str(source["uri"]).lower().endswith(".csv") else "parquet"


def _as_table(preview: Mapping[str, Any]) -> dict[str, Any]:
    names = [column["name"] if isinstance(column, Mapping) else column for column in preview["columns"]]
    rows = [[row.get(name) for name in names] for row in preview["sample"]]
    columns = [{"name": name, "data_type": "string", "nullable": True} for name in names]
    return {"columns": columns, "rows": rows, "total_rows": preview["row_count"], "preview_rows": len(rows)}


def _suggestions(sides: Mapping[str, Chosen]) -> dict[str, str]:
    values = {"tolerance": "0.00", "days": "5"}
    tables = {name: side.table for name, side in sides.items() if side.table}
    for name, table in tables.items():
        found = formats.side(table)
        numbers = formats.PLAIN if sides[name].is_sheet else found.numbers
        values |= {f"{name}_key_0": found.key, f"{name}_numbers": numbers, f"{name}_dates": found.dates}
        values |= {f"amount_{name}": found.amount}
    if len(tables) == len(SIDES):
        values["key_0_left"], values["key_0_right"] = formats.pair(tables["left"], tables["right"])
        if not (values["amount_left"] and values["amount_right"]):
            values["amount_left"] = values["amount_right"] = ""
    return values


def _rule_page(sides: Mapping[str, Chosen], form: Form, **more: Any) -> str:
    return render_template(
        "recipe_new.html",
        sides=sides,
        form=form,
        key_rows=KEY_ROWS,
        key_columns=KEY_COLUMNS,
        numbers=[(choice, words) for choice, (words, _, _) in formats.NUMBERS.items()],
        dates=list(formats.DATES.items()),
        operators=running.OPERATORS,
        filter_rows=running.FILTER_ROWS,
        **more,
    )


@blueprint.post("/recipes/new")
def recipe_create() -> Answer:
    """Show the rule in words, or save it, or save and run it."""
    values = typed()
    try:
        sides = {name: _chosen(values.get(name, "")) for name in SIDES}
    except KallaError as error:
        return _choose(wrong(values, {"": f"{error.message} {error.hint}".strip()}, SIDES)), status_for(error)
    rule, problems = read_rule(values)
    keys = {side: _key_of(side, values) for side in SIDES}
    problems |= {f"{side}_key_0": "Choose at least one column." for side in SIDES if not keys[side]}
    for side in SIDES:
        problems |= running.read_filters(side, values)[1]
    action = values.get("action", "check")
    if action != "check":
        problems |= _name_problems(values)
    if problems:
        return _rule_page(sides, wrong(values, problems, FIELDS)), 400
    document = _document(values, rule, keys, sides)
    try:
        if action == "check":
            return _checked(sides, values, document)
        service.put_recipe(kalla(), document)
        if action == "save_run":
            started = run_service.submit(kalla(), _run_body(document, sides))
            return redirect(url_for("pages.run", run_id=started["run_id"]), 303)
    except KallaError as error:
        return _rule_page(sides, refused(values, error, FIELDS, NAMES)), status_for(error)
    return redirect(url_for("pages.recipe", recipe_id=document["recipe_id"], done="recipe-saved"), 303)


def _checked(sides: Mapping[str, Chosen], values: Mapping[str, str], document: Mapping[str, Any]) -> str:
    result = service.validate(kalla(), document)
    sentences = rule_sentences(document["match_sql"])
    return _rule_page(sides, Form(values), document=document, sentences=sentences, checked=result)


def read_rule(values: Mapping[str, str]) -> tuple[Rule, dict[str, str]]:
    """The rule that the form describes, and what is wrong with it by field."""
    problems: dict[str, str] = {}
    keys = []
    for row in range(KEY_ROWS):
        left, right = _two(f"key_{row}", values, problems)
        if left and right:
            keys.append(KeyRow(left, right, values.get(f"key_{row}_loose") == "yes"))
    if not keys and not problems:
        problems["key_0"] = "Choose at least one pair of columns that must be equal."
    amounts, dates = _two("amount", values, problems), _two("date", values, problems)
    tolerance, days = values.get("tolerance", ""), values.get("days", "")
    if all(amounts) and (words := limit_problem(tolerance, whole=False)):
        problems["tolerance"] = words
    if all(dates) and (words := limit_problem(days, whole=True)):
        problems["days"] = words
    rule = Rule(
        tuple(keys),
        amounts if all(amounts) else None,
        tolerance,
        dates if all(dates) else None,
        days,
    )
    return rule, problems


def _two(name: str, values: Mapping[str, str], problems: dict[str, str]) -> tuple[str, str]:
    left, right = values.get(f"{name}_left", ""), values.get(f"{name}_right", "")
    if bool(left) != bool(right):
        problems[name] = "Choose a column on both sides, or on none."
    return left, right


def _key_of(side: str, values: Mapping[str, str]) -> tuple[str, ...]:
    chosen = (values.get(f"{side}_key_{at}", "") for at in range(KEY_COLUMNS))
    return tuple(dict.fromkeys(name for name in chosen if name))


def _name_problems(values: dict[str, str]) -> dict[str, str]:
    if not values.get("name"):
        return {"name": "Give the recipe a name."}
    values["recipe_id"] = values.get("recipe_id") or service.slug(values["name"])
    if not values["recipe_id"]:
        return {"recipe_id": "Give it an id of letters and digits; the name has none to make one from."}
    if kalla().recipes.has(values["recipe_id"]):
        return {"recipe_id": "There is a recipe with this id already; choose another, or edit that one."}
    return {}


def _document(
    values: Mapping[str, str], rule: Rule, keys: Mapping[str, tuple[str, ...]], sides: Mapping[str, Chosen]
) -> dict[str, Any]:
    name = values.get("name") or "New recipe"
    return {
        "recipe_id": values.get("recipe_id") or service.slug(name) or "new-recipe",
        "name": name,
        "description": values.get("description", ""),
        "match_sql": build_match_sql(rule, keys["left"], keys["right"]),
        "match_description": rule_in_words(rule),
        "sources": {side: _source(sides[side], keys[side], side, values) for side in SIDES},
    }


def _source(chosen: Chosen, key: tuple[str, ...], side: str, values: Mapping[str, str]) -> dict[str, Any]:
    source: dict[str, Any] = {"alias": chosen.alias, "type": chosen.type, "primary_key": list(key)}
    if chosen.upload:
        source["schema"] = chosen.columns
    numbers, dates = values.get(f"{side}_numbers", ""), values.get(f"{side}_dates", "")
    if chosen.is_csv and numbers in formats.NUMBERS and dates in formats.DATES:
        _, decimal, thousands = formats.NUMBERS[numbers]
        source["format"] = {"decimal": decimal, "thousands": thousands, "date_order": dates}
    filters, _ = running.read_filters(side, values)
    if filters:
        source["filters"] = filters
    return source


def _run_body(document: Mapping[str, Any], sides: Mapping[str, Chosen]) -> dict[str, Any]:
    """The sample files serve the first run."""
    files = [{"alias": f"{side}_src", "uri": chosen.upload} for side, chosen in sides.items() if chosen.upload]
    return {"recipe_id": document["recipe_id"]} | ({"resolved_sources": files} if files else {})
